"""What a listener does, as events, and what a session has become by them.

Every action is one event; nothing is ever overwritten. The state of a session (the page it is on,
the score of each slider) is these events folded in their order, so that a reload, another day and
a server killed in between all end in the same state. Pure: no clock, no files.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drummix.errors import TextFileError
from drummix.listening.characters import is_storable, storable
from drummix.listening.plan import SessionPlan
from drummix.plain_data import Limits, parse_json

MAX_DETAIL_CHARS = 2000
MAX_ANSWERS_CHARS = 20_000
"""A questionnaire may have many questions, and each answer up to 500 characters."""

MAX_VALUE = 1e6
_ANSWERS = Limits(depth=2, any_text=True)
_UNSTORABLE = "a text holds a control character, or half a character"

INITIAL_VOLUME_DB = -6.0
"""The in-test volume at first: it can go up as well as down, and never above full scale."""

# Kind -> which of page, slot, value and detail it must have; no others are allowed.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "consent": (),
    "answers": ("detail",),
    "open": ("page",),
    "play": ("page", "slot"),
    "stop": ("page", "slot", "value"),
    "rate": ("page", "slot", "value"),
    "comment": ("page", "slot", "detail"),
    "loop": ("page", "detail"),
    "volume": ("value",),
    "leave": ("page", "value"),
    "submit": ("page", "value"),
    "finish": ("detail",),
}
# Kind -> range of its value, and what the value is.
RANGES: Mapping[str, tuple[float, float, str]] = {
    "stop": (0.0, MAX_VALUE, "heard seconds"),
    "rate": (0.0, 100.0, "a score"),
    "volume": (-60.0, 0.0, "a gain in dB"),
    "leave": (0.0, MAX_VALUE, "seconds on the page"),
    "submit": (0.0, MAX_VALUE, "seconds on the page"),
}


class EventRefusedError(Exception):
    """An event that cannot be taken in: malformed, or not possible in the session's state.

    It is an answer to a client and never reaches the command line.
    """


@dataclass(frozen=True)
class Event:
    """One action of a listener.

    Args:
        writer: Which load of the page it came from, a random name.
        number: Its number there, from 1 up.
        kind: A key of `FIELDS`.
        page: Position of the page in the plan.
        slot: Position of the slider on the page.
        value: Score, gain in dB or seconds, by kind.
        detail: Comment, or answers as JSON, by kind.
        client_s: The client's clock, for the record only.
    """

    writer: str
    number: int
    kind: str
    page: int | None = None
    slot: int | None = None
    value: float | None = None
    detail: str | None = None
    client_s: float = 0.0


@dataclass
class SlotState:
    """What has been done with one slider."""

    score: float | None = None
    is_moved: bool = False
    n_plays: int = 0
    listen_s: float = 0.0
    comment: str = ""


@dataclass(frozen=True)
class Rules:
    """What must be done before a page may be submitted.

    Args:
        must_play: Every stimulus must have been played.
        must_move: Every slider must have been moved.
    """

    must_play: bool = True
    must_move: bool = True


@dataclass
class SessionState:
    """What a session has become: `check` then `apply` each event, in order.

    Args:
        plan: The pages.
        rules: What must be done before a page may be submitted.
        has_questions: Whether a questionnaire comes before the first page.
    """

    plan: SessionPlan
    rules: Rules = field(default_factory=Rules)
    has_questions: bool = False
    has_consented: bool = False
    answers: dict[str, Any] | None = None
    final_comment: str = ""
    volume_db: float = INITIAL_VOLUME_DB
    page: int = 0
    opened: set[int] = field(default_factory=set)
    page_s: dict[int, float] = field(default_factory=dict)
    page_volume_db: dict[int, float] = field(default_factory=dict)
    loops: dict[int, tuple[float, float]] = field(default_factory=dict)
    is_finished: bool = False
    slots: list[list[SlotState]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.slots:
            self.slots = [[SlotState() for _ in page.slots] for page in self.plan.pages]

    def check(self, event: Event) -> None:
        """Refuse an event that the state does not allow.

        What comes late, for a page already submitted, is allowed: it is kept and changes nothing.

        Raises:
            EventRefusedError: With what is wrong.
        """
        _check_fields(event)
        if event.page is not None:
            if not 0 <= event.page < len(self.plan.pages):
                raise EventRefusedError(f"there is no page {event.page}")
            if event.page > self.page:
                raise EventRefusedError(f"page {event.page} is not open yet")
            if event.slot is not None and not 0 <= event.slot < len(self.slots[event.page]):
                raise EventRefusedError(f"there is no slot {event.slot}")
            if not self.has_consented:
                raise EventRefusedError("consent comes first")
            if self.has_questions and self.answers is None:
                raise EventRefusedError("the questionnaire comes first")
        must_play = self.rules.must_play and self._is_open(event)
        if event.kind == "rate" and must_play and not self._slot(event).n_plays:
            raise EventRefusedError("only a stimulus that was played can be rated")
        if event.kind == "submit" and self._is_open(event):
            self._check_complete(event.page or 0)
        if event.kind == "finish" and self.page < len(self.plan.pages):
            raise EventRefusedError("there are pages left")

    def apply(self, event: Event) -> None:
        """Take in an event that was checked."""
        if event.page is None:
            self._apply_to_session(event)
        elif self._is_open(event):
            self._apply_to_page(event, event.page)

    def missing(self, page: int) -> list[int]:
        """Slots of a page that still keep it from being submitted."""
        return [
            number
            for number, slot in enumerate(self.slots[page])
            if (self.rules.must_play and not slot.n_plays)
            or (self.rules.must_move and not slot.is_moved)
        ]

    def _is_open(self, event: Event) -> bool:
        return event.page == self.page

    def _slot(self, event: Event) -> SlotState:
        assert event.page is not None
        assert event.slot is not None
        return self.slots[event.page][event.slot]

    def _check_complete(self, page: int) -> None:
        if missing := self.missing(page):
            names = ", ".join(str(number + 1) for number in missing)
            raise EventRefusedError(f"not yet played and moved: {names}")

    def _apply_to_session(self, event: Event) -> None:
        if event.kind == "consent":
            self.has_consented = True
        elif event.kind == "answers":
            self.answers = _answers_on_disk(event.detail or "{}")
        elif event.kind == "volume":
            self.volume_db = event.value or 0.0
        elif event.kind == "finish":
            self.final_comment = storable(event.detail or "")
            self.is_finished = True

    def _apply_to_page(self, event: Event, page: int) -> None:
        self.opened.add(page)
        if event.kind == "play":
            self._slot(event).n_plays += 1
        elif event.kind == "stop":
            self._slot(event).listen_s += event.value or 0.0
        elif event.kind == "rate":
            self._slot(event).score = event.value
            self._slot(event).is_moved = True
        elif event.kind == "comment":
            self._slot(event).comment = storable(event.detail or "")
        elif event.kind == "loop":
            self.loops[page] = loop_bounds(event.detail)
        elif event.kind in ("leave", "submit"):
            self.page_s[page] = self.page_s.get(page, 0.0) + (event.value or 0.0)
        self.page_volume_db[page] = self.volume_db
        if event.kind == "submit":
            self.page = page + 1


def parse_answers(text: str | None) -> dict[str, Any]:
    """The questionnaire that a client sent: a JSON object of storable texts and of numbers.

    Raises:
        EventRefusedError: If it is something else.
    """
    try:
        found = parse_json((text or "").encode(), error=TextFileError, limits=_ANSWERS)
    except (TextFileError, UnicodeEncodeError):
        raise EventRefusedError("the detail is not JSON") from None
    if not isinstance(found, dict):
        raise EventRefusedError("the detail is not a JSON object")
    texts = [one for pair in found.items() for one in pair if isinstance(one, str)]
    if not all(map(is_storable, texts)):
        raise EventRefusedError(_UNSTORABLE)
    return found


def loop_bounds(text: str | None) -> tuple[float, float]:
    """Start and end of a loop in seconds.

    >>> loop_bounds("0.5 2")
    (0.5, 2.0)
    """
    try:
        start_s, end_s = (float(part) for part in (text or "").split(" "))
    except ValueError:
        raise EventRefusedError("a loop is two numbers of seconds") from None
    if not 0.0 <= start_s < end_s <= MAX_VALUE:
        raise EventRefusedError("a loop starts at 0 s or later and ends after its start")
    return start_s, end_s


def texts_of(event: Event) -> list[str]:
    """The texts that a listener wrote in an event that is on the disk."""
    if event.kind != "answers":
        return [event.detail or ""]
    answers = json.loads(event.detail or "{}").values()
    return [answer for answer in answers if isinstance(answer, str)]


def _answers_on_disk(text: str) -> dict[str, Any]:
    """Answers that were checked when they came, perhaps by an older drummix."""
    return {
        storable(question): storable(answer) if isinstance(answer, str) else answer
        for question, answer in json.loads(text).items()
    }


def _check_fields(event: Event) -> None:
    if event.kind not in FIELDS:
        raise EventRefusedError("unknown kind of event")
    needed = FIELDS[event.kind]
    for name in ("page", "slot", "value", "detail"):
        if (getattr(event, name) is not None) != (name in needed):
            verb = "lacks" if name in needed else "has no use for"
            raise EventRefusedError(f"{event.kind} {verb} {name}")
    if event.kind in RANGES and event.value is not None:
        low, high, what = RANGES[event.kind]
        if not (math.isfinite(event.value) and low <= event.value <= high):
            raise EventRefusedError(f"{what} lies between {low:g} and {high:g}")
    if event.detail is not None:
        _check_detail(event.kind, event.detail)


def _check_detail(kind: str, detail: str) -> None:
    n_most = MAX_ANSWERS_CHARS if kind == "answers" else MAX_DETAIL_CHARS
    if len(detail) > n_most:
        raise EventRefusedError(f"a text may have {n_most} characters")
    if not is_storable(detail):
        raise EventRefusedError(_UNSTORABLE)
    if kind == "answers":
        parse_answers(detail)
    if kind == "loop":
        loop_bounds(detail)
