"""Work on many items at the same time, in processes that keep what they have loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from drummix.pool import processes, results_of

Job = TypeVar("Job")


class Worker(Protocol):
    """Whatever turns a job into a result."""

    def result(self, job: Any) -> Any:
        """The result of a job."""


def each_result(
    worker: Worker, make: Callable[[], Worker], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Any]]:
    """Every job with its result, in the order of the jobs.

    Args:
        worker: Does the work where there is one process.
        make: Makes a worker in each of several processes; must be picklable.
        jobs: What is to be done.
        workers: Number of processes.

    Raises:
        SettingError: If `workers` is below 1, or a process was ended from outside.
    """
    is_here = workers == 1 or len(jobs) < 2
    work = worker.result if is_here else _result_in_worker
    results = results_of(work, jobs, workers=workers, start=partial(_start_worker, make))
    return zip(jobs, results, strict=True)


_worker: Worker | None = None


def _start_worker(make: Callable[[], Worker]) -> None:
    global _worker
    processes.start()
    _worker = make()


def _result_in_worker(job: Any) -> Any:
    assert _worker is not None
    return _worker.result(job)
