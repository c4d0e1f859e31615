"""What a network may use (threads, memory, precision, runtime), and what it will use for that.

In: what was asked for, and the size of the network. Out: the runtime that is there, what the
processor can do, and frames of a segment that fit into the memory.
"""

from __future__ import annotations

import importlib.util
import os
from bisect import bisect_right
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from drummix.errors import MissingExtraError, SettingError
from drummix.mixers.architecture import WaveUNetConfig

Precision = Literal["full", "fast"]
Runtime = Literal["auto", "native", "openvino"]

DEFAULT_MEMORY_MB = 600.0
MOST_HOP_FRAMES = 131_072
"""Output of one segment: 3 s at 44.1 kHz. Longer ones are hardly faster."""

_CPU_INFO = Path("/proc/cpuinfo")
_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")
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
            raise SettingError("threads", self.threads, "expected 1 to 1024")
        if self.memory_mb is not None and not 0 < self.memory_mb < float("inf"):
            raise SettingError("memory_mb", self.memory_mb, "expected more than 0 MB, as 600")
        for parameter, value, known in (
            ("precision", self.precision, get_args(Precision)),
            ("runtime", self.runtime, get_args(Runtime)),
        ):
            if value not in known:
                raise SettingError(parameter, value, f"use {' or '.join(known)}")

    def given(self) -> dict[str, Any]:
        """What asks for something else than the default, by its name."""
        default = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in vars(self).items() if value != default[name]}


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
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
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


def peak_memory_mb() -> float:
    """Most memory that this process has held so far, in units of 10^6 bytes; POSIX systems."""
    import resource  # there is none on Windows
    import sys

    try:
        # What `getrusage` tells may be that of the process that started this one.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1.024e-3
    except (OSError, StopIteration):
        scale = 1e-6 if sys.platform == "darwin" else 1.024e-3
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


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
    n_parameters = config.n_parameters()
    process = 225e6 + 10e6 * threads
    if runtime == "openvino":
        return (process + 95e6 + 20 * n_parameters + 24 * _map_width(config) * hop_frames) / 1e6
    # Thirteen numbers more a frame of each input: what reading and resampling ahead hold.
    per_frame = 4 * (_map_width(config) + 13 * config.n_inputs)
    # While they are read and turned into matrices, the weights take more than afterwards.
    return (process + max(19 * n_parameters, 15 * n_parameters + per_frame * hop_frames)) / 1e6


def _map_width(config: WaveUNetConfig) -> float:
    """Channels of all maps together, each counted by its rate over that of the audio."""
    skips = sum(n_out / 2**level for level, (_, n_out) in enumerate(config.down_shapes()))
    below = sum(
        n_below / 2 ** (config.levels - depth)
        for depth, (_, n_below, _) in enumerate(config.up_shapes())
    )
    return config.n_inputs + skips + below + config.filters


def _hop_frames(
    compute: Compute, config: WaveUNetConfig, runtime: Literal["native", "openvino"], threads: int
) -> int:
    """The longest segment that fits, in whole steps of decimation."""
    limit_mb = DEFAULT_MEMORY_MB if compute.memory_mb is None else compute.memory_mb
    step = config.decimation
    hops = range(step, max(step, MOST_HOP_FRAMES) + 1, step)

    def needed_mb(hop_frames: int) -> float:
        return memory_mb(config, runtime, threads, hop_frames)

    fitting = bisect_right(hops, limit_mb, key=needed_mb)
    if fitting == 0 and compute.memory_mb is not None:
        raise SettingError(
            "memory_mb",
            limit_mb,
            f"this network takes {_rounded_up(needed_mb(step))} MB or more with {threads} "
            f"thread{'s' if threads > 1 else ''}",
            problem=f"is {limit_mb:g} MB",
        )
    return hops[max(0, fitting - 1)]


def _rounded_up(memory: float) -> int:
    return -int(-memory // 10) * 10


def _quotas() -> list[int]:
    """Whole cores of each limit on this process's control groups (Linux, cgroup v2)."""
    try:
        own = _OWN_GROUP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    path = next((line[3:] for line in own if line.startswith("0::")), "/").strip("/")
    folder, quotas = _CONTROL_GROUPS / path, []
    while True:
        try:
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
            if quota != "max":
                quotas.append(-(-int(quota) // int(period)))
        except (OSError, ValueError):
            pass  # no limit there
        if folder in (_CONTROL_GROUPS, folder.parent):
            return quotas
        folder = folder.parent
