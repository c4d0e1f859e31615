"""What comes from a browser, checked to the last key, and what goes to it.

In: bytes from anybody. Out: events, or a refusal; descriptions of a session without any sign of
item or system.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from drummix.errors import TextFileError
from drummix.listening.build import BuiltStudy, opaque
from drummix.listening.events import Event, EventRefusedError, SessionState, parse_answers
from drummix.listening.store import Session
from drummix.listening.study import Question, Study
from drummix.plain_data import Limits, Matching, Sized, Within, read_json

MAX_BATCH = 200
MAX_BODY_BYTES = 256 * 1024
_LIMITS = Limits(n_bytes=MAX_BODY_BYTES, depth=8, digits=20, any_text=True)


@dataclass(frozen=True)
class _Action:
    """An event as a client sends it; `Event` says what each field is."""

    number: Annotated[int, Within(1, 2**53, is_below=True)]
    kind: Annotated[str, Sized(1, 20)]
    page: int | None = None
    slot: int | None = None
    value: float | None = None
    detail: str | None = None
    client_s: Annotated[float, Within(0.0, 1e11, is_below=True)] = 0.0


@dataclass(frozen=True)
class _Batch:
    writer: Annotated[str, Matching("[A-Za-z0-9_-]{8,40}", "8 to 40 letters and digits")]
    events: Annotated[tuple[_Action, ...], Sized(1, MAX_BATCH)]


@dataclass(frozen=True)
class Invitation:
    """Whom the experimenter invites.

    Args:
        listener: Name of the listener, who has a code alone if there is none.
        again: Whether a listener who is enrolled, by name or code, gets a new link.
    """

    listener: str | None = None
    again: bool = False


_Message = TypeVar("_Message")


def parse_message(body: bytes, kind: type[_Message]) -> _Message:
    """A JSON object as a typed class; text that could break a line is written out in errors.

    Raises:
        EventRefusedError: If a key is unknown, missing, twice there or of another type.
    """
    try:
        return read_json(body, kind, error=TextFileError, name="the message", limits=_LIMITS)
    except TextFileError as error:
        raise EventRefusedError(str(error)) from None


def parse_events(body: bytes) -> list[Event]:
    """A batch of numbered events of one writer.

    Raises:
        EventRefusedError: If it is anything else.
    """
    batch = parse_message(body, _Batch)
    return [Event(writer=batch.writer, **vars(action)) for action in batch.events]


def check_answers(study: Study, event: Event) -> None:
    """Refuse a questionnaire that does not fit the questions.

    Raises:
        EventRefusedError: With the name of the question.
    """
    if event.kind != "answers":
        return
    answers = parse_answers(event.detail)
    for question in study.questions:
        if not question.accepts(answers.get(question.name)):
            raise EventRefusedError(f"the answer to {question.name} does not fit")
    if unknown := set(answers) - {question.name for question in study.questions}:
        raise EventRefusedError(f"nobody asked for {sorted(unknown)[0][:60]}")


def audio_key(built: BuiltStudy, session: Session, page: int, slot: int) -> str:
    """Name of a stimulus towards one listener, another on each page and for each listener."""
    return opaque(built.secret, "audio", session.session, page, slot)


def describe(built: BuiltStudy, session: Session, state: SessionState) -> dict[str, Any]:
    """All that a listener's browser needs to go on from where the session is."""
    study = built.study
    return {
        # The same for every link of the session: what a browser keeps outlives a renewed one.
        "queue": opaque(built.secret, "queue", session.session),
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


def _question(question: Question) -> dict[str, Any]:
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
