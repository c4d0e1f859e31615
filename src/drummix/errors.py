"""The exception tree: everything a user can get wrong ends in one of these.

A message is one line that says what is wrong (with the file and the value), what was expected, and
what to do next. Where it speaks of a parameter, it holds a `Parameter`: Python's user reads
``lufs=-14``, and the command line, which prints the line and exits with status 1, its own option.
Anything that is not a `DrummixError` is our own bug and keeps its traceback.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self


@dataclass(frozen=True)
class Parameter:
    """A parameter of a call, inside a message.

    Args:
        name: Its name.
        value: A value that it has or could be given; None speaks of the parameter alone.
    """

    name: str
    value: Any = None


Spelling = Callable[[Parameter], str]
"""How a parameter is written where the message is read."""


def in_python(parameter: Parameter) -> str:
    """A parameter as a call writes it.

    >>> in_python(Parameter("lufs", -14)), in_python(Parameter("lufs"))
    ('lufs=-14', 'lufs')
    """
    if parameter.value is None:
        return parameter.name
    return f"{parameter.name}={parameter.value!r}"


class Sayable(Protocol):
    """What can be said in a message, as a notice."""

    def sentence(self, spelling: Spelling) -> str:
        """What it says."""


Part = str | Parameter | Sayable
"""A piece of a message."""


_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def in_one_line(text: str) -> str:
    r"""A text with every character that would break a line, or a terminal, written out.

    >>> print(in_one_line("two\nlines"))
    two\nlines
    """
    return _UNPRINTABLE.sub(lambda found: repr(found.group())[1:-1], text)


class DrummixError(Exception):
    """Base of all errors raised on purpose by drummix.

    Args:
        parts: The message, in pieces: texts, and a `Parameter` where it speaks of one.
    """

    def __init__(self, *parts: Part) -> None:
        super().__init__(*parts)

    def sentence(self, spelling: Spelling = in_python) -> str:
        """The message, with parameters as `spelling` writes them."""
        return in_one_line("".join(_said(part, spelling) for part in self.args))

    def __str__(self) -> str:
        return self.sentence()

    def within(self, *parts: Part) -> Self:
        """The same error, with something said before its message, as the file it is about."""
        error = _rebuilt(type(self), (*parts, *self.args), vars(self))
        assert isinstance(error, type(self))
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        # Subclasses take other arguments than the message that they make of them.
        return _rebuilt, (type(self), self.args, vars(self))


def _said(part: Part, spelling: Spelling) -> str:
    if isinstance(part, str):
        return part
    return spelling(part) if isinstance(part, Parameter) else part.sentence(spelling)


def _rebuilt(kind: type[DrummixError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(state)
    return error


def joined(parts: Iterable[Part]) -> list[Part]:
    """Pieces with semicolons between them, for a message of several sentences."""
    return [piece for part in parts for piece in ("; ", part)][1:]


class AudioFileError(DrummixError):
    """A sound file cannot be read, or holds something that cannot be mixed."""


class SessionError(DrummixError):
    """A set of stems does not make a session."""


class NoMicrophoneError(SessionError):
    """A folder of sound files holds no microphone of a drum kit: mixes, clicks and the like."""


class RoleError(SessionError):
    """A stem's microphone role is unknown, ambiguous or claimed twice."""


class MixError(DrummixError):
    """What a system made is no mix: samples that are not numbers, or beyond any level."""


class SettingError(DrummixError):
    """A parameter of a call is out of range, unknown, or contradicts another one.

    Args:
        parameter: Its name.
        value: What was given.
        expected: What would do, as the end of the sentence: texts and parameters.
        problem: What is wrong with the value, where "is VALUE" does not say it.

    >>> str(SettingError("lufs", 5, "expected -70 to 0, for example -16"))
    'lufs is 5; expected -70 to 0, for example -16'
    """

    def __init__(
        self,
        parameter: str,
        value: Any,
        *expected: str | Parameter,
        problem: str | None = None,
    ) -> None:
        said = f"is {_shown(value)}" if problem is None else problem
        super().__init__(Parameter(parameter), f" {said}; ", *expected)
        self.parameter = parameter
        self.value = value
        self.expected = "".join(
            in_python(part) if isinstance(part, Parameter) else part for part in expected
        )


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return repr(value) if isinstance(value, str) else str(value)


class PlainDataError(SettingError):
    """A value that was given as plain data, as an effect chain or the sizes of a network, is wrong.

    Args:
        message: What is wrong, with the path to it inside the data.
    """

    def __init__(self, message: str) -> None:
        DrummixError.__init__(self, message)
        self.parameter, self.value, self.expected = "", None, message


class TextFileError(DrummixError):
    """A study, style, split, table or training file holds something that has no meaning."""


class OutputError(DrummixError):
    """A result cannot be written where it was asked for."""


class WeightsError(DrummixError):
    """A model's weights are missing, damaged or of another architecture."""


class CorpusError(DrummixError):
    """A kit, a performance or a rendered corpus is missing, damaged or inconsistent."""


class TrainingError(DrummixError):
    """Training cannot start or go on."""


class WorkerError(DrummixError):
    """The processes or machines that should do the work cannot be had, or were ended."""


class MissingExtraError(DrummixError):
    """An optional part of drummix is not installed.

    Args:
        what: What was asked for, in the user's words.
        extra: The extra that brings it, as in ``pip install 'drummix[train]'``.
    """

    def __init__(self, what: str | Parameter, extra: str) -> None:
        super().__init__(what, f" needs an optional part; run: pip install 'drummix[{extra}]'")
        self.extra = extra
