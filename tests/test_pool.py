"""Jobs in several processes: one that dies takes one job with it, and that once."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from drummix.errors import WorkerError
from drummix.pool import Lost, each_done, local_lanes, on_one_blas_thread


class Deadly:
    """Ends its process for a job: always, or only the first time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def result(self, job: str) -> tuple[str, int]:
        if job.startswith("kill"):
            marker = self._folder / job
            if job == "kill always" or not marker.exists():
                marker.touch()
                # The other one is in the middle of its job by then.
                time.sleep(0.2)
                os.kill(os.getpid(), signal.SIGKILL)
        return job, os.getpid()


def test_a_process_that_is_killed_takes_one_job_with_it_and_that_once(tmp_path):
    jobs = ["one", "kill once", "kill always", "two", "three"]
    lost: list[str] = []
    done = dict(
        each_done(
            jobs,
            local_lanes(partial(Deadly, tmp_path), 2),
            lost=lambda job, where: lost.append(job),
        )
    )
    assert sorted(lost) == ["kill always", "kill once"]
    assert set(done) == set(jobs)
    assert isinstance(done.pop("kill always"), Lost)
    assert all(result[0] == job for job, result in done.items())


class Counting:
    """Counts how often workers are made."""

    def __init__(self, made: list[int]) -> None:
        made.append(1)

    def result(self, job: int) -> int:
        return job + 1


def test_a_worker_is_made_once_for_all_jobs():
    made: list[int] = []
    results = dict(each_done(range(5), local_lanes(partial(Counting, made), 1)))
    assert results == {job: job + 1 for job in range(5)}
    assert made == [1]


class Hopeless:
    """Ends its process before there is a worker."""

    def __init__(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def result(self, job: int) -> int:
        return job


def test_processes_that_never_start_end_the_work():
    with pytest.raises(WorkerError, match="as often as it was started"):
        list(each_done([1, 2], local_lanes(Hopeless, 2)))


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_on_one_blas_thread_means_every_blas_that_is_loaded_and_only_for_so_long(n_threads):
    def counts():
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    with threadpool_limits(n_threads, user_api="blas"):
        assert on_one_blas_thread(counts)() == {1}
        assert counts() == {n_threads}
