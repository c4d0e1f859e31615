"""Which sentence belongs to which code, and how notices of one code are said together."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from drummix.errors import Spelling, in_python
from drummix.notices import Code, Notice, Severity

One = Callable[[Notice, Spelling], str]
Together = Callable[[Sequence[Notice], Spelling], str]
_Sentences = Callable[[Sequence[Notice], Spelling], list[str]]

_SUBJECTS = (
    "session",
    "inspecting",
    "mixing",
    "matching",
    "corpus",
    "evaluating",
    "working",
    "listening",
)
"""The modules that hold the sentences."""

_BOOK: dict[Code, _Sentences] = {}


@dataclass(frozen=True)
class Line:
    """What is printed of one or more notices.

    Args:
        severity: How grave it is.
        text: One sentence, without a full stop.
    """

    severity: Severity
    text: str


def each(code: Code) -> Callable[[One], One]:
    """Register what is said of each notice of a code."""

    def register(function: One) -> One:
        _BOOK[code] = lambda notices, spelling: [function(one, spelling) for one in notices]
        return function

    return register


def together(code: Code) -> Callable[[Together], Together]:
    """Register what is said of all notices of a code in one sentence."""

    def register(function: Together) -> Together:
        _BOOK[code] = lambda notices, spelling: [function(notices, spelling)]
        return function

    return register


def sentence(notice: Notice, spelling: Spelling = in_python) -> str:
    """What one notice says."""
    return lines([notice], spelling)[0].text


def lines(notices: Iterable[Notice], spelling: Spelling = in_python) -> list[Line]:
    """What notices say, those of one code together, in the order in which codes come first."""
    kinds: dict[tuple[str, Code], list[Notice]] = {}
    for notice in notices:
        kinds.setdefault((notice.within, notice.code), []).append(notice)
    return [
        Line(found[0].severity, f"{within}: {text}" if within else text)
        for (within, code), found in kinds.items()
        for text in _book()[code](found, spelling)
    ]


def to_plain(notices: Iterable[Notice], spelling: Spelling = in_python) -> list[dict[str, Any]]:
    """Notices for JSON: code, severity, what they are about, values, and the sentence."""
    return [notice.to_dict() | {"message": sentence(notice, spelling)} for notice in notices]


def known_codes() -> set[Code]:
    """The codes that have a sentence."""
    return set(_book())


def listed(names: Iterable[object]) -> str:
    """Names as a list in a sentence, each one once."""
    return ", ".join(dict.fromkeys(str(name) for name in names))


@cache
def _book() -> dict[Code, _Sentences]:
    for subject in _SUBJECTS:
        importlib.import_module(f"drummix.notices.wording.{subject}")
    return _BOOK
