"""A mix from files to a file beside the network alone, and where the rest of its time goes.

    python benchmarks/end_to_end.py --minutes 10 --filters 24

makes a session of eight 24-bit microphones at 48 kHz, runs the network alone over as many samples
and mixes the session as `drummix mix` does, in turn. Then it mixes once more on one thread, where
the parts of the path take turns, and prints the processor time of each. Weights are drawn at the
paper's size: a network is as fast with those. --processor-time compares that in place of wall
time, for machines with other work.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import drummix.evaluation.speed as speed
from drummix.evaluation.bench import paper_size_model
from drummix.levels import LoudnessMeter
from drummix.mixers import base, waveunet
from drummix.mixers.compute import Compute, resolve_compute
from drummix.mixers.native import load_network
from drummix.mixers.weights import load_model
from drummix.mixing import mix_to_file, run
from drummix.mixing.scratch import Scratch
from drummix.session import Session


class Clock:
    """Time spent in each part, without that of the parts it calls."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.spent_s: dict[str, float] = defaultdict(float)
        self._now, self._parts, self._since = now, ["the rest"], now()

    def enter(self, part: str) -> None:
        """A part begins."""
        self._turn()
        self._parts.append(part)

    def leave(self) -> None:
        """It ends."""
        self._turn()
        self._parts.pop()

    def _turn(self) -> None:
        now = self._now()
        self.spent_s[self._parts[-1]] += now - self._since
        self._since = now

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function as a part."""

        def call(*arguments: Any, **options: Any) -> Any:
            self.enter(part)
            try:
                return function(*arguments, **options)
            finally:
                self.leave()

        return call

    def timed_stream(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that gives a stream as a part."""

        def stream(*arguments: Any, **options: Any) -> Iterator[Any]:
            blocks = iter(function(*arguments, **options))
            while True:
                self.enter(part)
                try:
                    block = next(blocks, None)
                finally:
                    self.leave()
                if block is None:
                    return
                yield block

        return stream


class TimedNetwork:
    """A network whose streams are timed."""

    def __init__(self, network: Any, clock: Clock) -> None:
        self.stream = clock.timed_stream("network", network.stream)


def watch(clock: Clock) -> None:
    """Time the parts of the path, wherever the path calls them."""
    here: Any = run
    session: Any = Session
    meter: Any = LoudnessMeter
    scratch: Any = Scratch
    mixer: Any = waveunet
    session.blocks = clock.timed_stream("reading", session.blocks)
    mixer.stage_session = clock.timed("gain staging", base.stage_session)
    mixer.mixed_blocks = clock.timed_stream("routing", base.mixed_blocks)
    mixer.resample_blocks = clock.timed_stream("resampling", mixer.resample_blocks)
    load = clock.timed("loading", load_network)
    mixer.load_network = lambda *arguments: TimedNetwork(load(*arguments), clock)
    meter.add = clock.timed("loudness and true peak", meter.add)
    scratch.append = clock.timed("scratch file", scratch.append)
    here._copy = clock.timed("writing", here._copy)


def alone(network: Any, n_frames: int) -> None:
    """Run a network over noise."""
    block = (0.1 * np.random.default_rng(0).standard_normal((8, 131_072))).astype(np.float32)
    starts = range(0, n_frames, block.shape[1])
    blocks = (block[:, : min(block.shape[1], n_frames - start)] for start in starts)
    for _ in network.stream(blocks, n_frames):
        pass


def main() -> None:
    """Print both times and the split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=48_000, help="sample rate in Hz")
    parser.add_argument("--filters", type=int, choices=(12, 24), default=24, help="shipped, paper")
    parser.add_argument("--repeats", type=int, default=3, help="turns of both, for medians")
    parser.add_argument("--processor-time", action="store_true", help="in place of wall time")
    options = parser.parse_args()
    now = time.process_time if options.processor_time else time.perf_counter
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="drummix-end-to-end-") as name:
        folder, shipped = Path(name), load_model("waveunet-wet")
        model = paper_size_model(folder, rng) if options.filters == 24 else shipped
        speed.RATE_HZ = options.rate
        takes = speed.write_session(folder / "takes", 60.0 * options.minutes, rng)
        network = load_network(model, resolve_compute(Compute(), model.config))
        alone(network, 200_000)  # warms up
        n_frames = round(60.0 * options.minutes * model.rate_hz)
        alone_s, whole_s = [], []
        for _ in range(options.repeats):
            start_s = now()
            alone(network, n_frames)
            alone_s.append(now() - start_s)
            start_s = now()
            mix_to_file(takes, folder / "mix.wav", weights=model.folder)
            whole_s.append(now() - start_s)
            print(f"network alone {alone_s[-1]:.2f} s, whole mix {whole_s[-1]:.2f} s", flush=True)
        del network
        print(f"medians: {statistics.median(whole_s) / statistics.median(alone_s):.3f} times")
        clock = Clock(time.process_time)
        watch(clock)
        mix_to_file(takes, folder / "mix.wav", weights=model.folder, compute=Compute(threads=1))
        clock.enter("end")
    network_s = clock.spent_s["network"]
    for part, spent_s in sorted(clock.spent_s.items(), key=lambda item: -item[1]):
        print(f"{part:24} {spent_s:8.2f} s {spent_s / network_s:7.2%} of the network")


if __name__ == "__main__":
    main()
