"""What comes from a browser, checked to the last key, and what goes to it.

In: bytes from anybody. Out: events, or a refusal; descriptions of a session without any sign of
item or system.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from drummix.listening.build import BuiltStudy, opaque
from drummix.listening.events import Event, EventRefusedError, SessionState, json_object
from drummix.listening.store import Session
from drummix.listening.study import Study

MAX_BATCH = 200
MAX_BODY_BYTES = 256 * 1024
_WRITER = re.compile(r"[A-Za-z0-9_-]{8,40}")
_KEYS: Mapping[str, tuple[type, ...]] = {
    "number": (int,),
    "kind": (str,),
    "page": (int,),
    "slot": (int,),
    "value": (int, float),
    "detail": (str,),
    "client_s": (int, float),
}
_NEEDED = frozenset({"number", "kind"})


def parse_json(body: bytes) -> dict[str, Any]:
    """A JSON object; NaN, infinity and a key given twice are refused.

    Raises:
        EventRefusedError: If it is anything else.
    """
    try:
        found = json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise EventRefusedError("the body is not JSON") from error
    if not isinstance(found, dict):
        raise EventRefusedError("the body is not a JSON object")
    return found


def parse_events(body: bytes) -> list[Event]:
    """A batch of numbered events of one writer.

    Raises:
        EventRefusedError: If a key is unknown, missing or of another type.
    """
    found = parse_json(body)
    if set(found) != {"writer", "events"}:
        raise EventRefusedError("expected writer and events")
    writer, listed = found["writer"], found["events"]
    if not isinstance(writer, str) or not _WRITER.fullmatch(writer):
        raise EventRefusedError("writer is 8 to 40 letters and digits")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_BATCH:
        raise EventRefusedError(f"events is a list of 1 to {MAX_BATCH}")
    return [_event(writer, one) for one in listed]


def check_answers(study: Study, event: Event) -> None:
    """Refuse a questionnaire that does not fit the questions.

    Raises:
        EventRefusedError: With the name of the question.
    """
    if event.kind != "answers":
        return
    answers = json_object(event.detail)
    for question in study.questions:
        if not question.accepts(answers.get(question.name)):
            raise EventRefusedError(f"the answer to {question.name} does not fit")
    if unknown := set(answers) - {question.name for question in study.questions}:
        raise EventRefusedError(f"nobody asked for {sorted(unknown)[0]}")


def audio_key(built: BuiltStudy, session: Session, page: int, slot: int) -> str:
    """Name of a stimulus towards one listener, another on each page and for each listener."""
    return opaque(built.secret, "audio", session.session, page, slot)


def describe(built: BuiltStudy, session: Session, state: SessionState) -> dict[str, Any]:
    """All that a listener's browser needs to go on from where the session is."""
    study = built.study
    return {
        "title": study.title,
        "introduction": study.introduction,
        "consent": study.consent,
        "question": study.question,
        "scale": list(study.scale),
        "questions": [_question(question) for question in study.questions],
        "comments": study.comments,
        "must_play": study.rules.must_play,
        "must_move": study.rules.must_move,
        "rate_hz": study.rate_hz,
        "has_consented": state.has_consented,
        "has_answered": state.answers is not None,
        "volume_db": state.volume_db,
        "is_finished": state.is_finished,
        "n_pages": len(session.plan.pages),
        "n_training": sum(page.kind == "training" for page in session.plan.pages),
        "page": _page(built, session, state) if state.page < len(session.plan.pages) else None,
    }


def _question(question: Any) -> dict[str, Any]:
    return {
        "name": question.name,
        "text": question.text,
        "kind": question.kind,
        "options": list(question.options),
        "low": question.low,
        "high": question.high,
        "required": question.required,
    }


def _page(built: BuiltStudy, session: Session, state: SessionState) -> dict[str, Any]:
    number = state.page
    page = session.plan.pages[number]
    following = session.plan.pages[number + 1 : number + 2]
    slots = [
        {
            "audio": audio_key(built, session, number, slot),
            "score": planned.initial if done.score is None else done.score,
            "moved": done.is_moved,
            "played": done.n_plays > 0,
            "comment": done.comment,
        }
        for slot, (planned, done) in enumerate(zip(page.slots, state.slots[number], strict=True))
    ]
    return {
        "page": number,
        "kind": page.kind,
        "loop": state.loops.get(number),
        "slots": slots,
        "next_audio": [
            audio_key(built, session, number + 1, slot)
            for coming in following
            for slot in range(len(coming.slots))
        ],
    }


def _event(writer: str, found: object) -> Event:
    if not isinstance(found, dict):
        raise EventRefusedError("an event is an object")
    if unknown := set(found) - set(_KEYS):
        raise EventRefusedError(f"an event has no {sorted(unknown)[0]!r}"[:100])
    if missing := _NEEDED - set(found):
        raise EventRefusedError(f"an event lacks {sorted(missing)[0]}")
    for name, value in found.items():
        if not isinstance(value, _KEYS[name]) or isinstance(value, bool):
            raise EventRefusedError(f"{name} is of another type")
    if not 1 <= found["number"] < 2**53:
        raise EventRefusedError("numbers start at 1")
    if not 0.0 <= found.get("client_s", 0.0) < 1e11:
        raise EventRefusedError("client_s is seconds since 1970")
    floats = {name: float(found[name]) for name in ("value", "client_s") if name in found}
    return Event(**{"writer": writer, **found, **floats})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
