"""New listeners: a place in the design and a link that is theirs alone."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from drummix.errors import SettingError
from drummix.listening.addresses import check_url
from drummix.listening.build import BuiltStudy, read_built
from drummix.listening.design import session_plan
from drummix.listening.store import DATABASE_NAME, ResultStore, Session

MAX_NAME_CHARS = 60
DEFAULT_URL = "http://127.0.0.1:8000"
"""Where `drummix listen serve` listens unless it is told otherwise."""


def enrol(
    built: BuiltStudy, store: ResultStore, *, now_s: float, name: str | None = None
) -> tuple[Session, str]:
    """Give a listener the next row of the design, and a code: ``L001`` and on.

    Args:
        built: The study.
        store: Its results.
        now_s: Seconds since 1970.
        name: Name of the listener, which no table of results will have.

    Returns:
        The session and the token of its link, which is kept nowhere else.

    Raises:
        SettingError: If the name is taken or no name, or the study is full.
    """
    # Together, so that two processes cannot give out the same row.
    with store.transaction():
        number = store.next_number()
        if number >= built.study.max_listeners:
            raise SettingError(
                "name",
                name,
                "raise max_listeners in the study file",
                problem=f"finds no place: the study is full, {number} listeners are enrolled",
            )
        session = Session(
            session=secrets.token_hex(8),
            listener=f"L{number + 1:03}",
            number=number,
            plan=session_plan(built.design, number),
            created_s=now_s,
        )
        token = secrets.token_urlsafe(24)
        store.add_session(session, token, None if name is None else _checked(name))
    return session, token


def _checked(name: str) -> str:
    stripped = name.strip()
    if not stripped or len(stripped) > MAX_NAME_CHARS or not stripped.isprintable():
        raise SettingError("name", name, f"give 1 to {MAX_NAME_CHARS} letters")
    if re.fullmatch(r"L[0-9]+", stripped):
        raise SettingError(
            "name",
            stripped,
            "a new link for them is made by drummix listen invite --again",
            problem=f"is {stripped}, the code of a listener",
        )
    return stripped


def renew_link(store: ResultStore, listener: str) -> tuple[Session, str]:
    """Give a listener a new link in place of a lost one, which opens nothing any more.

    The store keeps no token, only its hash, so that whoever reads the file cannot take a session
    over; so a link cannot be shown again, and one that went astray should not go on to work.

    Args:
        store: The results.
        listener: Name or code of the listener.

    Raises:
        SettingError: If there is no such listener.
    """
    with store.transaction():
        sessions, names = store.sessions(), store.names()
        known = {names[one.session]: one for one in sessions if one.session in names}
        known |= {one.listener: one for one in sessions}
        if listener.strip() not in known:
            raise SettingError(
                "listener",
                listener,
                "give a name or a code such as L001",
                problem=f"is {listener!r}, none of this study",
            )
        session, token = known[listener.strip()], secrets.token_urlsafe(24)
        store.change_link(session.session, token)
    return session, token


def link(url: str, token: str) -> str:
    """A listener's link; what follows # is never sent to a server, so no log has it."""
    return f"{url.rstrip('/')}/#{token}"


def invite(
    folder: Path,
    listeners: Sequence[str],
    *,
    count: int,
    url: str | None = None,
    again: bool = False,
) -> dict[str, str]:
    """Enrol listeners and give their links; works beside a running server.

    Args:
        folder: Folder of the study.
        listeners: Their names; empty to number them.
        count: How many, where `listeners` is empty.
        url: Where listeners reach the server; where it was served last if None.
        again: Give listeners who are enrolled, by name or code, a new link in place of theirs.

    Returns:
        Name, or code where there is none -> link.

    Raises:
        SettingError: If the folder is no study, a name is taken, or `count` is below 1; nobody is
            enrolled then.
    """
    if count < 1:
        raise SettingError("count", count, "expected 1 or more")
    if again and not listeners:
        raise SettingError("again", again, "name the listeners who get a new link")
    if url is not None:
        url = check_url(url)
    built = read_built(folder)
    links = {}
    with ResultStore(folder / DATABASE_NAME) as store, store.transaction():
        served = url or store.meta.get("url") or DEFAULT_URL
        names: Sequence[str | None] = listeners or [None] * count
        for name in names:
            if again and name is not None:
                session, token = renew_link(store, name)
            else:
                session, token = enrol(built, store, now_s=time.time(), name=name)
            links[session.listener if name is None else name.strip()] = link(served, token)
    return links


def codes_of(folder: Path) -> dict[str, str]:
    """Name -> code, of the listeners who were invited by name: for the experimenter alone."""
    with ResultStore(folder / DATABASE_NAME, is_read_only=True) as store:
        codes = {session.session: session.listener for session in store.sessions()}
        return {name: codes[session] for session, name in store.names().items()}
