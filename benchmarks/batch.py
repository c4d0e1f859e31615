"""Many sessions at a time against one by one: time, and whether the mixes are the same bytes.

Sessions of eight microphones of decaying noise are mixed three ways: by `drummix.mix_to_file` one
after the other, each with all cores; by a batch with `--jobs` processes; and, with `--ray`, by a
batch over a local Ray of as many workers. Printed for each: seconds, and how many mixes equal those
made one by one.

    python benchmarks/batch.py --sessions 12 --seconds 30 --jobs 2
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import drummix
from drummix.batch import mix_many
from drummix.mixing import MixOptions

RATE_HZ = 44_100
MICROPHONES = ("Kick", "Snare", "HH", "Rack Tom", "Mid Tom", "Floor Tom", "OH L", "OH R")


def write_session(folder: Path, seconds: float, seed: int) -> None:
    """Eight microphones of noise that decays twice a second."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    n_samples = int(seconds * RATE_HZ)
    strokes = np.exp(-(np.arange(n_samples) % (RATE_HZ // 2)) / 3000).astype(np.float32)
    for name in MICROPHONES:
        samples = 0.2 * rng.standard_normal((1, n_samples), dtype=np.float32) * strokes
        drummix.write(folder / f"{name}.wav", drummix.Audio(samples, RATE_HZ))


def one_by_one(sessions: Path, out: Path, system: str) -> None:
    """What a loop over `drummix mix` does."""
    for session in sorted(sessions.iterdir()):
        drummix.mix_to_file(session, out / f"{session.name}.wav", system=system)


def timed(name: str, work: Callable[[Path], object], out: Path, reference: Path | None) -> None:
    """Do the work and print a row."""
    out.mkdir()
    start_s = time.monotonic()
    work(out)
    seconds = time.monotonic() - start_s
    made = sorted(out.glob("*.wav"))
    n_equal = sum(
        path.read_bytes() == ((reference or out) / path.name).read_bytes() for path in made
    )
    print(f"{name:24} {seconds:7.1f} s   {n_equal} of {len(made)} equal", flush=True)


def main() -> None:
    """Make the sessions, mix them, print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--system", default="waveunet-wet")
    parser.add_argument("--ray", action="store_true")
    given = parser.parse_args()
    options = MixOptions(system=given.system)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sessions = root / "sessions"
        for seed in range(given.sessions):
            write_session(sessions / f"session {seed + 1:03}", given.seconds, seed)
        # Compiled code and models are in the page cache for all of them.
        drummix.mix_to_file(sessions / "session 001", root / "warm.wav", system=given.system)
        alone = root / "alone"
        timed("one by one", lambda out: one_by_one(sessions, out, given.system), alone, None)
        for ray in (None, "local") if given.ray else (None,):
            timed(
                f"batch, {given.jobs} {'Ray workers' if ray else 'processes'}",
                lambda out, ray=ray: mix_many(
                    sessions, out, options=options, jobs=given.jobs, ray=ray
                ),
                root / f"batch {ray}",
                alone,
            )


if __name__ == "__main__":
    main()
