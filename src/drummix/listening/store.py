"""Where everything a listener does is kept: one SQLite file, an event a row, nothing overwritten.

In: sessions and batches of events. Out: which are on disk, and the ratings they amount to.
WAL with synchronous=FULL: `ResultStore.record` returns after the commit reached the disk, so what
it returned for survives a killed process and a power cut.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drummix.errors import SettingError
from drummix.listening.events import Event, Rules, SessionState
from drummix.listening.plan import SessionPlan

DATABASE_NAME = "results.sqlite"
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE stimuli (
    stimulus TEXT PRIMARY KEY, item TEXT NOT NULL, system TEXT NOT NULL, role TEXT NOT NULL
) STRICT;
CREATE TABLE sessions (
    session TEXT PRIMARY KEY, listener TEXT NOT NULL UNIQUE, token_hash TEXT NOT NULL UNIQUE,
    number INTEGER NOT NULL UNIQUE, plan TEXT NOT NULL, created_s REAL NOT NULL
) STRICT;
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL REFERENCES sessions (session),
    writer TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL,
    page INTEGER, slot INTEGER, value REAL, detail TEXT,
    client_s REAL NOT NULL, server_s REAL NOT NULL,
    UNIQUE (session, writer, number)
) STRICT;
"""


@dataclass(frozen=True)
class Stimulus:
    """What lies behind an opaque name.

    Args:
        stimulus: Opaque name.
        item: What was mixed.
        system: What mixed it.
        role: ``reference``, ``test`` or ``anchor``.
    """

    stimulus: str
    item: str
    system: str
    role: str


@dataclass(frozen=True)
class Session:
    """One listener's way through the study.

    Args:
        session: Name of the session.
        listener: Name of the listener.
        number: Order of enrolment, from 0 up; the row of the design.
        plan: The pages.
        created_s: When they enrolled, in seconds since 1970.
    """

    session: str
    listener: str
    number: int
    plan: SessionPlan
    created_s: float


@dataclass(frozen=True)
class Rating:
    """One row of the tidy table: one slider of one page of one session.

    Args:
        study: Name of the study.
        session: Name of the session.
        listener: Name of the listener.
        item: What was mixed.
        system: What mixed it.
        role: ``reference``, ``test`` or ``anchor``.
        score: 0 to 100; None where the slider was not moved.
        page: Position of the page among the test pages, from 1 up; 0 for training.
        slot: Position on the page from the left, from 1 up.
        initial: Where the slider stood at first.
        repeat: 0 for the first time the listener met the item, 1 for the second.
        plays: How often it was played.
        listen_s: How long it was heard, in seconds.
        moved: Whether the slider was moved.
        volume_db: In-test volume when the page was left, in dB.
        page_s: Time spent on the page, in seconds.
        comment: What the listener wrote about it.
        state: ``open`` (page not submitted), ``submitted``, or ``finished`` where the listener
            also came to the end of the study.
    """

    study: str
    session: str
    listener: str
    item: str
    system: str
    role: str
    score: float | None
    page: int
    slot: int
    initial: float
    repeat: int
    plays: int
    listen_s: float
    moved: bool
    volume_db: float
    page_s: float
    comment: str
    state: str


COLUMNS = tuple(column.name for column in fields(Rating))
"""Columns of the tidy table, in order."""


def token_hash(token: str) -> str:
    """What the store keeps of a link's token: whoever reads the file cannot take a session over."""
    return hashlib.sha256(token.encode()).hexdigest()


class ResultStore:
    """The results of one study; a context manager.

    Args:
        path: The SQLite file, as `create_store` made it.
        is_read_only: Only look; works beside a running server.

    Raises:
        SettingError: If the file is missing, damaged or no store.
    """

    def __init__(self, path: Path, *, is_read_only: bool = False) -> None:
        self.path = path
        if not path.is_file():
            raise SettingError(
                f"{path} does not exist; expected the results of a study: "
                "drummix listen serve writes them"
            )
        mode = "ro" if is_read_only else "rw"
        try:
            self._db = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            if not is_read_only:
                self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("PRAGMA busy_timeout = 5000")
            self.meta: Mapping[str, Any] = {
                key: json.loads(value) for key, value in self._db.execute("SELECT * FROM meta")
            }
            check = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except (sqlite3.Error, ValueError) as error:
            raise _damaged(path, error) from error
        if check != "ok":
            raise _damaged(path, check)
        if self.meta.get("schema") != SCHEMA_VERSION:
            raise SettingError(
                f"{path} has schema {self.meta.get('schema')}; this drummix reads {SCHEMA_VERSION}"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def rules(self) -> Rules:
        """What a page must see before it may be submitted."""
        return Rules(**self.meta["rules"])

    def stimuli(self) -> dict[str, Stimulus]:
        """What lies behind each opaque name."""
        rows = self._db.execute("SELECT stimulus, item, system, role FROM stimuli")
        return {row[0]: Stimulus(*row) for row in rows}

    def add_session(self, session: Session, token: str) -> None:
        """Enrol a listener.

        Raises:
            SettingError: If the listener or the number is there already.
        """
        row = (
            session.session,
            session.listener,
            token_hash(token),
            session.number,
            session.plan.to_json(),
            session.created_s,
        )
        try:
            self._db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)", row)
        except sqlite3.IntegrityError as error:
            raise SettingError(f"listener {session.listener} is enrolled already") from error

    def next_number(self) -> int:
        """The number of the next session."""
        return int(
            self._db.execute("SELECT coalesce(max(number) + 1, 0) FROM sessions").fetchone()[0]
        )

    def sessions(self) -> list[Session]:
        """Every session, in order of enrolment."""
        return [_session(row) for row in self._db.execute(f"{_SESSIONS} ORDER BY number")]

    def find_session(self, token: str) -> Session | None:
        """The session whose link has this token."""
        row = self._db.execute(f"{_SESSIONS} WHERE token_hash = ?", (token_hash(token),)).fetchone()
        return None if row is None else _session(row)

    def events(self, session: str) -> Iterator[Event]:
        """Every event of a session, in the order they were taken in."""
        rows = self._db.execute(
            "SELECT writer, number, kind, page, slot, value, detail, client_s FROM events "
            "WHERE session = ? ORDER BY id",
            (session,),
        )
        return (Event(*row) for row in rows)

    def find_event(self, session: str, writer: str, number: int) -> Event | None:
        """One event by its number, to know a replay."""
        row = self._db.execute(
            "SELECT writer, number, kind, page, slot, value, detail, client_s FROM events "
            "WHERE session = ? AND writer = ? AND number = ?",
            (session, writer, number),
        ).fetchone()
        return None if row is None else Event(*row)

    def last_events(self) -> dict[str, tuple[int, float]]:
        """Session -> how many events it has and when the last came, in seconds since 1970."""
        rows = self._db.execute(
            "SELECT session, count(*), max(server_s) FROM events GROUP BY session"
        )
        return {session: (n_events, last_s) for session, n_events, last_s in rows}

    def state(self, session: Session) -> SessionState:
        """What a session has become."""
        state = SessionState(session.plan, self.rules, bool(self.meta["questions"]))
        for event in self.events(session.session):
            state.apply(event)
        return state

    def record(self, batches: Iterable[tuple[str, Sequence[Event], float]]) -> None:
        """Put events on the disk, all of them or none; returns after the commit.

        Args:
            batches: Session, its events and the time in seconds since 1970, each.
        """
        rows = [
            (session, e.writer, e.number, e.kind, e.page, e.slot, e.value, e.detail, e.client_s, at)
            for session, events, at in batches
            for e in events
        ]
        with self.transaction():
            self._db.executemany(
                "INSERT INTO events (session, writer, number, kind, page, slot, value, detail, "
                "client_s, server_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within reaches the disk together, or not at all."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite ends it on its own after some errors
                self._db.execute("ROLLBACK")
            raise


_SESSIONS = "SELECT session, listener, number, plan, created_s FROM sessions"


def create_store(
    path: Path,
    *,
    study: str,
    rules: Rules,
    stimuli: Iterable[Stimulus],
    screening: Mapping[str, Any],
    questions: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Make an empty store; what was declared before the study is kept in it.

    Args:
        path: The SQLite file; must not exist.
        study: Name of the study.
        rules: What a page must see before it may be submitted.
        stimuli: What lies behind each opaque name.
        screening: The rules by which listeners will be left out, declared beforehand.
        questions: The questionnaire.
    """
    if path.exists():
        raise SettingError(f"{path} exists already; results are never overwritten")
    meta = {
        "schema": SCHEMA_VERSION,
        "study": study,
        "rules": vars(rules),
        "screening": dict(screening),
        "questions": [dict(question) for question in questions],
    }
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}")
        db.executemany(
            "INSERT INTO meta VALUES (?, ?)", [(k, json.dumps(v)) for k, v in meta.items()]
        )
        db.executemany(
            "INSERT INTO stimuli VALUES (?, ?, ?, ?)",
            [(s.stimulus, s.item, s.system, s.role) for s in stimuli],
        )
        db.execute("COMMIT")


def read_ratings(path: Path, *, has_training: bool = False) -> Iterator[Rating]:
    """Every slider of every page that a listener opened, session by session.

    Args:
        path: Folder of a study, or its SQLite file; a server may be writing to it.
        has_training: Give the training pages too, as page 0.

    Raises:
        SettingError: If there are no results, or they are damaged.
    """
    with ResultStore(_database(path), is_read_only=True) as store:
        try:
            stimuli = store.stimuli()
            for session in store.sessions():
                yield from _ratings(store, session, stimuli, has_training)
        except (sqlite3.Error, ValueError, LookupError, TypeError) as error:
            raise _damaged(store.path, error) from error


def read_answers(path: Path) -> dict[str, dict[str, Any]]:
    """The questionnaire of each listener who filled it in, by listener."""
    answers = {listener: state.answers for listener, state in _states(path).items()}
    return {listener: found for listener, found in answers.items() if found is not None}


def read_final_comments(path: Path) -> dict[str, str]:
    """What each listener who wrote anything at the end wrote, by listener."""
    said = {listener: state.final_comment for listener, state in _states(path).items()}
    return {listener: comment for listener, comment in said.items() if comment.strip()}


def _states(path: Path) -> dict[str, SessionState]:
    """Where each listener's session stands."""
    with ResultStore(_database(path), is_read_only=True) as store:
        return {session.listener: store.state(session) for session in store.sessions()}


def read_meta(path: Path) -> Mapping[str, Any]:
    """What was declared before the study: its name, rules, screening and questions."""
    with ResultStore(_database(path), is_read_only=True) as store:
        return store.meta


def _database(path: Path) -> Path:
    return path / DATABASE_NAME if path.is_dir() else path


def _ratings(
    store: ResultStore, session: Session, stimuli: Mapping[str, Stimulus], has_training: bool
) -> Iterator[Rating]:
    state = store.state(session)
    position = 0
    for number, page in enumerate(session.plan.pages):
        is_training = page.kind == "training"
        position += not is_training
        if number not in state.opened or (is_training and not has_training):
            continue
        page_state = "open" if number >= state.page else "submitted"
        for slot, (planned, done) in enumerate(zip(page.slots, state.slots[number], strict=True)):
            behind = stimuli[planned.stimulus]
            yield Rating(
                study=store.meta["study"],
                session=session.session,
                listener=session.listener,
                item=behind.item,
                system=behind.system,
                role=behind.role,
                score=done.score,
                page=0 if is_training else position,
                slot=slot + 1,
                initial=planned.initial,
                repeat=page.repeat,
                plays=done.n_plays,
                listen_s=round(done.listen_s, 3),
                moved=done.is_moved,
                volume_db=state.page_volume_db[number],
                page_s=round(state.page_s.get(number, 0.0), 3),
                comment=done.comment,
                state="finished" if state.is_finished else page_state,
            )


def _session(row: tuple[str, str, int, str, float]) -> Session:
    session, listener, number, plan, created_s = row
    return Session(session, listener, number, SessionPlan.from_json(plan), created_s)


def _damaged(path: Path, what: object) -> SettingError:
    return SettingError(
        f"{path} cannot be read as the results of a study ({what}); "
        "it is another file, or damaged: take the copy you made"
    )
