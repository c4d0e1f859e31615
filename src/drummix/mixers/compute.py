"""What a network may use (threads, memory, precision, runtime), and what it will use for that.

In: what was asked for, and the size of the network. Out: the runtime that is there, what the
processor can do, and frames of a segment that fit into the memory.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from drummix.errors import MissingExtraError, SettingError
from drummix.mixers.architecture import WaveUNetConfig

Precision = Literal["full", "fast"]
Runtime = Literal["auto", "native", "openvino"]

DEFAULT_MEMORY_MB = 600.0
MOST_HOP_FRAMES = 262_144
"""Output of one segment: 5.9 s at 44.1 kHz. Longer ones are not faster."""

_BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})


@dataclass(frozen=True)
class Compute:
    """What a network may use.

    Args:
        threads: Threads that share the work; None for one on every core that this process may use.
        memory_mb: Peak memory of the whole process, in units of 10^6 bytes; None for 600.
        precision: ``full`` is float32; ``fast`` is bfloat16 where the processor computes it.
        runtime: ``native`` is drummix's own, ``openvino`` Intel's; ``auto`` is native for full
            precision and OpenVINO for bfloat16.

    Raises:
        SettingError: If a value is out of range or unknown.
    """

    threads: int | None = None
    memory_mb: float | None = None
    precision: Precision = "full"
    runtime: Runtime = "auto"

    def __post_init__(self) -> None:
        if self.threads is not None and not 1 <= self.threads <= 1024:
            raise SettingError(f"--threads is {self.threads}; expected 1 to 1024")
        if self.memory_mb is not None and not 0 < self.memory_mb < float("inf"):
            raise SettingError(f"--memory is {self.memory_mb:g} MB; expected more than 0, as 600")
        for option, value, known in (
            ("--precision", self.precision, get_args(Precision)),
            ("--runtime", self.runtime, get_args(Runtime)),
        ):
            if value not in known:
                raise SettingError(f"{option} is {value!r}; use {' or '.join(known)}")

    def given(self) -> tuple[str, ...]:
        """The options that ask for something else than the default."""
        options = (
            ("--threads", self.threads is not None),
            ("--memory", self.memory_mb is not None),
            ("--precision", self.precision != "full"),
            ("--runtime", self.runtime != "auto"),
        )
        return tuple(option for option, is_given in options if is_given)


@dataclass(frozen=True)
class Settled:
    """What a network will use.

    Args:
        runtime: ``native`` or ``openvino``.
        precision: ``float32`` or ``bfloat16``.
        threads: Threads that share the work.
        hop_frames: Output frames of a segment.
        notices: What a person should know about it.
    """

    runtime: Literal["native", "openvino"]
    precision: Literal["float32", "bfloat16"]
    threads: int
    hop_frames: int
    notices: tuple[str, ...]

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for `Mix.settings`."""
        return {
            "runtime": runtime_version(self.runtime),
            "precision": self.precision,
            "threads": self.threads,
            "hop_frames": self.hop_frames,
        }


def settle(compute: Compute, config: WaveUNetConfig) -> Settled:
    """Decide what a network uses of what it may.

    Args:
        compute: What was asked for.
        config: Size of the network.

    Raises:
        MissingExtraError: If the runtime that was asked for is not installed.
        SettingError: If the memory is too little.
    """
    notices: tuple[str, ...] = ()
    precision: Literal["float32", "bfloat16"] = "float32"
    if compute.precision == "fast":
        if compute.runtime == "native":
            notices = ("the native runtime has full precision only: --precision fast not used",)
        elif not has_bf16():
            notices = (
                "--precision fast not used: this processor has no bfloat16 "
                f"({' or '.join(sorted(_BF16_FLAGS))}); full precision instead",
            )
        else:
            precision = "bfloat16"
    is_openvino = compute.runtime == "openvino" or precision == "bfloat16"
    if is_openvino and importlib.util.find_spec("openvino") is None:
        asked = "--runtime openvino" if compute.runtime == "openvino" else "--precision fast"
        raise MissingExtraError(asked, "openvino")
    runtime: Literal["native", "openvino"] = "openvino" if is_openvino else "native"
    threads = compute.threads or allowed_cores()
    hop_frames = _hop_frames(compute, config, runtime, threads)
    return Settled(runtime, precision, threads, hop_frames, notices)


def allowed_cores() -> int:
    """Cores that this process may use: its affinity, and the quota of its control groups."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *_quotas()]))


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware; Linux on x86 says so."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not _BF16_FLAGS.isdisjoint(flags.partition(":")[2].split())


def runtime_version(runtime: str) -> str:
    """A runtime with its version, for the settings of a mix."""
    if runtime == "openvino":
        import openvino  # only where it is used

        return f"OpenVINO {openvino.__version__}"
    import numpy as np

    return f"native, numpy {np.__version__} with {blas_name()}"


def blas_name() -> str:
    """The library that multiplies matrices for numpy, with its version."""
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas.get('name', 'unknown BLAS')} {blas.get('version', '')}".strip()


def memory_mb(
    config: WaveUNetConfig, runtime: Literal["native", "openvino"], threads: int, hop_frames: int
) -> float:
    """Peak memory of a process that mixes, in units of 10^6 bytes; measured, see docs/performance.

    Args:
        config: Size of the network.
        runtime: What runs it.
        threads: Threads that share the work.
        hop_frames: Output frames of a segment.
    """
    features = config.filters * sum(
        level / 2 ** (level - 1) for level in range(1, config.levels + 1)
    )
    if runtime == "native":
        return 300.0 + hop_frames * (features * 8 + 24 * config.n_inputs) / 1e6
    return 400.0 + hop_frames * features * 24 / 1e6


def _hop_frames(
    compute: Compute, config: WaveUNetConfig, runtime: Literal["native", "openvino"], threads: int
) -> int:
    """The longest segment that fits, in whole steps of decimation."""
    limit_mb = DEFAULT_MEMORY_MB if compute.memory_mb is None else compute.memory_mb
    step = config.decimation
    most = max(step, MOST_HOP_FRAMES // step * step)
    least_mb = memory_mb(config, runtime, threads, step)
    more_mb = memory_mb(config, runtime, threads, 2 * step) - least_mb
    if least_mb > limit_mb and compute.memory_mb is not None:
        raise SettingError(
            f"--memory is {limit_mb:g} MB; this network takes {_rounded_up(least_mb)} MB or more "
            f"with {threads} thread{'s' if threads > 1 else ''}"
        )
    n_more = max(0, int((limit_mb - least_mb) / more_mb))
    return min(most, step * (1 + n_more))


def _rounded_up(memory: float) -> int:
    return -int(-memory // 10) * 10


def _quotas() -> list[int]:
    """Whole cores of each limit on this process's control groups (Linux, cgroup v2)."""
    root = Path("/sys/fs/cgroup")
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    path = next((line[3:] for line in own if line.startswith("0::")), "/").strip("/")
    folder, quotas = root / path, []
    while True:
        try:
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
            if quota != "max":
                quotas.append(-(-int(quota) // int(period)))
        except (OSError, ValueError):
            pass  # no limit there
        if folder in (root, folder.parent):
            return quotas
        folder = folder.parent
