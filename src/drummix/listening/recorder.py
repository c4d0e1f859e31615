"""One writer for many listeners: events are acknowledged after the commit that holds them.

What arrives while a commit is under way is committed together by the next: a hundred listeners
cost a few syncs of the disk, not a hundred.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ParamSpec, TypeVar

from drummix.listening.build import BuiltStudy
from drummix.listening.enrolment import enrol, renew_link
from drummix.listening.events import Event, EventRefusedError, SessionState
from drummix.listening.messages import check_answers
from drummix.listening.store import ResultStore, Session, token_hash

_LOG = logging.getLogger("drummix.listening")
_Arguments = ParamSpec("_Arguments")
_Found = TypeVar("_Found")

MAX_EVENTS = 50_000
"""Of one session; a listener's hour of busy sliders stays below a tenth of it."""

LINK_S = 5.0
"""For so long a link that was renewed beside this process goes on to work."""


class NotSavedError(Exception):
    """The disk does not take events at the moment; sending them again later may do.

    It is an answer to a client and never reaches the command line.
    """


@dataclass
class LiveSession:
    """A session in memory: its state, and what was taken in, to know a replay.

    Args:
        session: The session.
        state: What it has become.
        seen: Writer and number -> what was taken in.
        is_lost: Whether something in it never reached the disk; the disk is read anew then.
    """

    session: Session
    state: SessionState
    seen: dict[tuple[str, int], Event] = field(default_factory=dict)
    is_lost: bool = False


@dataclass(frozen=True)
class Recorded:
    """What became of a batch.

    Args:
        saved: Numbers of the events that are on the disk.
        refused: Number -> why it was not taken in; nothing after it was either.
    """

    saved: tuple[int, ...]
    refused: tuple[tuple[int, str], ...]


@dataclass
class _Waiting:
    live: LiveSession
    events: Sequence[Event]
    answer: asyncio.Future[Recorded]
    outcome: Recorded | None = None
    new: Sequence[Event] = ()

    def fail(self, error: Exception) -> None:
        """Answer that nothing was saved; what memory has of the session goes with it."""
        self.live.is_lost = True
        if not self.answer.done():
            self.answer.set_exception(error)

    def succeed(self) -> None:
        """Answer what was saved and what was refused."""
        assert self.outcome is not None
        if not self.answer.done():
            self.answer.set_result(self.outcome)


class Recorder:
    """Takes in events, one commit at a time.

    Args:
        built: The study.
        store: Its results; nothing else may write through it.
        reader: The same results, opened to be read only.
    """

    def __init__(self, built: BuiltStudy, store: ResultStore, reader: ResultStore) -> None:
        self._built = built
        self._store = store
        self._reader = reader
        self._live: dict[str, LiveSession] = {}
        self._links: dict[str, tuple[str, float]] = {}
        self._waiting: list[_Waiting] = []
        self._committing = asyncio.Lock()
        self._reading = asyncio.Lock()

    async def find(self, token: str) -> LiveSession | None:
        """The session whose link has this token.

        Raises:
            NotSavedError: If the disk cannot be read at the moment.
        """
        key = token_hash(token)
        if (known := self._in_memory(key)) is not None:
            return known
        # Not behind the commits: whoever tries wrong links does not hold up the ratings.
        async with self._reading:
            if (known := self._in_memory(key)) is not None:
                return known
            session = await _on_disk(self._reader.find_session, token)
            if session is None:
                self._links.pop(key, None)
                return None
            live = self._live.get(session.session)
            if live is None or live.is_lost:
                live = await _on_disk(self._load, session)
                self._live[session.session] = live
            self._links[key] = (session.session, time.monotonic())
            return live

    async def enrol(self, name: str | None = None) -> tuple[Session, str]:
        """Give a new listener a place; see `enrolment.enrol`.

        Raises:
            NotSavedError: If the disk does not take it.
        """
        async with self._committing:
            return await _on_disk(
                partial(enrol, self._built, self._store, now_s=time.time(), name=name)
            )

    async def renew_link(self, listener: str) -> tuple[Session, str]:
        """Give a listener a new link; see `enrolment.renew_link`.

        Raises:
            NotSavedError: If the disk does not take it.
        """
        async with self._committing:
            session, token = await _on_disk(renew_link, self._store, listener)
        self._links = {k: link for k, link in self._links.items() if link[0] != session.session}
        return session, token

    async def record(self, live: LiveSession, events: Sequence[Event]) -> Recorded:
        """Take in events; returns when those that were not refused are on the disk.

        An event that is there already, with the same number and content, counts as saved.

        Raises:
            NotSavedError: If the disk does not take them; nothing was acknowledged.
            EventRefusedError: If these can never be stored; nothing was acknowledged.
        """
        waiting = _Waiting(live, events, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        # A client that hangs up must not take the others' commit with it.
        await asyncio.shield(asyncio.create_task(self._flush()))
        return await waiting.answer

    def _in_memory(self, key: str) -> LiveSession | None:
        session, read_s = self._links.get(key, ("", -math.inf))
        live = self._live.get(session)
        # A link may have been renewed beside this process.
        is_fresh = time.monotonic() - read_s < LINK_S
        return live if live is not None and is_fresh and not live.is_lost else None

    def _load(self, session: Session) -> LiveSession:
        seen = {}
        state = SessionState(session.plan, self._reader.rules, bool(self._built.study.questions))
        for event in self._reader.events(session.session):
            state.apply(event)
            seen[event.writer, event.number] = event
        return LiveSession(session, state, seen)

    async def _flush(self) -> None:
        async with self._committing:
            if self._waiting:
                await self._commit()

    async def _commit(self) -> None:
        batch, self._waiting = self._waiting, []
        try:
            taken_in = [one for one in batch if self._is_taken_in(one)]
            # What one window of a session could not take in, its other windows may build on.
            await self._put([one for one in taken_in if not one.live.is_lost])
        finally:
            # Whatever happened, nobody waits for ever.
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.fail(NotSavedError())

    def _is_taken_in(self, waiting: _Waiting) -> bool:
        try:
            if waiting.live.is_lost:
                raise NotSavedError
            waiting.new, waiting.outcome = self._take_in(waiting.live, waiting.events)
        except Exception as error:
            waiting.fail(_answer_to(error))
            return False
        return True

    async def _put(self, batch: Sequence[_Waiting]) -> None:
        """Commit together, or each session alone where one of them cannot be stored."""
        now_s = time.time()
        rows = [(one.live.session.session, one.new, now_s) for one in batch if one.new]
        try:
            if rows:
                await asyncio.to_thread(self._store.record, rows)
        except Exception as error:
            by_session: dict[str, list[_Waiting]] = {}
            for waiting in batch:
                by_session.setdefault(waiting.live.session.session, []).append(waiting)
            # A disk that is full, locked or gone is so for every session.
            if len(by_session) == 1 or isinstance(error, sqlite3.OperationalError):
                for waiting in batch:
                    waiting.fail(_answer_to(error))
            else:
                for alone in by_session.values():
                    await self._put(alone)
        else:
            for waiting in batch:
                waiting.succeed()

    def _take_in(self, live: LiveSession, events: Sequence[Event]) -> tuple[list[Event], Recorded]:
        new: list[Event] = []
        saved: list[int] = []
        for event in events:
            try:
                if not self._is_replay(live, event):
                    if len(live.seen) >= MAX_EVENTS:
                        raise EventRefusedError("too many actions in this session")
                    check_answers(self._built.study, event)
                    live.state.check(event)
                    live.state.apply(event)
                    live.seen[event.writer, event.number] = event
                    new.append(event)
            except EventRefusedError as error:
                return new, Recorded(tuple(saved), ((event.number, str(error)),))
            saved.append(event.number)
        return new, Recorded(tuple(saved), ())

    def _is_replay(self, live: LiveSession, event: Event) -> bool:
        known = live.seen.get((event.writer, event.number))
        if known is None:
            return False
        # A client may send again by another clock; all else must be the same.
        if replace(known, client_s=0.0) != replace(event, client_s=0.0):
            raise EventRefusedError("this number was used for something else")
        return True


async def _on_disk(
    work: Callable[_Arguments, _Found], *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> _Found:
    """Work on the store in a thread, beside the requests."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except sqlite3.Error as error:
        _LOG.error("the store could not be used: %.200r", error)
        raise NotSavedError from None


_NEVER = (
    ValueError,
    TypeError,
    OverflowError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""What is wrong with the actions themselves; anything else may be over when they come again."""


def _answer_to(error: Exception) -> Exception:
    """What a client is told: try again later, or that this can never be."""
    if not isinstance(error, NotSavedError | sqlite3.OperationalError):
        _LOG.error("a batch of actions could not be stored: %.200r", error)
    if isinstance(error, _NEVER):
        return EventRefusedError("these actions cannot be stored; none of them was")
    return NotSavedError()
