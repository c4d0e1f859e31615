"""How many connections a listening server holds, and how long a client may take for its part.

In: connections from anybody. A client that says nothing, sends a request byte by byte, or does not
read its answer loses its connection after a while; where there are too many, those that have waited
for longest go first, so that whoever asks now is answered.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from drummix.listening.limits import RateLimit

_SWEEP_S = 0.5
_MAX_LINE_CHARS = 300


@dataclass(frozen=True)
class ConnectionLimits:
    """What clients may take.

    Args:
        n_all: Connections in all.
        n_of_client: Connections of one address; None where all clients come from a proxy's.
        head_s: For a request's line and headers, from the connection or the last answer on.
        body_s: For its body, from the headers on.
        answer_s: For reading any of the answer.
    """

    n_all: int
    n_of_client: int | None = 250
    head_s: float = 10.0
    body_s: float = 30.0
    answer_s: float = 30.0


class Guard:
    """Watches all connections of a server.

    Args:
        limits: What clients may take.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._connections: dict[GuardedProtocol, None] = {}
        self._of_client: Counter[str] = Counter()
        self._sweep: asyncio.TimerHandle | None = None

    def add(self, connection: GuardedProtocol) -> None:
        """Watch a connection; another one may have to go for it."""
        self._connections[connection] = None
        self._of_client[connection.address] += 1
        n_of_client = self._limits.n_of_client
        if n_of_client is not None and self._of_client[connection.address] > n_of_client:
            self._drop_longest_waiting(connection, connection.address)
        elif len(self._connections) > self._limits.n_all:
            self._drop_longest_waiting(connection, None)
        if self._sweep is None:
            self._sweep = connection.loop.call_later(_SWEEP_S, self._look, connection.loop)

    def remove(self, connection: GuardedProtocol) -> None:
        """Watch it no longer; once more does no harm."""
        if connection in self._connections:
            del self._connections[connection]
            self._of_client -= Counter([connection.address])

    def _drop_longest_waiting(self, new: GuardedProtocol, address: str | None) -> None:
        """Drop who has kept the server waiting for longest; the new one where nobody has."""
        waiting = [
            one
            for one in self._connections
            if address in (None, one.address) and one.waits_for_client and one is not new
        ]
        self._drop(min(waiting, key=lambda one: one.since_s, default=new))

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        for connection in list(self._connections):
            if now_s > connection.deadline_s(now_s, self._limits):
                self._drop(connection)
        self._sweep = None
        if self._connections:
            self._sweep = loop.call_later(_SWEEP_S, self._look, loop)

    def _drop(self, connection: GuardedProtocol) -> None:
        self.remove(connection)
        connection.transport.abort()


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol under the eyes of a guard.

    Args:
        guard: The guard.
        options: Those of `H11Protocol`.
    """

    def __init__(self, guard: Guard, **options: Any) -> None:
        super().__init__(**options)
        self._guard = guard
        self._stage: tuple[object, ...] = ()
        self.address = ""
        self.since_s = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._guard.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no longer."""
        self._guard.remove(self)
        super().connection_lost(exc)

    @property
    def waits_for_client(self) -> bool:
        """Whether the next thing to come is a request, or the rest of one."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def deadline_s(self, now_s: float, limits: ConnectionLimits) -> float:
        """When the client must have done its part; infinite where it is the server's turn."""
        unsent = self.transport.get_write_buffer_size()
        state = self.conn.their_state
        # Each request has a cycle of its own, and an answer that is being read becomes shorter.
        stage = (state, id(self.cycle), unsent, self.transport.is_closing())
        if stage != self._stage:
            self._stage, self.since_s = stage, now_s
        if unsent or self.transport.is_closing():
            return self.since_s + limits.answer_s
        if state is h11.IDLE:
            return self.since_s + limits.head_s
        return self.since_s + limits.body_s if state is h11.SEND_BODY else math.inf


def guarded(limits: ConnectionLimits) -> Any:
    """What makes a guarded protocol for each connection, as uvicorn's `http` takes it."""
    guard = Guard(limits)

    class Protocol(GuardedProtocol):
        def __init__(self, config: Config, server_state: Any, app_state: Any, _loop: Any = None):
            super().__init__(
                guard, config=config, server_state=server_state, app_state=app_state, _loop=_loop
            )

    return Protocol


class ShortLog(logging.Filter):
    """Lets a few lines of each kind pass in a while, none of them long, and counts the others."""

    def __init__(self) -> None:
        super().__init__()
        self._limit = RateLimit(per_s=0.1, burst=5, max_clients=50)
        self._n_left_out: Counter[str] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written; it is shortened here."""
        kind = str(record.msg)[:_MAX_LINE_CHARS]
        if not self._limit.allows(kind, record.created):
            self._n_left_out[kind] += 1
            return False
        text = record.getMessage().strip()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {record.exc_info[1]!r}"
        n_left_out = self._n_left_out.pop(kind, 0)
        more = f" ({n_left_out} more such lines were left out)" if n_left_out else ""
        # A client's text in it must not make lines of its own.
        record.msg = ascii(text[:_MAX_LINE_CHARS])[1:-1] + more
        record.args, record.exc_info, record.exc_text = None, None, None
        return True
