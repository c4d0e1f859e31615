"""What the events of a study amount to: the ratings, the answers, and what was said at the end.

In: the folder of a study. Out: rows and texts that every file can keep.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from drummix.listening.characters import count_unstorable
from drummix.listening.events import SessionState, texts_of
from drummix.listening.store import (
    DATABASE_NAME,
    ResultStore,
    Session,
    Stimulus,
    damaged_store,
)


@dataclass(frozen=True)
class Rating:
    """One row of the tidy table: one slider of one page of one session.

    Args:
        study: Name of the study.
        session: Name of the session.
        listener: Code of the listener.
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
            raise damaged_store(store.path, error) from error


def read_answers(path: Path) -> dict[str, dict[str, Any]]:
    """The questionnaire of each listener who filled it in, by listener."""
    answers = {listener: state.answers for listener, state in _states(path).items()}
    return {listener: found for listener, found in answers.items() if found is not None}


def read_final_comments(path: Path) -> dict[str, str]:
    """What each listener who wrote anything at the end wrote, by listener."""
    said = {listener: state.final_comment for listener, state in _states(path).items()}
    return {listener: comment for listener, comment in said.items() if comment.strip()}


def count_replaced(path: Path) -> int:
    """How many characters of the listeners' texts no file could keep: read as U+FFFD.

    Studies of an older drummix may hold such; today's server refuses them.
    """
    with ResultStore(_database(path), is_read_only=True) as store:
        return sum(
            count_unstorable(text)
            for session in store.sessions()
            for event in store.events(session.session)
            for text in texts_of(event)
        )


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
