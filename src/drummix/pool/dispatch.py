"""Who does what next: jobs to hosts that are free, and again where a host was lost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from drummix.errors import WorkerError
from drummix.pool.hosts import WorkerHost, stop_all

Job = TypeVar("Job")

_POLL_S = 0.5


@dataclass(frozen=True)
class WorkerDied:
    """What a job gives whose worker was ended twice, the second time with nothing beside it.

    Args:
        why: In words, as far as it is known.
    """

    why: str


def each_done(
    jobs: Sequence[Job],
    hosts: Sequence[WorkerHost],
    *,
    lost: Callable[[Job, str], None] | None = None,
) -> Generator[tuple[Job, Any]]:
    """Every job with its result, in the order in which they are done.

    A job whose host is ended from outside is done again when all others are, alone: what was
    too much memory beside others may be enough then. One that ends its host again is lost.

    Args:
        jobs: What is to be done, in this order; equal jobs are allowed.
        hosts: Where; stopped in the end, and whatever happens.
        lost: Called with a job that will be done again, and where it was lost.

    Yields:
        A job and its result, or `WorkerDied`.

    Raises:
        WorkerError: If no host could be started.
        Exception: What a worker raised.
    """
    work = _Work(deque(jobs), deque(hosts), lost or (lambda job, where: None))
    try:
        while work.goes_on():
            work.assign()
            yield from work.collect()
    finally:
        stop_all(hosts)


@dataclass
class _Task(Generic[Job]):
    """What a future stands for: a job in a host, or a host that starts."""

    host: WorkerHost
    job: Job | None
    is_job: bool


class _Work(Generic[Job]):
    """What waits, what runs and what is free."""

    def __init__(
        self, waiting: deque[Job], hosts: deque[WorkerHost], said: Callable[[Job, str], None]
    ) -> None:
        self._waiting = waiting
        self._again: deque[Job] = deque()
        self._is_again = False
        self._stopped = hosts
        self._free: deque[WorkerHost] = deque()
        self._running: dict[Future[Any], _Task[Job]] = {}
        self._said = said
        self._failed_starts = 0
        self._n_hosts = len(hosts)

    def _jobs_running(self) -> int:
        return sum(task.is_job for task in self._running.values())

    def goes_on(self) -> bool:
        return bool(self._waiting or self._again or self._jobs_running())

    def assign(self) -> None:
        # No more hosts than jobs: starting one takes seconds.
        n_left = len(self._waiting) + len(self._again)
        while self._stopped and len(self._free) + self._starting() < n_left:
            self._run(self._stopped.popleft(), None, is_job=False)
        while self._free and self._waiting:
            self._run(self._free.popleft(), self._waiting.popleft(), is_job=True)
        if self._free and self._again and not self._waiting and not self._jobs_running():
            self._is_again = True
            self._run(self._free.popleft(), self._again.popleft(), is_job=True)

    def _starting(self) -> int:
        return len(self._running) - self._jobs_running()

    def _run(self, host: WorkerHost, job: Job | None, *, is_job: bool) -> None:
        future = host.submit(job) if is_job else host.start()
        self._running[future] = _Task(host, job, is_job)

    def collect(self) -> Iterator[tuple[Job, Any]]:
        """Wait a moment for something to be done; give the jobs that are."""
        done, _ = wait(self._running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
        for future in done:
            task = self._running.pop(future)
            error = future.exception()
            if error is None:
                self._free.append(task.host)
                if task.is_job:
                    yield task.job, future.result()  # type: ignore[misc]
            elif task.host.is_lost(error):
                yield from self._lose(task)
            else:
                raise error

    def _lose(self, task: _Task[Job]) -> Iterator[tuple[Job, Any]]:
        task.host.stop()
        self._stopped.append(task.host)
        if not task.is_job:
            self._failed_starts += 1
            if self._failed_starts > 2 * self._n_hosts:
                raise WorkerError(
                    f"{task.host.where} was ended from outside as often as it was started "
                    "(out of memory?); give fewer at a time"
                )
        elif self._is_again:
            yield task.job, WorkerDied(f"{task.host.where} was ended from outside again, alone")  # type: ignore[misc]
        else:
            self._said(task.job, task.host.where)  # type: ignore[arg-type]
            self._again.append(task.job)  # type: ignore[arg-type]
