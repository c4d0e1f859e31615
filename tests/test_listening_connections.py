"""Connections of a listening server: who dawdles loses theirs, and nobody waits for it."""

import asyncio
import http.client
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra `listen` is not installed")

import uvicorn

from drummix.listening.connections import ConnectionLimits, ShortLog, guarded
from test_listening_load import start_server

LIMITS = ConnectionLimits(n_all=20, n_of_client=None, head_s=0.6, body_s=1.2, answer_s=1.2)
LARGE = 30_000_000


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, wait as long as the path says, answer much or little."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/slow":
        await asyncio.sleep(2.5)
    body = bytes(LARGE if scope["path"] == "/large" else 2)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def served(limits: ConnectionLimits) -> Iterator[int]:
    """Serve the application in a thread; gives the port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as sock:
        config = uvicorn.Config(app, http=guarded(limits), lifespan="off", log_level="critical")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        yield sock.getsockname()[1]
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served(LIMITS) as found:
        yield found


def seconds_until_closed(connection: socket.socket) -> float:
    """Wait until the server hangs up."""
    connection.settimeout(10)
    start_s = time.monotonic()
    with suppress(ConnectionError):
        while connection.recv(1000):
            pass
    return time.monotonic() - start_s


def status(port: int, path: str = "/") -> int:
    """Ask as a listener's browser does."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status


@pytest.mark.parametrize(
    ("sent", "limit_s"),
    [
        (b"", LIMITS.head_s),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: ", LIMITS.head_s),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab", LIMITS.body_s),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT", LIMITS.head_s),
    ],
)
def test_a_request_that_does_not_end_loses_its_connection(
    port: int, sent: bytes, limit_s: float
) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(sent)
        assert limit_s - 0.1 < seconds_until_closed(connection) < limit_s + 2.0


def test_a_header_sent_byte_by_byte_gains_no_time(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        start_s = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - start_s < 10:
                connection.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - start_s < LIMITS.head_s + 2.0


def test_an_answer_that_nobody_reads_is_dropped(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(LIMITS.answer_s + 2.0)
        connection.settimeout(10)
        n_bytes = 0
        with suppress(ConnectionError):
            while piece := connection.recv(1 << 20):
                n_bytes += len(piece)
        assert n_bytes < LARGE


def test_an_answer_that_the_server_takes_long_for_is_waited_for(port: int) -> None:
    assert status(port, "/slow") == 200


def test_an_answer_that_is_read_slowly_but_steadily_comes_whole(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        connection.settimeout(10)
        n_bytes, start_s = 0, time.monotonic()
        while piece := connection.recv(1 << 20):
            n_bytes += len(piece)
            time.sleep(0.05)
        assert n_bytes > LARGE
        assert time.monotonic() - start_s > LIMITS.answer_s


def test_a_new_client_is_answered_although_all_places_are_taken(port: int) -> None:
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(LIMITS.n_all)]
    start_s = time.monotonic()
    assert status(port) == 200
    assert time.monotonic() - start_s < LIMITS.head_s
    for connection in idle:
        connection.close()


def test_one_address_takes_no_more_than_its_share() -> None:
    limits = ConnectionLimits(n_all=100, n_of_client=5, head_s=30.0)
    with served(limits) as port:
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]
        assert status(port) == 200
        # The first have waited for longest, and went for the later ones.
        assert seconds_until_closed(idle[0]) < 1.0
        idle[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            idle[-1].recv(1)
        for connection in idle:
            connection.close()


@pytest.mark.parametrize("options", [(), ("--behind-proxy", "1")])
def test_listeners_are_answered_beside_1100_idle_and_half_sent_connections(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    log = tmp_path / "log"
    with log.open("wb") as errors:
        _, url, server = start_server(tmp_path, *options, errors=errors)
    port = int(url.rstrip("/").rpartition(":")[2])
    sent = (b"", b"POST /api/events HTTP/1.1\r\nHost: x", b"no HTTP at all\r\n\r\n")
    try:
        held = []
        for n in range(1100):
            connection = socket.create_connection(("127.0.0.1", port), timeout=10)
            held.append(connection)
            connection.sendall(sent[n % 3])
        for _ in range(20):
            start_s = time.monotonic()
            assert status(port) == 200
            assert time.monotonic() - start_s < 2.0
        for connection in held:
            connection.close()
    finally:
        server.kill()
        server.wait()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert log.stat().st_size < 4000


def test_a_log_says_the_same_a_few_times_and_then_counts() -> None:
    shown = []
    for n in range(400):
        line = logging.LogRecord("uvicorn.error", 30, "", 0, "bad %s\n\x1b", ("x" * 999,), None)
        line.created = n * 0.1
        if ShortLog.filter(LOG, line):
            shown.append(line.getMessage())
    assert 5 <= len(shown) <= 10
    assert all(len(text) < 400 and text.isprintable() for text in shown)
    assert sum(int(text.partition("(")[2].partition(" ")[0] or 0) for text in shown) > 250


LOG = ShortLog()
