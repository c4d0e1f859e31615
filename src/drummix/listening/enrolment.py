"""New listeners: a place in the design and a link that is theirs alone."""

from __future__ import annotations

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
    built: BuiltStudy, store: ResultStore, *, now_s: float, listener: str | None = None
) -> tuple[Session, str]:
    """Give a listener the next row of the design.

    Args:
        built: The study.
        store: Its results.
        now_s: Seconds since 1970.
        listener: Name of the listener; ``L001`` and on if not given.

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
                f"the study is full: {number} listeners are enrolled; raise max_listeners"
            )
        name = f"L{number + 1:03}" if listener is None else listener.strip()
        if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
            raise SettingError(
                f"{name!r} is no name of a listener; give 1 to {MAX_NAME_CHARS} letters"
            )
        session = Session(
            session=secrets.token_hex(8),
            listener=name,
            number=number,
            plan=session_plan(built.design, number),
            created_s=now_s,
        )
        token = secrets.token_urlsafe(24)
        store.add_session(session, token)
    return session, token


def link(url: str, token: str) -> str:
    """A listener's link; what follows # is never sent to a server, so no log has it."""
    return f"{url.rstrip('/')}/#{token}"


def invite(
    folder: Path, listeners: Sequence[str], *, count: int, url: str | None = None
) -> dict[str, str]:
    """Enrol listeners and give their links; works beside a running server.

    Args:
        folder: Folder of the study.
        listeners: Their names; empty to number them.
        count: How many, where `listeners` is empty.
        url: Where listeners reach the server; where it was served last if None.

    Returns:
        Listener -> link.

    Raises:
        SettingError: If the folder is no study, a name is taken, or `count` is below 1.
    """
    if count < 1:
        raise SettingError("count", count, "expected 1 or more")
    if url is not None:
        url = check_url(url)
    built = read_built(folder)
    links = {}
    with ResultStore(folder / DATABASE_NAME) as store:
        served = url or store.meta.get("url") or DEFAULT_URL
        names: Sequence[str | None] = listeners or [None] * count
        for name in names:
            session, token = enrol(built, store, now_s=time.time(), listener=name)
            links[session.listener] = link(served, token)
    return links
