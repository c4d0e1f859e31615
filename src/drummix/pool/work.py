"""The one way of doing the same work on many items: here, in processes, or on a Ray cluster."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from drummix.errors import WorkerError
from drummix.notices import Code, Notice, OnNotice
from drummix.pool.cores import allowed_cores
from drummix.pool.dispatch import WorkerDied, each_done
from drummix.pool.hosts import WorkerFactory, WorkerHost, local_hosts
from drummix.pool.ray_hosts import ray_hosts

Job = TypeVar("Job")


@contextmanager
def each_result(
    jobs: Sequence[Job],
    make: WorkerFactory,
    *,
    name_of: Callable[[Job], str],
    n_workers: int | None = None,
    ray: str | None = None,
    make_here: WorkerFactory | None = None,
    on_lost: Callable[[Job, Notice], None] | None = None,
) -> Iterator[Iterator[tuple[Job, Any]]]:
    """Every job with its result, as they are done; no worker is left when the block ends.

    Args:
        jobs: What is to be done, in this order.
        make: Makes a worker; pickles, and so do jobs and results, where there is another process.
        name_of: What a person calls a job.
        n_workers: How many work at the same time, and never more than jobs: one is this process,
            several are processes of their own. None for one here, or one a core of a cluster.
        ray: Address of a Ray cluster, or ``local`` to start one here; None for no Ray.
        make_here: Makes the worker where it is this process; `make` if not given.
        on_lost: Called with a job that will be done again, and what a person should know of it.

    Yields:
        Jobs, each with its result; `WorkerDied` where that ended its worker twice.

    Raises:
        DrummixError: What a worker raised, or if there is no cluster, or no process can start.
    """

    def lost(job: Job, where: str) -> None:
        if on_lost is not None:
            on_lost(job, Notice.of(Code.TRIED_AGAIN, name_of(job), where=where))

    with (
        _hosts(make, make_here or make, n_workers, ray, len(jobs)) as hosts,
        # Closed when the block ends, however it ends: that ends the workers.
        contextlib.closing(each_done(jobs, hosts, lost=lost)) as results,
    ):
        yield results


def results_in_order(
    jobs: Sequence[Job],
    make: WorkerFactory,
    *,
    name_of: Callable[[Job], str],
    died: Callable[[Job, WorkerDied], Any],
    n_workers: int | None = None,
    ray: str | None = None,
    make_here: WorkerFactory | None = None,
    on_notice: OnNotice | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Any]:
    """The result of each job, in the order of the jobs.

    Args:
        jobs: As for `each_result`.
        make: As for `each_result`.
        name_of: As for `each_result`.
        died: Makes the result of a job that ended its worker twice.
        n_workers: As for `each_result`.
        ray: As for `each_result`.
        make_here: As for `each_result`.
        on_notice: Called with what a person should know meanwhile.
        progress: Called after every job with jobs done, jobs in all, and the name of the last one.

    Raises:
        DrummixError: As `each_result` does.
    """
    results: dict[int, Any] = {}
    with each_result(
        list(enumerate(jobs)),
        partial(_Numbered, make),
        name_of=lambda numbered: name_of(numbered[1]),
        n_workers=n_workers,
        ray=ray,
        make_here=None if make_here is None else partial(_Numbered, make_here),
        on_lost=None if on_notice is None else lambda numbered, notice: on_notice(notice),
    ) as done:
        for (number, job), result in done:
            results[number] = died(job, result) if isinstance(result, WorkerDied) else result
            if progress is not None:
                progress(len(results), len(jobs), name_of(job))
    return [results[number] for number in range(len(jobs))]


class _Numbered:
    """A worker whose jobs come with their numbers."""

    def __init__(self, make: WorkerFactory) -> None:
        self._worker = make()

    def result(self, numbered: tuple[int, Any]) -> Any:
        return self._worker.result(numbered[1])


class FunctionWorker:
    """A worker that is a function of the job, with nothing to load.

    Args:
        function: Gives the result of a job.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.result = function


@contextmanager
def _hosts(
    make: WorkerFactory,
    make_here: WorkerFactory,
    n_workers: int | None,
    ray: str | None,
    n_jobs: int,
) -> Iterator[list[WorkerHost]]:
    """Where the work is done; each worker has its share of the cores."""
    n_cores = allowed_cores()
    if ray is not None and n_jobs:
        with ray_hosts(make, ray, n_hosts=n_workers, n_jobs=n_jobs, cores=n_cores) as hosts:
            yield hosts
        return
    n_hosts = max(1, min(n_workers or 1, n_jobs))
    make = make_here if n_hosts == 1 else make
    yield local_hosts(make, n_hosts, threads=max(1, n_cores // n_hosts))


def check_is_shared(folder: Path) -> None:
    """Check, where a worker runs, that it sees a folder of the one who gives it work.

    Raises:
        WorkerError: If it does not.
    """
    if not folder.is_dir():
        raise WorkerError(
            f"{folder} is not there on {socket.gethostname()}; every machine of a cluster must "
            "see it at the same path, as on a disk that they share"
        )
