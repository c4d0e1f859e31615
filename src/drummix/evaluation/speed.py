"""How fast systems mix, and in how much memory, by the length of the session.

Every figure comes from a process of its own that does what `drummix mix` does: it opens a folder of
eight 24-bit microphones, mixes and writes the mix. Its peak memory is the system's; what the
interpreter and its libraries take before the mix is told apart.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drummix.audio import Writer
from drummix.errors import DrummixError, SettingError, WorkerError
from drummix.evaluation.oracles import ORACLES
from drummix.evaluation.systems import checked_systems
from drummix.evaluation.table import Grid
from drummix.roles import PAPER_ROLES

RATE_HZ = 44_100
LENGTHS_S = (10.0, 60.0, 300.0)
DEFAULT_SYSTEMS = ("waveunet-dry", "waveunet-wet", "unity", "anchor")

_STROKE_S = 0.5
_DECAY_S = 0.15

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Speed:
    """What it took a system to mix a session.

    Args:
        system: Name of the system.
        duration_s: Length of the session.
        wall_s: Time from opening the session to the written mix.
        cpu_s: Processor time of the same, over all cores.
        peak_mb: Peak memory of the process, in units of 10^6 bytes.
        idle_mb: Its memory before the mix, libraries loaded.
    """

    system: str
    duration_s: float
    wall_s: float
    cpu_s: float
    peak_mb: float
    idle_mb: float

    @property
    def seconds_per_second(self) -> float:
        """Seconds of work for a second of audio."""
        return self.wall_s / self.duration_s

    @property
    def mb_per_second(self) -> float:
        """Memory beyond the libraries for a second of audio, in units of 10^6 bytes."""
        return max(0.0, self.peak_mb - self.idle_mb) / self.duration_s


@dataclass(frozen=True)
class SpeedTable:
    """Every figure, and what failed.

    Args:
        speeds: Systems in order, lengths rising.
        failures: System and length -> why it failed, one line.
    """

    speeds: tuple[Speed, ...]
    failures: tuple[str, ...]

    def grid(self) -> Grid:
        """A row a system and length."""
        heading = (
            "system", "audio (s)", "time (s)", "processor (s)", "time per s of audio",
            "peak memory (MB)", "beyond libraries (MB per s)",
        )  # fmt: skip
        rows = tuple(
            (
                speed.system,
                f"{speed.duration_s:g}",
                f"{speed.wall_s:.2f}",
                f"{speed.cpu_s:.2f}",
                f"{speed.seconds_per_second:.4f}",
                f"{speed.peak_mb:.0f}",
                f"{speed.mb_per_second:.3f}",
            )
            for speed in self.speeds
        )
        return Grid("Mixing eight microphones at 44.1 kHz, file to file.", heading, rows)

    def to_mapping(self) -> dict[str, Any]:
        """Plain data that JSON can hold."""
        rows = [
            {
                **asdict(speed),
                "seconds_per_second": speed.seconds_per_second,
                "mb_per_second": speed.mb_per_second,
            }
            for speed in self.speeds
        ]
        return {"speeds": rows, "failures": list(self.failures)}


def measure_speed(
    *,
    rng: np.random.Generator,
    systems: Sequence[str] = DEFAULT_SYSTEMS,
    lengths_s: Sequence[float] = LENGTHS_S,
    repeats: int = 3,
    progress: Progress | None = None,
) -> SpeedTable:
    """Time systems on sessions of several lengths.

    Args:
        rng: Draws the sessions.
        systems: Names of mixing systems; not an oracle's, which mixes no session.
        lengths_s: Lengths of the sessions in seconds.
        repeats: Runs of each; the fastest counts, for only it was not disturbed.
        progress: Called after every run.

    Raises:
        SettingError: If a system is unknown, or a length or `repeats` is out of range.
    """
    chosen = checked_systems(systems)
    for system in chosen:
        if system in ORACLES:
            why = f"names {system}, which is fitted to a target and mixes no session"
            raise SettingError("systems", system, "leave it out", problem=why)
    if repeats < 1:
        raise SettingError("repeats", repeats, "give 1 or more")
    for length_s in lengths_s:
        if not 0.5 <= length_s <= 36_000.0:
            raise SettingError("lengths_s", length_s, "give 0.5 to 36000")
    if not lengths_s:
        raise SettingError("lengths_s", (), "give at least one, in seconds", problem="is empty")
    speeds, failures = [], []
    n_all, n_done = len(lengths_s) * len(chosen) * repeats, 0
    with tempfile.TemporaryDirectory(prefix="drummix-speed-") as scratch:
        for length_s in sorted(set(lengths_s)):
            folder = write_session(Path(scratch) / f"{length_s:g}", length_s, rng)
            for system in chosen:
                runs = []
                for _ in range(repeats):
                    try:
                        runs.append(timed_mix(system, length_s, folder, Path(scratch)))
                    except DrummixError as error:
                        failures.append(f"{system}, {length_s:g} s: {error}")
                        break
                    finally:
                        n_done += 1
                    if progress is not None:
                        progress(n_done, n_all, system)
                if runs:
                    speeds.append(min(runs, key=lambda speed: speed.wall_s))
    speeds.sort(key=lambda speed: (chosen.index(speed.system), speed.duration_s))
    return SpeedTable(tuple(speeds), tuple(failures))


def write_session(folder: Path, duration_s: float, rng: np.random.Generator) -> Path:
    """Eight microphones with a stroke of noise every half second, each hearing all others.

    Args:
        folder: Where to write the WAV files; made if missing.
        duration_s: Length in seconds.
        rng: Draws the noise of one stroke, which is repeated.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n_stroke = round(_STROKE_S * RATE_HZ)
    decay = np.exp(-np.arange(n_stroke) / (_DECAY_S * RATE_HZ))
    strokes = rng.standard_normal((len(PAPER_ROLES), n_stroke)) * decay
    heard = 0.1 * (strokes + 0.1 * strokes.sum(axis=0))
    block = np.tile(heard, (1, 20)).astype(np.float32)
    n_samples = round(duration_s * RATE_HZ)
    for role, row in zip(PAPER_ROLES, block, strict=True):
        with Writer(folder / f"{role.value}.wav", rate_hz=RATE_HZ, n_channels=1) as writer:
            for start in range(0, n_samples, row.size):
                writer.write(_part(row, n_samples - start))
    return folder


def _part(row: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
    return row[np.newaxis, : min(row.size, n_samples)]


# What the child does; its peak memory is asked for in its own process.
_CHILD = """
import json, sys, time
import drummix, drummix.mixing, drummix.mixers.native.network
from drummix.mixers.compute import peak_memory_mb as used_mb
source, target, system, weights = sys.argv[1:]
idle_mb, wall_s, cpu_s = used_mb(), time.perf_counter(), time.process_time()
try:
    drummix.mix_to_file(source, target, system=system, weights=weights or None)
except drummix.DrummixError as error:
    print(json.dumps({"error": " ".join(str(error).split())}))
else:
    print(json.dumps({
        "wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s,
        "peak_mb": used_mb(), "idle_mb": idle_mb,
    }))
"""


def timed_mix(
    system: str, duration_s: float, folder: Path, scratch: Path, weights: Path | None = None
) -> Speed:
    """Mix a session in a process of its own.

    Args:
        system: Name of the system.
        duration_s: Length of the session.
        folder: The session.
        scratch: Folder for the mix.
        weights: Folder of a model to use in place of the shipped one.

    Raises:
        WorkerError: If the process fails.
    """
    target = scratch / "mix.wav"
    run = subprocess.run(
        [sys.executable, "-c", _CHILD, str(folder), str(target), system, str(weights or "")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = run.stdout.splitlines()
    if run.returncode != 0 or not lines:
        last = (run.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise WorkerError(f"the process ended with status {run.returncode}: {last}")
    found = json.loads(lines[-1])
    if "error" in found:
        raise WorkerError(found["error"])
    return Speed(system=system, duration_s=duration_s, **found)
