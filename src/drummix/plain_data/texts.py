"""JSON and TOML within limits: plain data, or values of typed classes."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from drummix.errors import DrummixError
from drummix.plain_data.files import LIMITS, Limits, Place, place_of, read_text, shown
from drummix.plain_data.typed import convert, inner_path

TOML_LIMITS = Limits(n_bytes=1_000_000)
"""People write TOML by hand, and its reader is slow."""

_T = TypeVar("_T")
_Loose = TypeVar("_Loose")

# Strings of one line of TOML; one that does not end takes the rest, so that none is tried twice.
_TOML_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|$)|\'[^\']*+(?:\'|$)')
_JSON_BUT_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|$)|[^"\[\]{}]+', re.DOTALL)
_TOML_WORD_ENDS = re.compile(r"[\s,=\[\]{}]+")


_TOO_LONG = object()
"""Stands for a whole number of too many digits, until its place in the data is known."""


class _RefusedError(Exception):
    """Something that a text must not hold; it never leaves this module."""


def read_json(
    source: Path | bytes,
    kind: type[_T],
    *,
    error: type[DrummixError],
    hint: str = "",
    name: str | None = None,
    limits: Limits = LIMITS,
) -> _T:
    """Read JSON into a dataclass: `parse_json`, then `convert`."""
    plain = parse_json(source, error=error, hint=hint, name=name, limits=limits)
    place = place_of(source, name, error, hint)
    return convert(plain, kind, error=error, hint=hint, name=place.name)


def read_toml(
    source: Path | bytes,
    kind: type[_T],
    *,
    error: type[DrummixError],
    hint: str = "",
    name: str | None = None,
    limits: Limits = TOML_LIMITS,
) -> _T:
    """Read TOML into a dataclass: `parse_toml`, then `convert`."""
    plain = parse_toml(source, error=error, hint=hint, name=name, limits=limits)
    place = place_of(source, name, error, hint)
    return convert(plain, kind, error=error, hint=hint, name=place.name)


def parse_json(
    source: Path | bytes,
    *,
    error: type[DrummixError],
    hint: str = "",
    name: str | None = None,
    limits: Limits = LIMITS,
) -> Any:
    """Read JSON as plain data.

    Args:
        source: A file, or its bytes.
        error: Class of the error that is raised.
        hint: What to do next; every message ends in it.
        name: What messages call the text; its path if it is None.
        limits: How much it may hold.

    Raises:
        error: As `read_text` does; or if it is not JSON, has a key twice, or exceeds a limit.
    """

    def load(text: str) -> Any:
        _refuse_deep_nesting(text, limits)
        try:
            return json.loads(
                text,
                object_pairs_hook=_without_twins,
                parse_int=lambda digits: _whole(digits, limits),
            )
        except json.JSONDecodeError as problem:
            raise _RefusedError(
                f" is not JSON (line {problem.lineno}, column {problem.colno}: {problem.msg})"
            ) from None

    text = read_text(source, error=error, hint=hint, name=name, limits=limits)
    return _parsed(load, text, place_of(source, name, error, hint), limits)


def parse_toml(
    source: Path | bytes,
    *,
    error: type[DrummixError],
    hint: str = "",
    name: str | None = None,
    limits: Limits = TOML_LIMITS,
) -> dict[str, Any]:
    """Read TOML as plain data; arguments and errors are those of `parse_json`."""

    def load(text: str) -> Any:
        _refuse_long_keys(text, limits)
        try:
            return tomllib.loads(text)
        except ValueError as problem:  # TOMLDecodeError, or a number of thousands of digits
            if not isinstance(problem, tomllib.TOMLDecodeError):
                raise _RefusedError(
                    f" holds a number of more than {limits.digits} digits"
                ) from None
            raise _RefusedError(f" is not TOML ({problem})") from None

    text = read_text(source, error=error, hint=hint, name=name, limits=limits)
    plain: dict[str, Any] = _parsed(load, text, place_of(source, name, error, hint), limits)
    return plain


def _parsed(load: Callable[[str], _Loose], text: str, place: Place, limits: Limits) -> _Loose:
    try:
        plain = load(text)
        _check(plain, limits)
    except _RefusedError as problem:
        raise place.refusal(str(problem)) from None
    except RecursionError:
        raise place.refusal(f" nests deeper than {limits.depth} levels") from None
    return plain


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keyed = dict(pairs)
    if len(keyed) < len(pairs):
        seen: set[str] = set()
        twin = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _RefusedError(f" has the key {shown(twin)} twice")
    return keyed


def _whole(digits: str, limits: Limits) -> object:
    return int(digits) if len(digits.lstrip("-")) <= limits.digits else _TOO_LONG


def _refuse_deep_nesting(text: str, limits: Limits) -> None:
    """Refuse JSON that is too deep before it is read.

    The reader calls itself for each level, and in a thread of a small stack it does not always
    notice that there is no room left.
    """
    if text.count("[") + text.count("{") <= limits.depth:
        return
    depth = 0
    for bracket in _JSON_BUT_BRACKETS.sub("", text):
        depth += 1 if bracket in "[{" else -1
        if depth > limits.depth:
            raise _RefusedError(f" nests deeper than {limits.depth} levels")


def _refuse_long_keys(text: str, limits: Limits) -> None:
    """Refuse a key of very many parts: the time of the TOML reader grows with their square."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") <= limits.depth:
            continue
        bare = re.sub(r"\s*+\.\s*+", ".", _TOML_STRING.sub("s", line))
        if any(word.count(".") > limits.depth for word in _TOML_WORD_ENDS.split(bare)):
            raise _RefusedError(f", line {number}: a key nests deeper than {limits.depth} levels")


def _check(plain: object, limits: Limits) -> None:
    """Refuse what is too deep, and texts and numbers that are too long, with the path to it."""
    waiting: list[tuple[Any, tuple[Any, ...] | None, int]] = [(plain, None, 0)]
    while waiting:
        value, where, depth = waiting.pop()
        if isinstance(value, dict):
            for key, entry in value.items():
                _check_text(key, where, limits)
                waiting.append((entry, (where, key), depth + 1))
        elif isinstance(value, list):
            waiting += [(entry, (where, i), depth + 1) for i, entry in enumerate(value)]
        elif isinstance(value, str):
            _check_text(value, where, limits)
            continue
        else:
            _check_number(value, where, limits)
            continue
        if depth >= limits.depth:
            raise _RefusedError(f" nests deeper than {limits.depth} levels")


def _check_number(value: object, where: tuple[Any, ...] | None, limits: Limits) -> None:
    is_long = type(value) is int and value.bit_length() > 3.33 * limits.digits
    if is_long or value is _TOO_LONG:
        raise _RefusedError(f": {_path(where)} has more than {limits.digits} digits")
    if isinstance(value, float) and not (limits.any_number or math.isfinite(value)):
        raise _RefusedError(f": {_path(where)} is {value}; expected a number that is finite")


def _check_text(text: str, where: tuple[Any, ...] | None, limits: Limits) -> None:
    if len(text) > limits.characters:
        raise _RefusedError(
            f": {_path(where)} has a text of {len(text)} characters; expected at most "
            f"{limits.characters}"
        )
    if not limits.any_text and ("\0" in text or not _is_encodable(text)):
        raise _RefusedError(
            f": {_path(where)} is {shown(text)}; expected a text without NUL or half a character"
        )


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(where: tuple[Any, ...] | None) -> str:
    keys = []
    while where is not None:
        where, key = where
        keys.append(key)
    path = ""
    for key in reversed(keys):
        path = inner_path(path, key)
    return path or "it"
