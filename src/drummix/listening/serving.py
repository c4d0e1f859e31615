"""The server process of a study: one socket, one process, one writer."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from drummix.errors import Parameter, SettingError
from drummix.listening.addresses import Door, check_url
from drummix.listening.build import STUDY_NAME, BuiltStudy, read_built
from drummix.listening.connections import ConnectionLimits, ShortLog, guarded
from drummix.listening.server import create_app
from drummix.listening.store import DATABASE_NAME, ResultStore

_ENOUGH_FILES = 2048
_QUEUE = 512
_FEWEST = 8


@dataclass(frozen=True)
class Serving:
    """A server that is about to answer.

    Args:
        built: The study.
        url: Where listeners reach it.
        admin_link: The experimenter's page, with its token after the #.
        own_url: Where the server itself listens.
    """

    built: BuiltStudy
    url: str
    admin_link: str
    own_url: str


def serve(
    folder: Path,
    *,
    host: str,
    port: int,
    n_proxies: int = 0,
    url: str | None = None,
    started: Callable[[Serving], None],
) -> None:
    """Serve a study until the process is told to stop.

    Args:
        folder: Folder of the study.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        n_proxies: How many proxies stand before the server; each is believed what it adds to
            X-Forwarded-For.
        url: Where listeners reach the server; if None, `host` and port, or this machine's address
            where `host` is all of its addresses.
        started: Called when the port is taken, before the first answer.

    Raises:
        SettingError: If the folder is no study, it is being served already, or the port is taken.
    """
    if not 0 <= n_proxies <= 10:
        raise SettingError("n_proxies", n_proxies, "expected how many proxies there are, 0 to 10")
    public = None if url is None else check_url(url)
    built = read_built(folder)
    with _only_server(folder), _listening(host, port) as sock:
        port = sock.getsockname()[1]
        own = f"http://{_in_url(host)}:{port}"
        reached = public or f"http://{_in_url(_reached_at(sock, host))}:{port}"
        # A store that is damaged or cannot be written is said before anybody is told to come.
        with ResultStore(folder / DATABASE_NAME) as store:
            store.note_url(reached)
        started(Serving(built, reached, f"{reached}/admin#{built.admin_token}", own))
        n_files = _raised_file_limit()
        n_at_once = max(1, n_files // 16)
        limits = ConnectionLimits(
            # It takes some rounds until what came in at once is counted, and what has to go is
            # closed; the study's own files need some, too.
            n_all=max(_FEWEST, min(1000, n_files - 6 * n_at_once - 64)),
            n_of_client=None if n_proxies else ConnectionLimits.n_of_client,
        )
        config = uvicorn.Config(
            create_app(built, Door(reached, n_proxies)),
            http=guarded(limits),
            loop="asyncio",
            backlog=n_at_once,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
            ws="none",
        )
        for name in ("uvicorn.error", "asyncio", "drummix.listening"):
            logging.getLogger(name).addFilter(ShortLog())
        _Server(config).run(sockets=[sock])


class _Server(uvicorn.Server):
    """uvicorn's server, which takes in no more connections at once than its backlog."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # In the system's queue many more may wait for their turn.
        for sock in sockets or ():
            sock.listen(_QUEUE)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _reached_at(sock: socket.socket, host: str) -> str:
    """What other machines call a host to listen on: nobody can open 0.0.0.0."""
    if sock.getsockname()[0] not in ("0.0.0.0", "::"):
        return host
    far_away = ("2001:db8::1", 9) if sock.family == socket.AF_INET6 else ("192.0.2.1", 9)
    try:
        # Nothing is sent; the system tells which of its addresses it would send from.
        with socket.socket(sock.family, socket.SOCK_DGRAM) as probe:
            probe.connect(far_away)
            return str(probe.getsockname()[0])
    except OSError:  # no network
        return socket.gethostname()


def _raised_file_limit() -> int:
    """How many files this process may have open; more than the usual 1024, where it may."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return _ENOUGH_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = (resource.RLIM_INFINITY, -1)
    wanted = _ENOUGH_FILES if hard in unlimited else min(hard, _ENOUGH_FILES)
    if soft not in unlimited and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _ENOUGH_FILES if soft in unlimited else soft


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            # Here, so that whoever is told the address can connect at once.
            sock.listen(_QUEUE)
        except BaseException:
            sock.close()
            raise
    except (OSError, OverflowError) as error:
        raise SettingError(
            "port",
            port,
            "choose another, 0 for a free one, or another ",
            Parameter("host"),
            problem=f"{port} of {host} cannot be listened on ({error})",
        ) from error
    with sock:
        yield sock


@contextmanager
def _only_server(folder: Path) -> Iterator[None]:
    """Two servers of one study would each miss what the other takes in."""
    try:
        import fcntl
    except ImportError:  # Windows has none, and there the port is the only guard.
        yield
        return
    with (folder / STUDY_NAME).open("rb") as card:
        try:
            fcntl.flock(card, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingError(
                "folder", folder, "stop that server first", problem=f"{folder} is served already"
            ) from None
        yield
