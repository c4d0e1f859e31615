"""How a running study stands: what the experimenter's page shows."""

from __future__ import annotations

from typing import Any

from drummix.listening.build import BuiltStudy
from drummix.listening.store import DATABASE_NAME, ResultStore


def progress_of(built: BuiltStudy) -> dict[str, Any]:
    """Counts of the study and a line a listener, from what is on the disk."""
    with ResultStore(built.folder / DATABASE_NAME, is_read_only=True) as store:
        last = store.last_events()
        listeners = []
        for session in store.sessions():
            state = store.state(session)
            n_ratings = sum(slot.is_moved for page in state.slots for slot in page)
            n_events, last_s = last.get(session.session, (0, None))
            listeners.append(
                {
                    "listener": session.listener,
                    "pages_done": state.page,
                    "pages": len(session.plan.pages),
                    "ratings": n_ratings,
                    "actions": n_events,
                    "enrolled_s": session.created_s,
                    "last_s": last_s,
                    "state": _state(state.is_finished, n_events),
                }
            )
    return {
        "study": built.study.name,
        "title": built.study.title,
        "open_enrolment": built.study.open_enrolment,
        "max_listeners": built.study.max_listeners,
        "enrolled": len(listeners),
        "started": sum(one["state"] != "invited" for one in listeners),
        "finished": sum(one["state"] == "finished" for one in listeners),
        "ratings": sum(one["ratings"] for one in listeners),
        "listeners": listeners,
    }


def _state(is_finished: bool, n_events: int) -> str:
    if is_finished:
        return "finished"
    return "started" if n_events else "invited"
