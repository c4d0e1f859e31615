"""How many training clips a machine can supply, from files and rendered on the fly.

Measured with the loader that training uses, at the paper's clip length and batch unless told
otherwise. `clips/s` is by the clock, so other work on the machine counts against it. `clips/CPU s`
is what one core does with nothing beside it: clips made between a worker's first batch and its
last, by the processor time that the worker took, rendering included. Sixteen workers are not
measured but estimated as sixteen times that, which leaves out what they take from each other:
memory bandwidth, and the disk.

    python benchmarks/loading.py --corpus CORPUS --kit KIT --groove GROOVE --workers 1 2
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from drummix.corpus.disturbance import DISTURBANCES
from drummix.mixers.architecture import WaveUNetConfig
from drummix.nn.clip_changes import draw_change
from drummix.nn.clip_sources import clip_sources
from drummix.nn.clips import RandomClips, Source
from drummix.nn.config import ClipSettings, TrainSettings
from drummix.nn.live_clips import LiveSource
from drummix.nn.live_settings import LiveSettings
from drummix.nn.loading import start_worker
from drummix.nn.train import RATE_HZ
from drummix.pool import context

# Seconds a step of batch 16 takes: two CPU cores at the paper's size, and a large GPU.
STEPS_S = {"2 cores, 6.4 s": 6.4, "2 cores, 8 s": 8.0, "GPU, 50 ms": 0.05}
N_GPU_WORKERS = 16


@dataclass(frozen=True)
class Supply:
    """What one way of feeding supplied.

    Args:
        source: Where clips came from.
        workers: Processes that made them.
        clips: Clips counted.
        clips_per_s: By the clock.
        clips_per_cpu_s: By the processor time of the workers.
        worker_mb: Most memory of a worker, with what it shares with the others.
        own_mb: Most memory of a worker that it shares with nobody.
    """

    source: str
    workers: int
    clips: int
    clips_per_s: float
    clips_per_cpu_s: float
    worker_mb: float
    own_mb: float


class TimedClips(Dataset[Any]):
    """Clips with the process that made them, its processor time and its memory."""

    def __init__(self, clips: RandomClips) -> None:
        self._clips = clips

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        stems, mix = self._clips[number]
        most_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # The kernel counts this page by page: not for every clip.
        own = own_mb() if number % 64 == 63 else float("nan")
        now = (os.getpid(), time.process_time(), most_kb / 1024, own)
        return stems, mix, torch.tensor(now, dtype=torch.float64)


def own_mb() -> float:
    """Memory that this process shares with no other, in MB; NaN where Linux does not tell."""
    try:
        with Path("/proc/self/smaps_rollup").open(encoding="ascii") as lines:
            return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024
    except OSError:
        return float("nan")


def measure(name: str, source: Source, *, workers: int, n_batches: int, n_warm: int) -> Supply:
    """Take batches from a loader as fast as they come."""
    settings = source.settings
    n_clips = (n_warm + n_batches) * settings.batch_size
    clips = RandomClips(source, n_clips=n_clips, seed=0, epoch=0)
    loader: DataLoader[Any] = DataLoader(
        TimedClips(clips),
        batch_size=settings.batch_size,
        num_workers=workers,
        multiprocessing_context=context,
        prefetch_factor=4,
        worker_init_fn=start_worker,
    )
    made: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    began_s = 0.0
    for batch, (_, _, notes) in enumerate(loader):
        if batch == n_warm:
            began_s = time.perf_counter()
        if batch >= n_warm:
            for pid, *rest in notes.tolist():
                made[int(pid)].append((rest[0], rest[1], rest[2]))
    took_s = time.perf_counter() - began_s
    rates = [(len(notes) - 1) / (notes[-1][0] - notes[0][0]) for notes in made.values()]
    counted = sum(map(len, made.values()))
    return Supply(
        source=name,
        workers=workers,
        clips=counted,
        clips_per_s=(counted - settings.batch_size) / took_s,
        clips_per_cpu_s=statistics.mean(rates),
        worker_mb=max(note[1] for notes in made.values() for note in notes),
        own_mb=float(np.nanmax([note[2] for notes in made.values() for note in notes])),
    )


def parts_ms(source: Source, n_times: int = 8) -> dict[str, float]:
    """Processor time of each part of a clip, in ms; of a session where it is rendered."""
    rng = np.random.default_rng(0)
    every = ClipSettings(disturb=DISTURBANCES)
    change = draw_change(every, [False] * 8, (0, 0, 0))
    parts = {}
    if isinstance(source, LiveSource):
        source.clip(source.pick(rng, epoch=0, number=0, n_clips=16)[0], 0)  # compiles
        plans = [source._planned[index] for index in range(n_times)]
        parts["render a session"] = _cpu_ms(lambda n: source._rendered(plans[n]), n_times)
    index, _ = source.pick(rng, epoch=0, number=0, n_clips=16)
    parts["cut a clip"] = _cpu_ms(lambda n: source.clip(index, 20_000 * n), n_times)
    stems = np.zeros((8, source.input_frames + 2 * change.margin), np.float32)
    parts["disturb a clip"] = _cpu_ms(lambda n: change.apply(stems, RATE_HZ), n_times)
    return parts


def _cpu_ms(work: Callable[[int], object], n_times: int) -> float:
    work(0)
    times_s = []
    for n in range(n_times):
        began_s = time.process_time()
        work(n)
        times_s.append(time.process_time() - began_s)
    return 1000.0 * statistics.median(times_s)


def sources_of(arguments: argparse.Namespace) -> Iterator[tuple[str, Source]]:
    """Every way of feeding that was asked for, plain and disturbed."""
    ways: list[tuple[str, dict[str, Any]]] = [
        (f"{corpus}", {"corpora": (corpus,)}) for corpus in arguments.corpus
    ]
    if arguments.kit:
        live = LiveSettings(
            kits=tuple(arguments.kit),
            groove=arguments.groove,
            sessions=arguments.sessions,
            clips_per_session=arguments.clips_per_session,
            pools=max(arguments.workers),
        )
        ways.append((f"live, {live.clips_per_session} a session", {"live": live, "corpora": ()}))
    for name, where in ways:
        for disturb in ((), DISTURBANCES) if arguments.disturb else ((),):
            settings = TrainSettings(
                name="loading",
                target=arguments.target,
                output="loading",  # nothing is written there
                network=WaveUNetConfig(),
                clips=ClipSettings(disturb=disturb),
                **where,
            )
            label = f"{name}, {arguments.target}{', disturbed' if disturb else ''}"
            yield label, clip_sources(settings, rate_hz=RATE_HZ)["train"]


def print_table(supplies: Sequence[Supply]) -> None:
    """A Markdown table, with what training takes beside what there is."""
    print("| clips from | workers | clips/s | clips/CPU s | MB a worker (own) |", end="")
    print("".join(f" {step} |" for step in STEPS_S))
    print("|" + "---|" * (5 + len(STEPS_S)))
    for supply in supplies:
        cells = [
            supply.source,
            str(supply.workers),
            f"{supply.clips_per_s:.1f}",
            f"{supply.clips_per_cpu_s:.1f}",
            f"{supply.worker_mb:.0f} ({supply.own_mb:.0f})",
        ]
        for step, step_s in STEPS_S.items():
            if step.startswith("GPU"):
                share = N_GPU_WORKERS * supply.clips_per_cpu_s * step_s / 16
                cells.append(f"{share:.1f} x (estimate, {N_GPU_WORKERS} workers)")
            else:
                cells.append(f"{supply.clips_per_s * step_s / 16:.1f} x")
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Measure each way of feeding with each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", action="append", default=[], help="rendered corpus; repeatable")
    parser.add_argument("--kit", action="append", default=[], help="kit to render; repeatable")
    parser.add_argument("--groove", default="groove", help="folder of the Groove MIDI Dataset")
    parser.add_argument("--target", choices=("dry", "wet"), default="wet")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, default=60, help="batches of 16 to count")
    parser.add_argument("--sessions", type=int, default=12)
    parser.add_argument("--clips-per-session", type=int, default=48)
    parser.add_argument("--disturb", action="store_true", help="measure with disturbances too")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    supplies, parts = [], {}
    for name, source in sources_of(arguments):
        n_warm = 8 if isinstance(source, LiveSource) else 2
        for workers in arguments.workers:
            supply = measure(
                name, source, workers=workers, n_batches=arguments.batches, n_warm=n_warm * workers
            )
            print(supply, file=sys.stderr)
            supplies.append(supply)
        parts[name] = parts_ms(source)
        print(name, parts[name], file=sys.stderr)
    if arguments.json:
        plain = {"supplies": [asdict(supply) for supply in supplies], "parts_ms": parts}
        print(json.dumps(plain, indent=1))
        return
    print_table(supplies)
    print("\n| clips from | " + " | ".join(["part", "CPU ms"]) + " |\n|---|---|---|")
    for name, times in parts.items():
        for part, ms in times.items():
            print(f"| {name} | {part} | {ms:.1f} |")


if __name__ == "__main__":
    main()
