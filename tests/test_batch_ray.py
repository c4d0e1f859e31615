"""The same batch over Ray, started here with two workers; skipped where Ray is not installed."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from drummix.audio import Audio, write
from drummix.batch import mix_many
from drummix.errors import WeightsError, WorkerError
from drummix.mixing import MixOptions, mix_to_file
from drummix.pool import WorkerDied
from drummix.pool.dispatch import each_done
from drummix.pool.ray_hosts import ray_hosts

pytest.importorskip("ray", reason="Ray is not installed: pip install 'drummix[ray]'")

RATE_HZ = 44_100
UNITY = MixOptions(system="unity")


class Deadly:
    """Ends its process for one job."""

    def result(self, job: str) -> str:
        if job == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return job.upper()


class Refused:
    """Cannot be made."""

    def __init__(self) -> None:
        raise WeightsError("there are no weights here")

    def result(self, job: str) -> str:
        return job


def write_sessions(root: Path) -> Path:
    for seed, name in enumerate(("a", "b", "deep/c")):
        folder = root / name
        folder.mkdir(parents=True)
        rng = np.random.default_rng(seed)
        for stem in ("Kick", "Snare", "OH L", "OH R"):
            samples = 0.1 * rng.standard_normal((1, 20_000), dtype=np.float32)
            write(folder / f"{stem}.wav", Audio(samples, RATE_HZ))
    (root / "broken").mkdir()
    (root / "broken" / "Kick.wav").write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def connected():
    """Ray, started once for the tests of single workers: that takes seconds."""
    with ray_hosts(Deadly, "local", n_hosts=2, n_jobs=2, cores=2):
        yield


def test_two_ray_workers_give_what_mixing_one_by_one_gives(tmp_path, capsys):
    root, out = write_sessions(tmp_path / "in"), tmp_path / "out"
    batch = mix_many(root, out, options=UNITY, jobs=2, ray="local")
    assert [outcome.status for outcome in batch.outcomes] == ["mixed", "mixed", "failed", "mixed"]
    assert "is empty (0 bytes)" in batch.outcomes[2].message
    for name in ("a", "b", "deep/c"):
        target = tmp_path / f"{Path(name).name}.wav"
        mix_to_file(root / name, target, system="unity")
        assert (out / f"{name}.wav").read_bytes() == target.read_bytes()
    assert mix_many(root, out, options=UNITY, jobs=1).count("unchanged") == 3
    assert capsys.readouterr().out == ""


def test_an_address_where_nobody_listens_is_said_at_once(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        started_s = time.monotonic()
        with pytest.raises(WorkerError, match=f"no Ray cluster at '{address}'.*refused"):
            mix_many(write_sessions(tmp_path), tmp_path / "out", options=UNITY, ray=address)
    # Ray itself tries for two minutes.
    assert time.monotonic() - started_s < 30.0


def test_a_cluster_that_refuses_is_one_line(tmp_path, monkeypatch):
    import ray

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        for error in (ConnectionError("nobody is there"), ray.exceptions.RpcError("no\nanswer")):

            def refuse(*arguments, error=error, **options):
                raise error

            monkeypatch.setattr(ray, "init", refuse)
            root = write_sessions(tmp_path / type(error).__name__)
            with pytest.raises(WorkerError, match="RAY_AUTH_MODE=token") as caught:
                mix_many(root, tmp_path / "out", options=UNITY, ray=address)
            assert str(caught.value).startswith(f"there is no Ray cluster at '{address}'")
            assert "\n" not in str(caught.value)


def test_a_cluster_that_runs_already_is_joined_by_its_address(tmp_path, connected):
    import ray

    root, out = write_sessions(tmp_path / "in"), tmp_path / "out"
    address = ray.get_runtime_context().gcs_address
    arguments = ["batch", root, "-o", out, "--system", "unity", "--ray", address, "--jobs", "2"]
    run = subprocess.run(
        [sys.executable, "-m", "drummix", *arguments],
        env=os.environ | {"RAY_AUTH_MODE": "token"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "4 sessions: 3 mixed, 1 failed" in run.stderr
    mix_to_file(root / "deep/c", tmp_path / "c.wav", system="unity")
    assert (out / "deep/c.wav").read_bytes() == (tmp_path / "c.wav").read_bytes()
    assert ray.is_initialized()  # the cluster is not ours to end


def test_without_ray_the_command_names_what_to_install(tmp_path):
    root = write_sessions(tmp_path / "in")
    code = "import sys; sys.modules['ray'] = None; from drummix.cli import main; main()"
    arguments = ["batch", root, "-o", tmp_path / "out", "--system", "unity", "--ray", "local"]
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert run.returncode == 1
    assert "pip install 'drummix[ray]'" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_ray_worker_that_is_killed_takes_one_job_with_it(connected):
    lost = []
    with ray_hosts(Deadly, "local", n_hosts=2, n_jobs=4, cores=2) as hosts:
        done = dict(
            each_done(["a", "kill", "b", "c"], hosts, lost=lambda job, where: lost.append(job))
        )
    assert lost == ["kill"]
    assert isinstance(done.pop("kill"), WorkerDied)
    assert done == {"a": "A", "b": "B", "c": "C"}


def test_what_a_ray_worker_cannot_be_made_of_is_said(connected):
    with (
        ray_hosts(Refused, "local", n_hosts=1, n_jobs=1, cores=1) as hosts,
        pytest.raises(WeightsError, match=r"^there are no weights here$"),
    ):
        list(each_done(["a"], hosts))
