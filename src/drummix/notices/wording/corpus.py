"""What is said of corpora, kits and rendered items."""

from __future__ import annotations

from collections.abc import Sequence

from drummix.errors import Spelling
from drummix.notices.notice import Code, Notice
from drummix.notices.wording.book import each, listed, together


@each(Code.SESSIONS_LEFT_OUT)
def _sessions_left_out(notice: Notice, spelling: Spelling) -> str:
    of = notice.values
    part = f"{of['part']} " if of["part"] else ""
    sessions = "session" if of["n_sessions"] == 1 else "sessions"
    return (
        f"{of['n_sessions']} {part}{sessions} of {notice.about} left out; the first: "
        f"{of['first_problem']} (drummix corpus enst {notice.about} --check lists all)"
    )


@each(Code.KIT_CHANNEL_UNKNOWN)
def _kit_channel_unknown(notice: Notice, spelling: Spelling) -> str:
    channel = notice.values["channel"]
    return f"{notice.about}: the kit has no channel {channel!r}; its files are left out"


@together(Code.KIT_INSTRUMENT_UNKNOWN)
def _kit_instrument_unknown(notices: Sequence[Notice], spelling: Spelling) -> str:
    names = listed(one.about for one in notices)
    return f"no drum or cymbal that we know of, left out: {names}"


@together(Code.NOTE_UNPLAYED)
def _note_unplayed(notices: Sequence[Notice], spelling: Spelling) -> str:
    notes = listed(one.values["note"] for one in notices)
    return f"no instrument for note {notes}; its strokes are left out"


@each(Code.ITEMS_LIMITED)
def _items_limited(notice: Notice, spelling: Spelling) -> str:
    n_items, most = notice.values["n_items"], notice.values["most_samples"]
    items = "item has" if n_items == 1 else "items have"
    return (
        f"{n_items} {items} samples beyond full scale, which were limited; the most, {most}: "
        f"{notice.about}"
    )
