"""Work on many items at the same time, in processes that keep what they have loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

from drummix.corpus import processes
from drummix.errors import SettingError

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
        SettingError: If a process was ended from outside.
    """
    if workers < 1:
        raise SettingError(f"{workers} workers; give 1 or more")
    if workers == 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, worker.result(job)
        return
    with ProcessPoolExecutor(
        min(workers, len(jobs)), initializer=_start_worker, initargs=(make,)
    ) as pool:
        try:
            yield from zip(jobs, pool.map(_result_in_worker, jobs), strict=True)
        except BrokenProcessPool:
            raise SettingError(
                "a process of the evaluation was ended from outside (out of memory?); "
                "give fewer workers"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_worker: Worker | None = None


def _start_worker(make: Callable[[], Worker]) -> None:
    global _worker
    processes.start()
    _worker = make()


def _result_in_worker(job: Any) -> Any:
    assert _worker is not None
    return _worker.result(job)
