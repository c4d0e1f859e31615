"""Mixing every session below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from drummix.audio import remove_leftovers
from drummix.batch.finding import find_sessions
from drummix.batch.outcome import SUMMARY_NAME, Outcome, Status
from drummix.batch.planning import claim, plan_jobs
from drummix.batch.record import Job, identity_of, recorded_outcome
from drummix.batch.tally import OnOutcome, Progress, Tally
from drummix.batch.working import BatchWorker
from drummix.errors import OutputError, SettingError
from drummix.mixing import MixOptions, OutputLevel
from drummix.notices import Notice
from drummix.pool import WorkerDied, allowed_cores, each_result

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
            make = partial(BatchWorker, _anywhere(options), level, identity)
            n_workers = jobs if jobs or ray else default_jobs(allowed_cores())
            _work(waiting, make, tally, n_workers=n_workers, ray=ray, on_notice=on_notice)
    return Batch(tally.rows(), out / SUMMARY_NAME)


def _check(folder: Path, out: Path, format: str, jobs: int | None) -> None:
    if format not in get_args(Format):
        raise SettingError("format", format, f"use {', '.join(get_args(Format))}")
    if jobs is not None and jobs < 1:
        raise SettingError("jobs", jobs, "give 1 or more")
    if out.resolve() == folder.resolve():
        raise OutputError(f"{out} is the folder of the sessions; choose another for their mixes")


def _work(
    waiting: Sequence[Job],
    make: Callable[..., BatchWorker],
    tally: Tally,
    *,
    n_workers: int | None,
    ray: str | None,
    on_notice: Callable[[str], None],
) -> None:
    left = {job.folder: job for job in waiting}

    def lost(job: Job, notice: Notice) -> None:
        remove_leftovers(job.target.parent)
        on_notice(str(notice))

    try:
        with each_result(
            waiting,
            make,
            name_of=lambda job: job.name,
            n_workers=n_workers,
            ray=ray,
            make_here=partial(make, on_progress=tally.heard),
            on_lost=lost,
        ) as results:
            for job, result in results:
                del left[job.folder]
                if isinstance(result, WorkerDied):
                    remove_leftovers(job.target.parent)
                    message = f"{result.why} (out of memory?); give it more, or fewer --jobs"
                    result = Outcome(job.name, "failed", message=message)
                tally.done(job, result)
    except BaseException:
        # The processes are gone, and could not clean up.
        for job in left.values():
            remove_leftovers(job.target.parent)
        raise


def default_jobs(n_cores: int) -> int:
    """One session a core, as far as memory goes."""
    try:
        memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return n_cores
    return max(1, min(n_cores, memory_bytes // WORKER_BYTES))


def _anywhere(options: MixOptions) -> MixOptions:
    """The options with paths that mean the same wherever a worker runs."""
    weights = None if options.weights is None else Path(options.weights).absolute()
    style = options.style
    if isinstance(style, Path | str):
        style = Path(style).absolute()
    return replace(options, weights=weights, style=style)
