"""Where everything a listener does is kept: one SQLite file, an event a row, nothing overwritten.

In: sessions and batches of events. Out: which are on disk.
WAL with synchronous=FULL: `ResultStore.record` returns after the commit reached the disk, so what
it returned for survives a killed process and a power cut.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drummix.errors import OutputError, SettingError, TextFileError
from drummix.listening.events import Event, Rules, SessionState
from drummix.listening.plan import SessionPlan

DATABASE_NAME = "results.sqlite"
SCHEMA_VERSION = 2
_NAMES = """
CREATE TABLE names (
    session TEXT PRIMARY KEY REFERENCES sessions (session), name TEXT NOT NULL UNIQUE
) STRICT;
"""
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
        listener: Code of the listener.
        number: Order of enrolment, from 0 up; the row of the design.
        plan: The pages.
        created_s: When they enrolled, in seconds since 1970.
    """

    session: str
    listener: str
    number: int
    plan: SessionPlan
    created_s: float


def token_hash(token: str) -> str:
    """What the store keeps of a link's token: whoever reads the file cannot take a session over."""
    return hashlib.sha256(token.encode()).hexdigest()


class ResultStore:
    """The results of one study; a context manager.

    Args:
        path: The SQLite file, as `create_store` made it.
        is_read_only: Only look; works beside a running server.

    Raises:
        TextFileError: If the file is missing, damaged or no store.
        OutputError: If it cannot be written, or stands where SQLite cannot write beside it.
    """

    def __init__(self, path: Path, *, is_read_only: bool = False) -> None:
        self.path = path
        if not path.is_file():
            raise TextFileError(
                f"{path} does not exist; expected the results of a study: "
                "drummix listen serve writes them"
            )
        try:
            self._db = sqlite3.connect(
                _address(path, is_read_only),
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
            if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _NOT_WRITABLE:
                raise OutputError(
                    f"{path} cannot be written ({error}); copy the study to a folder where you "
                    "may write"
                ) from error
            raise damaged_store(path, error) from error
        if check != "ok":
            raise damaged_store(path, check)
        self._schema: int = self.meta.get("schema", 0)
        if self._schema not in (1, SCHEMA_VERSION):
            raise TextFileError(
                f"{path} has schema {self._schema}; this drummix reads 1 to {SCHEMA_VERSION}"
            )
        if self._schema == 1 and not is_read_only:
            self._take_names_out()

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

    def note_url(self, url: str) -> None:
        """Keep where listeners reach the server, for links that are made beside it."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('url', ?)", (json.dumps(url),))

    def stimuli(self) -> dict[str, Stimulus]:
        """What lies behind each opaque name."""
        rows = self._db.execute("SELECT stimulus, item, system, role FROM stimuli")
        return {row[0]: Stimulus(*row) for row in rows}

    def add_session(self, session: Session, token: str, name: str | None = None) -> None:
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
            with self.transaction():
                self._db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)", row)
                if name is not None:
                    self._db.execute("INSERT INTO names VALUES (?, ?)", (session.session, name))
        except sqlite3.IntegrityError as error:
            raise SettingError(
                "name",
                name,
                "a new link in place of a lost one is made by drummix listen invite --again",
                problem=f"{name or session.listener} is enrolled already",
            ) from error

    def next_number(self) -> int:
        """The number of the next session."""
        return int(
            self._db.execute("SELECT coalesce(max(number) + 1, 0) FROM sessions").fetchone()[0]
        )

    def sessions(self) -> list[Session]:
        """Every session, in order of enrolment."""
        rows = self._db.execute(f"{_SESSIONS[self._schema]} ORDER BY number")
        return [_session(row) for row in rows]

    def find_session(self, token: str) -> Session | None:
        """The session whose link has this token."""
        found = self._db.execute(
            f"{_SESSIONS[self._schema]} WHERE token_hash = ?", (token_hash(token),)
        )
        row = found.fetchone()
        return None if row is None else _session(row)

    def names(self) -> dict[str, str]:
        """Session -> name, of those who were invited by name. No table of results has it."""
        return dict(self._db.execute(_READ_NAMES[self._schema]))

    def change_link(self, session: str, token: str) -> None:
        """Give a session another link; the one before opens nothing any more."""
        self._db.execute(
            "UPDATE sessions SET token_hash = ? WHERE session = ?", (token_hash(token), session)
        )

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

    def _take_names_out(self) -> None:
        """Bring a store of schema 1, whose listeners stand there by name, to schema 2."""
        with self.transaction():
            [schema] = self._db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
            if schema == "1":
                self._db.execute(_NAMES)
                self._db.execute(f"INSERT INTO names {_READ_NAMES[1]}")
                # By way of another value: a listener's name may be another one's code.
                self._db.execute("UPDATE sessions SET listener = session")
                self._db.execute(f"UPDATE sessions SET listener = {_CODE}")
                self._db.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")
        self._schema = SCHEMA_VERSION

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within reaches the disk together, or not at all."""
        if self._db.in_transaction:  # a part of a larger one
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite ends it on its own after some errors
                self._db.execute("ROLLBACK")
            raise


_NOT_WRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


def _address(path: Path, is_read_only: bool) -> str:
    address = f"{path.resolve().as_uri()}?mode={'ro' if is_read_only else 'rw'}"
    # Even to read, SQLite writes beside the file, unless it is told that nobody changes it.
    is_still = not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists()
    return f"{address}&immutable=1" if is_read_only and is_still else address


_CODE = "printf('L%03d', number + 1)"
_SESSIONS = {
    1: f"SELECT session, {_CODE}, number, plan, created_s FROM sessions",
    2: "SELECT session, listener, number, plan, created_s FROM sessions",
}
_READ_NAMES = {
    1: f"SELECT session, listener FROM sessions WHERE listener != {_CODE}",
    2: "SELECT session, name FROM names",
}


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
        raise TextFileError(f"{path} exists already; results are never overwritten")
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
        db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}{_NAMES}")
        db.executemany(
            "INSERT INTO meta VALUES (?, ?)", [(k, json.dumps(v)) for k, v in meta.items()]
        )
        db.executemany(
            "INSERT INTO stimuli VALUES (?, ?, ?, ?)",
            [(s.stimulus, s.item, s.system, s.role) for s in stimuli],
        )
        db.execute("COMMIT")


def _session(row: tuple[str, str, int, str, float]) -> Session:
    session, listener, number, plan, created_s = row
    return Session(session, listener, number, SessionPlan.from_json(plan), created_s)


def damaged_store(path: Path, what: object) -> TextFileError:
    """The error of a file that is no store, or is damaged."""
    return TextFileError(
        f"{path} cannot be read as the results of a study ({what}); "
        "it is another file, or damaged: take the copy you made"
    )
