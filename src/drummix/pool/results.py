"""The same work on many things, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from drummix.errors import Parameter, SettingError, WorkerError
from drummix.pool import processes

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def results_of(
    work: Callable[[Thing], Result],
    things: Sequence[Thing],
    *,
    workers: int,
    start: Callable[[], None] = processes.start,
) -> Iterator[Result]:
    """The result of each thing, in order, as it comes.

    Args:
        work: What to do; it and the things must pickle where there are several workers.
        things: What to do it with.
        workers: Processes that work at the same time.
        start: What each of several processes does first; `processes.start` is part of it.

    Raises:
        SettingError: If `workers` is below 1.
        WorkerError: If a process was ended from outside.
    """
    if workers < 1:
        raise SettingError("workers", workers, "give 1 or more")
    if workers == 1 or len(things) < 2:
        yield from map(work, things)
        return
    with ProcessPoolExecutor(min(workers, len(things)), initializer=start) as pool:
        try:
            yield from pool.map(work, things)
        except BrokenProcessPool:
            raise WorkerError(
                "a process was ended from outside (out of memory?); give fewer ",
                Parameter("workers"),
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
