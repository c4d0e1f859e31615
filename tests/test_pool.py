"""Jobs in several processes: how those are started, what ends them, and what becomes of jobs."""

import ast
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from drummix.errors import CorpusError, WorkerError
from drummix.pool import (
    FunctionWorker,
    Shared,
    WorkerDied,
    allowed_cores,
    each_result,
    on_one_blas_thread,
    results_in_order,
)
from drummix.pool.dispatch import each_done
from drummix.pool.hosts import local_hosts

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "drummix"


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
            local_hosts(partial(Deadly, tmp_path), 2),
            lost=lambda job, where: lost.append(job),
        )
    )
    assert sorted(lost) == ["kill always", "kill once"]
    assert set(done) == set(jobs)
    assert isinstance(done.pop("kill always"), WorkerDied)
    assert all(result[0] == job for job, result in done.items())


def test_results_come_in_the_order_of_the_jobs_and_name_the_job_that_killed(tmp_path):
    told = []
    results = results_in_order(
        ["one", "kill always", "two"],
        partial(Deadly, tmp_path),
        name_of=lambda job: f"item {job}",
        died=lambda job, died: (f"{job} {died.why}", 0),
        n_workers=2,
        on_notice=told.append,
    )
    why = "kill always a process was ended from outside again, alone"
    assert [job for job, _ in results] == ["one", why, "two"]
    assert [str(notice) for notice in told] == [
        "a process was ended from outside (out of memory?) while it worked on item kill always; "
        "that is tried again after the others, alone"
    ]


class Counting:
    """Counts how often workers are made."""

    def __init__(self, made: list[int]) -> None:
        made.append(1)

    def result(self, job: int) -> int:
        return job + 1


def test_a_worker_is_made_once_for_all_jobs():
    made: list[int] = []
    results = dict(each_done(range(5), local_hosts(partial(Counting, made), 1)))
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
        list(each_done([1, 2], local_hosts(Hopeless, 2)))


@pytest.mark.parametrize("n_threads", [1, 2, 4])
def test_on_one_blas_thread_means_every_blas_that_is_loaded_and_only_for_so_long(n_threads):
    def counts():
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    with threadpool_limits(n_threads, user_api="blas"):
        assert on_one_blas_thread(counts)() == {1}
        assert counts() == {n_threads}


# What goes wrong in a worker.


class UnportableError(Exception):
    """Cannot be made of its message alone, so that no other process can read it."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def fail(job: str) -> object:
    if job == "ours":
        raise CorpusError("snare.wav is damaged")
    if job == "unportable":
        raise UnportableError("this is what happened", "")
    return lambda: job  # pickles as little as an open file


@pytest.mark.parametrize(
    ("job", "kind", "says"),
    [
        ("ours", CorpusError, "^snare.wav is damaged$"),
        ("unportable", RuntimeError, "UnportableError: this is what happened"),
        ("a result that cannot be sent", Exception, "pickle"),
    ],
)
def test_what_a_worker_raises_is_raised_here_with_the_place_where_it_was(job, kind, says):
    with pytest.raises(kind, match=says) as caught:
        results_in_order(
            [job, job],
            partial(FunctionWorker, fail),
            name_of=str,
            died=lambda job, died: died,
            n_workers=2,
        )
    # What a user got wrong has no trace, a bug has one.
    notes = "".join(getattr(caught.value, "__notes__", ()))
    assert ("in answer_to" in notes) == (kind is not CorpusError)
    assert not multiprocessing.active_children()


def test_a_block_that_is_left_early_leaves_no_process():
    make = partial(FunctionWorker, time.sleep)
    with each_result([0.0, 600.0, 600.0], make, name_of=str, n_workers=2) as results:
        next(results)
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()


# What processes share.


def sum_and_own_mb(given: Shared[dict[str, np.ndarray]]) -> tuple[float, float, bool]:
    """The sum of an array, what holding and reading it took of memory, whether it can change."""
    array = given.value["take"]
    before = own_mb()
    total = float(sum(float(part.sum()) for part in np.array_split(array, 100)))
    return total, own_mb() - before, array.flags.writeable


def own_mb() -> float:
    """Memory of this process that is no part of a file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


class Holding:
    """Is handed a shared value when it is made."""

    def __init__(self, shared: Shared[dict[str, np.ndarray]]) -> None:
        self._held = shared

    def result(self, job: int) -> tuple[float, float, bool]:
        return sum_and_own_mb(self._held)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told by Linux")
def test_a_shared_value_takes_no_memory_of_a_process_that_it_is_handed_to():
    takes = {"take": np.ones((8, 2_000_000), np.float32), "empty": np.zeros((0,), np.float32)}
    hosts = local_hosts(partial(Holding, Shared(takes)), 2)
    for _, (total, mb, can_change) in each_done([1, 2], hosts):
        assert total == 16_000_000
        assert mb < 5.0  # of 64
        assert not can_change


# How processes are started.


def cores_and_threads(job: int) -> tuple[int, list[int]]:
    time.sleep(0.2)  # until the other one has started
    import numpy  # noqa: F401

    return allowed_cores(), [pool["num_threads"] for pool in threadpool_info()]


def test_a_process_uses_its_share_of_the_cores():
    hosts = local_hosts(partial(FunctionWorker, cores_and_threads), 2, threads=1)
    for _, (cores, threads) in each_done([1, 2], hosts):
        assert cores == 1
        assert set(threads) <= {1}


SCRIPT = """
import os, sys
from functools import partial
import numpy
import drummix.mixing  # which loads what a batch loads
from drummix.pool import FunctionWorker, results_in_order
def results(function, jobs):
    make = partial(FunctionWorker, function)
    return results_in_order(jobs, make, name_of=str, died=None, n_workers=2)
"""
NO_GUARD = SCRIPT + 'print("main", results(abs, [-1, -2, -3]))\n'
NO_GUARD_SAYS = "main [1, 2, 3]\n"
GUARD = (
    SCRIPT
    + """
def double(job):
    return 2 * job
if __name__ == "__main__":
    print("main", results(double, [1, 2, 3]))
"""
)


def run(*arguments: object, text: str = "") -> str:
    environment = {name: value for name, value in os.environ.items() if "_THREADS" not in name}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        input=text,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    # A console writes its prompts there.
    assert (done.returncode, done.stderr.strip(">. \n")) == (0, "")
    return done.stdout


def test_a_script_needs_no_guard_and_its_own_functions_work_with_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(NO_GUARD)
    assert run(script) == NO_GUARD_SAYS
    script.write_text(GUARD)
    assert run(script) == "main [2, 4, 6]\n"


@pytest.mark.parametrize("arguments", [["-"], ["-c", NO_GUARD], ["-q", "-i"]], ids=str)
def test_without_a_file_for_the_main_module_processes_start_as_well(arguments):
    # As typed into a console, or in a notebook.
    lines = SCRIPT + "\n" + NO_GUARD.removeprefix(SCRIPT)
    assert run(*arguments, text=lines if arguments[0] != "-c" else "") == NO_GUARD_SAYS


@pytest.mark.skipif(sys.platform != "linux", reason="there is no server to fork elsewhere")
def test_what_is_forked_has_no_threads_and_has_loaded_what_is_loaded_here():
    code = "from test_pool import threads_of_parent\nprint(results(threads_of_parent, [1, 2]))"
    found = run("-c", f"import sys; sys.path[:0] = {sys.path!r}\n{SCRIPT}\n{code}")
    assert found == "[(1, True), (1, True)]\n"


def threads_of_parent(job: int) -> tuple[int, bool]:
    """Threads of the process that this one was forked from; whether a module came with it."""
    return len(list(Path(f"/proc/{os.getppid()}/task").iterdir())), "drummix.mixing" in sys.modules


def test_processes_are_started_in_one_place():
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "pool":
            continue
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                module = getattr(node, "module", None) or ""
                assert not any("multiprocessing" in name for name in (module, *names)), path
                assert "ProcessPoolExecutor" not in names, path
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("fork", "forkpty"), path
        assert text.count("= ClipLoader(") == text.count("multiprocessing_context=context"), path
