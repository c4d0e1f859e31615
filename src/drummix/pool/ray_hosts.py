"""Hosts on a Ray cluster: an actor each, which holds the worker.

Ray's dashboard and its usage statistics stay off where we start it.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pickle
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from drummix.errors import MissingExtraError, Parameter, WorkerError
from drummix.pool.hosts import Served, WorkerFactory, WorkerHost, result_in
from drummix.pool.processes import limit_threads

LOCAL = "local"
"""The address that starts Ray on this machine."""

_REACHABLE_S = 10.0
_OBJECT_STORE_BYTES = 100_000_000
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray would start its workers at the lowest priority, where a busy machine forgets them.
    "RAY_worker_niceness": "0",
}


@contextmanager
def ray_hosts(
    make: WorkerFactory,
    address: str,
    *,
    n_hosts: int | None,
    n_jobs: int,
    cores: int,
) -> Iterator[list[WorkerHost]]:
    """Hosts on a cluster, for as long as the block lasts.

    What Ray says on stdout goes to stderr meanwhile.

    Args:
        make: Makes a worker; it must pickle, and so must jobs and results.
        address: ``local`` to start Ray here, else where a cluster is, as `ray.init` takes it. Where
            this process is connected to Ray already, that is used.
        n_hosts: How many; None for one a core of the cluster, and never more than jobs.
        n_jobs: How many jobs there are.
        cores: Cores to use of this machine, for ``local``.

    Raises:
        MissingExtraError: If Ray is not installed.
        WorkerError: If there is no cluster at `address`.
    """
    os.environ.update(_ENVIRONMENT | os.environ)
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtraError(Parameter("ray"), "ray") from error
    with contextlib.redirect_stdout(sys.stderr):
        is_ours = not ray.is_initialized()
        if is_ours:
            _connect(ray, address, max(cores, n_hosts or 1))
        try:
            n_cores = int(ray.cluster_resources().get("CPU", 0))
            wanted = min(n_hosts or n_cores, n_jobs)
            smallest = min(
                (int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]),
                default=1,
            )
            threads = max(1, min(n_cores // max(1, wanted), smallest))
            yield [_RayHost(ray, make, threads) for _ in range(max(1, wanted))]
        finally:
            if is_ours:
                ray.shutdown()


def _connect(ray: Any, address: str, n_cores: int) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == LOCAL:
            ray.init(
                address="local",
                num_cpus=n_cores,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                **quiet,
            )
        else:
            _check_reachable(address)
            ray.init(address=address, **quiet)
    except (ray.exceptions.RayError, ValueError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise WorkerError(
            f"there is no Ray cluster at {address!r} that can be joined ({reason}); check the "
            "address, and set RAY_AUTH_MODE=token where the cluster asks for a token, or give ",
            Parameter("ray", LOCAL),
        ) from error


def _check_reachable(address: str) -> None:
    """Raise OSError at once where nothing listens: Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACHABLE_S).close()


class _RayWorker:
    """What lives in an actor."""

    def start(self, make: WorkerFactory, threads: int) -> bytes:
        limit_threads(threads)
        self._served = Served(make)
        return self._served.made

    def answer_to(self, job: bytes) -> bytes:
        return self._served.answer_to(job)


class _RayHost:
    """An actor: when it dies, its one job is the one that was lost."""

    where = "a Ray worker"

    def __init__(self, ray: Any, make: WorkerFactory, threads: int) -> None:
        self._ray = ray
        self._make = make
        self._threads = threads
        self._actor: Any = None

    def start(self) -> Future[Any]:
        # Ray sets OMP_NUM_THREADS to num_cpus in the actor's process.
        self._actor = self._ray.remote(_RayWorker).options(num_cpus=self._threads).remote()
        return _opened(self._actor.start.remote(self._make, self._threads).future())

    def submit(self, job: Any) -> Future[Any]:
        return _opened(self._actor.answer_to.remote(pickle.dumps(job)).future())

    def is_lost(self, error: BaseException | None) -> bool:
        lost = self._ray.exceptions
        return isinstance(error, lost.RayActorError | lost.OutOfMemoryError)

    def stop(self) -> None:
        if self._actor is not None:
            self._ray.kill(self._actor)
            self._actor = None


def _opened(answered: Future[bytes]) -> Future[Any]:
    """A future of what is in an answer; Ray itself would add its own lines to an exception."""
    opened: Future[Any] = Future()

    def open_answer(answered: Future[bytes]) -> None:
        try:
            opened.set_result(result_in(answered.result()))
        except Exception as error:
            opened.set_exception(error)

    answered.add_done_callback(open_answer)
    return opened
