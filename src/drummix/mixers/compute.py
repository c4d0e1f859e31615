"""What a network may use (threads, memory), and what it will use for that.

In: what was asked for, and the size of the network. Out: threads, and frames of a segment that fit
into the memory. Frames do not depend on threads, so that no bit of a mix does.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from drummix.errors import SettingError
from drummix.mixers.architecture import WaveUNetConfig
from drummix.pool import allowed_cores

DEFAULT_MEMORY_MB = 600.0
MOST_HOP_FRAMES = 131_072
"""Output of one segment: 3 s at 44.1 kHz. Longer ones are hardly faster."""

# Each is the least that lies above every peak measured, see "Memory" in docs/performance.md.
_PROCESS_BYTES = 225e6
"""Interpreter, libraries, compiled code, and what files and effects hold."""
_THREAD_BYTES = 10e6
"""Blocks that a thread works on."""
_COUNTED_THREADS = 2
"""Threads that a segment leaves room for, however many there are."""
_READ_AHEAD = 13
"""Numbers for each frame of an input that reading and resampling ahead hold."""
_LOADING_BYTES = 19
"""For each weight while weights are read and made into matrices."""
_LOADED_BYTES = 15
"""For each weight afterwards."""


@dataclass(frozen=True)
class Compute:
    """What a network may use.

    Args:
        threads: Most threads that share the work; None for one on every core that this process
            may use. More than there are cores are never started.
        memory_mb: Peak memory of the whole process, in units of 10^6 bytes; None for 600, and 10
            more for each thread beyond two.

    Raises:
        SettingError: If a value is out of range.
    """

    threads: int | None = None
    memory_mb: float | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and not 1 <= self.threads <= 1024:
            raise SettingError("threads", self.threads, "expected 1 to 1024")
        if self.memory_mb is not None and not 0 < self.memory_mb < float("inf"):
            raise SettingError("memory_mb", self.memory_mb, "expected more than 0 MB, as 600")

    def given(self) -> dict[str, Any]:
        """What asks for something else than the default, by its name."""
        default = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in vars(self).items() if value != default[name]}


@dataclass(frozen=True)
class Resources:
    """What a network will use.

    Args:
        threads: Threads that share the work.
        hop_frames: Output frames of a segment.
    """

    threads: int
    hop_frames: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `Mix.settings`, with the library that multiplies matrices."""
        import numpy as np

        return {
            "runtime": f"native, numpy {np.__version__} with {blas_name()}",
            "threads": self.threads,
            "hop_frames": self.hop_frames,
        }


def resolve_compute(compute: Compute, config: WaveUNetConfig) -> Resources:
    """Decide what a network uses of what it may.

    Args:
        compute: What was asked for.
        config: Size of the network.

    Raises:
        SettingError: If the memory is too little.
    """
    cores = allowed_cores()
    threads = cores if compute.threads is None else min(compute.threads, cores)
    hop_frames = _hop_frames(compute, config)
    if compute.memory_mb is not None:
        left_mb = compute.memory_mb - memory_mb(config, 0, hop_frames)
        threads = max(1, min(threads, int(left_mb * 1e6 / _THREAD_BYTES)))
    return Resources(threads, hop_frames)


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


def memory_mb(config: WaveUNetConfig, threads: int, hop_frames: int) -> float:
    """Peak memory of a process that mixes, in units of 10^6 bytes; measured, see docs/performance.

    Args:
        config: Size of the network.
        threads: Threads that share the work.
        hop_frames: Output frames of a segment.
    """
    n_parameters = config.n_parameters()
    per_frame = 4 * (_map_width(config) + _READ_AHEAD * config.n_inputs)
    network = max(
        _LOADING_BYTES * n_parameters, _LOADED_BYTES * n_parameters + per_frame * hop_frames
    )
    return (_PROCESS_BYTES + _THREAD_BYTES * threads + network) / 1e6


def _map_width(config: WaveUNetConfig) -> float:
    """Channels of all maps together, each counted by its rate over that of the audio."""
    skips = sum(n_out / 2**level for level, (_, n_out) in enumerate(config.down_shapes()))
    below = sum(
        n_below / 2 ** (config.levels - depth)
        for depth, (_, n_below, _) in enumerate(config.up_shapes())
    )
    return config.n_inputs + skips + below + config.filters


def _hop_frames(compute: Compute, config: WaveUNetConfig) -> int:
    """The longest segment that fits, in whole steps of decimation."""
    limit_mb = DEFAULT_MEMORY_MB if compute.memory_mb is None else compute.memory_mb
    step = config.decimation
    hops = range(step, max(step, MOST_HOP_FRAMES) + 1, step)

    def needed_mb(hop_frames: int, threads: int = _COUNTED_THREADS) -> float:
        return memory_mb(config, threads, hop_frames)

    fitting = bisect_right(hops, limit_mb, key=needed_mb)
    least_mb = needed_mb(step, threads=1)
    if limit_mb < least_mb and compute.memory_mb is not None:
        raise SettingError(
            "memory_mb",
            limit_mb,
            f"this network takes {_rounded_up(least_mb)} MB or more",
            problem=f"is {limit_mb:g} MB",
        )
    return hops[max(0, fitting - 1)]


def _rounded_up(memory: float) -> int:
    return -int(-memory // 10) * 10
