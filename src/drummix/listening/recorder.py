"""One writer for many listeners: events are acknowledged after the commit that holds them.

What arrives while a commit is under way is committed together by the next: a hundred listeners
cost a few syncs of the disk, not a hundred.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from drummix.listening.build import BuiltStudy
from drummix.listening.enrolment import enrol
from drummix.listening.events import Event, EventRefusedError, SessionState
from drummix.listening.messages import check_answers
from drummix.listening.store import ResultStore, Session, token_hash

MAX_EVENTS = 50_000
"""Of one session; a listener's hour of busy sliders stays below a tenth of it."""


@dataclass
class LiveSession:
    """A session in memory: its state, and what was taken in, to know a replay."""

    session: Session
    state: SessionState
    seen: dict[tuple[str, int], Event] = field(default_factory=dict)


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
        self._waiting: list[_Waiting] = []
        self._committing = asyncio.Lock()
        self._reading = asyncio.Lock()

    async def find(self, token: str) -> LiveSession | None:
        """The session whose link has this token."""
        key = token_hash(token)
        if key not in self._live:
            # Not behind the commits: whoever tries wrong links does not hold up the ratings.
            async with self._reading:
                if key not in self._live:
                    live = await asyncio.to_thread(self._read, token)
                    if live is None:
                        return None
                    self._live[key] = live
        return self._live[key]

    async def enrol(self, listener: str | None = None) -> tuple[Session, str]:
        """Give a new listener a place; see `enrolment.enrol`."""
        async with self._committing:
            return await asyncio.to_thread(
                lambda: enrol(self._built, self._store, now_s=time.time(), listener=listener)
            )

    async def record(self, live: LiveSession, events: Sequence[Event]) -> Recorded:
        """Take in events; returns when those that were not refused are on the disk.

        An event that is there already, with the same number and content, counts as saved.

        Raises:
            sqlite3.Error: If the disk does not take them; nothing was acknowledged.
        """
        waiting = _Waiting(live, events, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        # A client that hangs up must not take the others' commit with it.
        await asyncio.shield(asyncio.create_task(self._flush()))
        return await waiting.answer

    def _read(self, token: str) -> LiveSession | None:
        session = self._reader.find_session(token)
        return None if session is None else self._load(session)

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
        now_s = time.time()
        answers, rows = [], []
        for waiting in batch:
            new, answer = self._take_in(waiting.live, waiting.events)
            answers.append(answer)
            if new:
                rows.append((waiting.live.session.session, new, now_s))
        try:
            if rows:
                await asyncio.to_thread(self._store.record, rows)
        except sqlite3.Error as error:
            # What was applied in memory is not on the disk: forget it and read the disk again.
            for waiting in batch:
                await self._reload(waiting.live)
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)

    async def _reload(self, live: LiveSession) -> None:
        async with self._reading:
            fresh = await asyncio.to_thread(self._load, live.session)
        live.state, live.seen = fresh.state, fresh.seen

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
