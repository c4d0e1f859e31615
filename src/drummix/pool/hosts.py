"""Hosts: places where one worker does one job at a time and keeps what it has loaded.

A worker is made in its host, once, and does every job there.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Protocol

from drummix.errors import DrummixError
from drummix.pool import processes
from drummix.pool.context import Process, context


class Worker(Protocol):
    """Whatever turns a job into a result; an exception from it ends all work."""

    def result(self, job: Any, /) -> Any:
        """The result of a job."""


WorkerFactory = Callable[[], Worker]
"""Makes a worker; must pickle where the host is another process."""


class WorkerHost(Protocol):
    """A place where one worker does one job at a time."""

    where: str
    """What to call it when it is lost."""

    def start(self) -> Future[Any]:
        """Make the worker, again if the host was lost; done when it is ready for a job."""

    def submit(self, job: Any) -> Future[Any]:
        """Do a job; done with its result, or with an exception."""

    def is_lost(self, error: BaseException | None) -> bool:
        """Whether an exception of a future means that the host was ended from outside."""

    def stop(self) -> None:
        """End the host at once, whatever it does."""


def local_hosts(make: WorkerFactory, n_hosts: int, *, threads: int = 1) -> list[WorkerHost]:
    """Hosts on this machine: this very process for one, else a new process each.

    Args:
        make: Makes a worker.
        n_hosts: How many, 1 or more.
        threads: Threads of each worker in a process of its own; this one keeps those that it has.
    """
    if n_hosts == 1:
        return [_ThisProcess(make)]
    return [_ProcessHost(make, threads) for _ in range(n_hosts)]


class _ThisProcess:
    """This process: a job is done by the time it is submitted."""

    where = "this process"

    def __init__(self, make: WorkerFactory) -> None:
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


class _EndedError(Exception):
    """A process is gone before it answered."""


class _ProcessHost:
    """A process of its own: when it dies, its one job is the one that was lost."""

    where = "a process"

    def __init__(self, make: WorkerFactory, threads: int) -> None:
        self._make = make
        self._threads = threads
        self._process: Process | None = None

    def start(self) -> Future[Any]:
        self._connection, theirs = context.Pipe()
        arguments = (theirs, self._make, self._threads)
        self._process = Process(target=_serve, args=arguments, daemon=True)
        # A thread of its own waits for each answer.
        self._waiting = ThreadPoolExecutor(1, "drummix-host")
        self._process.start()
        theirs.close()
        return self._waiting.submit(self._answer)

    def submit(self, job: Any) -> Future[Any]:
        return self._waiting.submit(self._answer, (job,))

    def _answer(self, jobs: tuple[Any, ...] = ()) -> Any:
        """Hand over a job, if there is one, and wait for what comes of it."""
        try:
            for job in jobs:
                self._connection.send(job)
            answer = self._connection.recv_bytes()
        except (EOFError, OSError) as gone:
            raise _EndedError from gone
        return result_in(answer)

    def is_lost(self, error: BaseException | None) -> bool:
        return isinstance(error, _EndedError)

    def stop(self) -> None:
        if self._process is None:
            return
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()
        self._waiting.shutdown(wait=True, cancel_futures=True)
        self._connection.close()
        self._process = None


def _serve(connection: Connection, make: WorkerFactory, threads: int) -> None:
    """What a process does: make a worker, and answer every job, until its parent is gone."""
    processes.start()
    processes.limit_threads(threads)
    # An answer that cannot be delivered is for nobody.
    with suppress(EOFError, OSError):
        served = Served(make)
        connection.send_bytes(served.made)
        while True:
            connection.send_bytes(served.answer_to(connection.recv_bytes()))


class Served:
    """A worker in another process, where everything that comes of it is a pickled answer.

    Args:
        make: Makes the worker.

    Attributes:
        made: Whether it could be made: an answer without a result.
    """

    def __init__(self, make: WorkerFactory) -> None:
        self.made = pickle.dumps((None, None))
        try:
            self._worker = make()
        except Exception as error:
            self.made = pickle.dumps((None, _portable(error)))

    def answer_to(self, job: bytes) -> bytes:
        """The answer to a pickled job: its result and None, or None and what was raised."""
        try:
            return pickle.dumps((self._worker.result(pickle.loads(job)), None))
        except Exception as error:
            return pickle.dumps((None, _portable(error)))


def result_in(answer: bytes) -> Any:
    """The result in the answer of a worker, or raise what it raised."""
    result, error = pickle.loads(answer)
    if error is not None:
        raise error
    return result


def _portable(error: Exception) -> Exception:
    """An exception that can be handed to another process; a bug with the place where it is."""
    trace = "".join(traceback.format_exception(error))
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    if not isinstance(error, DrummixError):
        error.add_note(f"\nIn process {os.getpid()}:\n{trace}")
    return error


def stop_all(hosts: Sequence[WorkerHost]) -> None:
    """End every host at once."""
    for host in hosts:
        host.stop()
