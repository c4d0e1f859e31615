"""Lanes: places where one worker does one job at a time and keeps what it has loaded.

A worker is made in its lane by a function without arguments, once, and does every job there.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from typing import Any, Protocol

from drummix.errors import SettingError
from drummix.pool import processes

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Worker(Protocol):
    """Whatever turns a job into a result; an exception from it is a bug and ends all work."""

    def result(self, job: Any) -> Any:
        """The result of a job."""


LaneMaker = Callable[[], Worker]
"""Makes a lane's worker; must pickle where the lane is a process."""


class Lane(Protocol):
    """A place where one worker does one job at a time."""

    where: str
    """What to call it when it is lost."""

    def start(self) -> Future[Any]:
        """Make the worker, again if the lane was lost; done when it is ready for a job."""

    def submit(self, job: Any) -> Future[Any]:
        """Do a job; done with its result, or with an exception."""

    def is_lost(self, error: BaseException | None) -> bool:
        """Whether an exception of a future means that the lane was ended from outside."""

    def stop(self) -> None:
        """End the lane at once, whatever it does."""


def local_lanes(make: LaneMaker, n_lanes: int, *, threads: int = 1) -> list[Lane]:
    """Lanes on this machine: this very process for one, else a new process each.

    Args:
        make: Makes a worker.
        n_lanes: How many.
        threads: Threads of the numeric libraries in each process.

    Raises:
        SettingError: If there is no lane.
    """
    if n_lanes < 1:
        raise SettingError("n_lanes", n_lanes, "give 1 or more")
    if n_lanes == 1:
        return [_HereLane(make)]
    return [_ProcessLane(make, threads) for _ in range(n_lanes)]


class _HereLane:
    """This process: a job is done by the time it is submitted."""

    where = "this process"

    def __init__(self, make: LaneMaker) -> None:
        self._make = make
        self._worker: Worker | None = None

    def start(self) -> Future[Any]:
        self._worker = self._make()
        return _done(None)

    def submit(self, job: Any) -> Future[Any]:
        assert self._worker is not None
        return _done(self._worker.result(job))

    def is_lost(self, error: BaseException | None) -> bool:
        return False

    def stop(self) -> None:
        self._worker = None


def _done(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(result)
    return future


class _ProcessLane:
    """A process of its own: when it dies, its one job is the one that was lost."""

    where = "a process"

    def __init__(self, make: LaneMaker, threads: int) -> None:
        self._make = make
        self._threads = threads
        self._executor: ProcessPoolExecutor | None = None
        self._process_id: int | None = None

    def start(self) -> Future[Any]:
        # Spawned, not forked: a fork would copy locks that this process's threads may hold.
        self._executor = ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=processes.start
        )
        with _environment(self._threads):
            future = self._executor.submit(_make_worker, self._make)
        future.add_done_callback(self._note_process)
        return future

    def _note_process(self, started: Future[Any]) -> None:
        if not started.cancelled() and started.exception() is None:
            self._process_id = started.result()

    def submit(self, job: Any) -> Future[Any]:
        assert self._executor is not None
        return self._executor.submit(_result_of, job)

    def is_lost(self, error: BaseException | None) -> bool:
        return isinstance(error, BrokenProcessPool)

    def stop(self) -> None:
        if self._executor is None:
            return
        if self._process_id is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process_id, signal.SIGTERM)
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor, self._process_id = None, None


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """What a new process finds in its environment: numeric libraries read it when loaded."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_worker: Worker | None = None


def _make_worker(make: LaneMaker) -> int:
    global _worker
    _worker = make()
    return os.getpid()


def _result_of(job: Any) -> Any:
    assert _worker is not None
    return _worker.result(job)


def stop_all(lanes: Sequence[Lane]) -> None:
    """End every lane at once."""
    for lane in lanes:
        lane.stop()
