"""Mixing every session below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from drummix.batch.finding import find_sessions
from drummix.batch.outcome import SUMMARY_NAME, Outcome, Status
from drummix.batch.planning import claim, plan_jobs
from drummix.batch.record import Job, identity_of, recorded_outcome
from drummix.batch.tally import OnOutcome, Progress, Tally
from drummix.batch.working import BatchWorker, Heard
from drummix.errors import OutputError, SettingError
from drummix.mixers.compute import Compute, allowed_cores
from drummix.mixers.registry import SYSTEMS
from drummix.mixing import MixOptions, OutputLevel
from drummix.mixing.scratch import remove_leftovers
from drummix.pool import Lane, Lost, each_done, local_lanes
from drummix.pool.ray_lanes import ray_lanes

Format = Literal["wav", "flac", "mp3"]

WORKER_BYTES = 1_000_000_000
"""Memory for each worker where their number is left to us."""


@dataclass(frozen=True)
class Batch:
    """What became of every session.

    Args:
        outcomes: One a session, in the order of their names.
        summary: The table of them, a CSV file.
    """

    outcomes: tuple[Outcome, ...]
    summary: Path

    def count(self, status: Status) -> int:
        """How many sessions have a status."""
        return sum(outcome.status == status for outcome in self.outcomes)


def mix_many(
    folder: Path | str,
    out: Path | str,
    *,
    options: MixOptions | None = None,
    level: OutputLevel | None = None,
    format: Format = "wav",
    is_with_settings: bool = False,
    jobs: int | None = None,
    ray: str | None = None,
    on_outcome: OnOutcome | None = None,
    on_notice: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Batch:
    """Mix every session below a folder, going on where an earlier run stopped.

    A session that fails does not stop the others. A mix is not made again where its session's
    files, the settings and the mix itself are what they were when it was made.

    Args:
        folder: Where the sessions are, at any depth.
        out: Where the mixes go: ``<path of the session below folder>.<format>``.
        options: What mixes; None for the default.
        level: The level of every mix; None for the mixer's own.
        format: Container of the mixes.
        is_with_settings: Write beside each mix what was done, as JSON.
        jobs: Sessions to mix at the same time, a process each (with one, this process); None for
            one a core as far as memory goes. The cores are shared among them.
        ray: Address of a Ray cluster to work on, or ``local``; None for no Ray.
        on_outcome: Called after every session.
        on_notice: Called with what a person should know meanwhile, in one line.
        progress: Called with ``mixing``, bytes of the sessions' files done, and in all.

    Returns:
        What became of every session.

    Raises:
        DrummixError: If there is no session, nothing can be written, or a setting is wrong.
    """
    options, level = options or MixOptions(), level or OutputLevel()
    folder, out = Path(folder), Path(out)
    _check(folder, out, format, jobs)
    options.make_mixer()  # what is wrong with it is said before anything is written
    identity = identity_of(options, level)
    found = find_sessions(folder, leave_out=out)
    claim(out)
    plan = plan_jobs(found, folder, out, suffix=format, is_with_settings=is_with_settings)
    on_notice = on_notice or (lambda line: None)
    tally = Tally(out, found, on_outcome, on_notice, progress)
    with tally.summarised():
        for refused, outcome in plan.refused.items():
            tally.add(refused, outcome)
        waiting = []
        for job in plan.jobs:
            known = recorded_outcome(job, identity)
            if known is None:
                waiting.append(job)
            else:
                tally.add(job.folder, known)
        tally.expect(waiting)
        if waiting:
            make = partial(BatchWorker, identity=identity, level=level)
            with _lanes(make, options, jobs, ray, len(waiting), tally.heard) as lanes:
                _work(waiting, lanes, tally, on_notice)
    return Batch(tally.rows(), out / SUMMARY_NAME)


def _check(folder: Path, out: Path, format: str, jobs: int | None) -> None:
    if format not in get_args(Format):
        raise SettingError("format", format, f"use {', '.join(get_args(Format))}")
    if jobs is not None and jobs < 1:
        raise SettingError("jobs", jobs, "give 1 or more")
    if out.resolve() == folder.resolve():
        raise OutputError(f"{out} is the folder of the sessions; choose another for their mixes")


def _work(
    waiting: Sequence[Job], lanes: list[Lane], tally: Tally, on_notice: Callable[[str], None]
) -> None:
    left = {job.folder: job for job in waiting}

    def lost(job: Job, where: str) -> None:
        remove_leftovers(job.target)
        on_notice(
            f"{where} was ended from outside (out of memory?) while it mixed {job.name}: it will "
            "be tried again after the others, alone"
        )

    try:
        for job, result in each_done(waiting, lanes, lost=lost):
            del left[job.folder]
            if isinstance(result, Lost):
                remove_leftovers(job.target)
                message = f"{result.why} (out of memory?); give it more, or fewer --jobs"
                result = Outcome(job.name, "failed", message=message)
            tally.done(job, result)
    except BaseException:
        # The processes are gone, and could not clean up.
        for job in left.values():
            remove_leftovers(job.target)
        raise


@contextmanager
def _lanes(
    make: Callable[..., BatchWorker],
    options: MixOptions,
    jobs: int | None,
    ray: str | None,
    n_waiting: int,
    heard: Heard,
) -> Iterator[list[Lane]]:
    """Where the work is done; each worker has its share of the cores."""
    n_cores = allowed_cores()
    if ray is not None:

        def make_for(threads: int) -> Callable[[], BatchWorker]:
            return partial(make, _sharing(_anywhere(options), threads))

        with ray_lanes(make_for, ray, n_lanes=jobs, n_jobs=n_waiting, cores=n_cores) as lanes:
            yield lanes
        return
    n_lanes = min(jobs or default_jobs(n_cores), n_waiting)
    threads = max(1, n_cores // n_lanes)
    here = {"heard": heard} if n_lanes == 1 else {}
    yield local_lanes(partial(make, _sharing(options, threads), **here), n_lanes, threads=threads)


def default_jobs(n_cores: int) -> int:
    """One session a core, as far as memory goes."""
    try:
        memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return n_cores
    return max(1, min(n_cores, memory_bytes // WORKER_BYTES))


def _sharing(options: MixOptions, threads: int) -> MixOptions:
    """The options with a worker's share of the cores, where it is a network that mixes."""
    spec = SYSTEMS.get(options.system)
    is_network = options.style is None and spec is not None and spec.is_network
    compute = options.compute or Compute()
    if not is_network or compute.threads is not None:
        return options
    return replace(options, compute=replace(compute, threads=threads))


def _anywhere(options: MixOptions) -> MixOptions:
    """The options with paths that mean the same wherever a worker runs."""
    weights = None if options.weights is None else Path(options.weights).absolute()
    style = options.style
    if isinstance(style, Path | str):
        style = Path(style).absolute()
    return replace(options, weights=weights, style=style)
