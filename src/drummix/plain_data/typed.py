"""From plain data to typed classes: the keys, types and ranges that annotations state.

A class is a dataclass whose fields are numbers, texts, truths, enums, literals, other dataclasses,
tuples, mappings, unions of these, and `Annotated` with a rule of `drummix.plain_data.rules`. A key
that it does not know is refused, unless it has the class variable ``takes_other_keys``. A field
with the metadata ``key`` has that name in the data.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from drummix.errors import DrummixError, SettingError
from drummix.plain_data.files import Place, shown
from drummix.plain_data.rules import Matching, PathRule, Rule, Sized, Within, may_be_infinite

_T = TypeVar("_T")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_LISTS = (tuple, list, Sequence)
_TABLES = (dict, Mapping)
_NAMES: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    type(None): "null",
}
_PLURALS: Mapping[Any, str] = {int: "whole numbers", float: "numbers", str: "texts"}


class _RefusedError(Exception):
    """Another thing that is wrong, in a whole message; it never leaves this module."""


class _WrongError(Exception):
    """What is wrong with a value; it never leaves this module.

    Args:
        path: Where it is, inside of the data.
        found: What is wrong with it.
        expected: What would do.
    """

    def __init__(self, path: str, found: str, expected: str) -> None:
        super().__init__(f"{path or 'it'} {found}; expected {expected}")
        self.path, self.found, self.expected = path, found, expected


def convert(
    plain: object,
    kind: type[_T],
    *,
    error: type[DrummixError],
    name: str,
    hint: str = "",
) -> _T:
    """Make a value of a type from plain data.

    Args:
        plain: Parsed JSON or TOML.
        kind: A dataclass, or anything else that a field of one may be.
        error: Class of the error that is raised.
        name: What messages call the data: the path of its file.
        hint: What to do next; every message ends in it.

    Raises:
        error: If a key is missing or unknown, or a value is of another type or out of range; with
            the path to it. What the class itself refuses is raised with its path, too.
    """
    try:
        made: _T = _value(kind, plain, "")
        return made
    except (_WrongError, _RefusedError) as problem:
        raise Place(name, error, hint).refusal(f": {problem}") from None


def check_fields(made: Any) -> None:
    """Check the fields of a dataclass that was made in Python, by the same annotations.

    Args:
        made: The instance; call this in its ``__post_init__``.

    Raises:
        SettingError: If a field is of another type or out of range.
    """
    for field, hint in fields_by_key(type(made)).values():
        value = getattr(made, field.name)
        try:
            _value(hint, value, field.name)
        except _WrongError as wrong:
            expected = f"expected {wrong.expected}"
            raise SettingError(wrong.path, value, expected, problem=wrong.found) from None


def inner_path(path: str, key: object) -> str:
    """The path to an entry of what is at a path.

    >>> inner_path(inner_path("roles", "my snare"), 0)
    "roles['my snare'][0]"
    """
    if isinstance(key, str) and _BARE_KEY.fullmatch(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{shown(key)}]"


def _value(hint: Any, plain: Any, path: str) -> Any:
    if hint is Any or hint is object:
        return plain
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _ruled(hint, arguments, plain, path)
    if origin in (typing.Union, types.UnionType):
        fitting = next((arm for arm in arguments if _may_be(arm, plain)), None)
        if fitting is None:
            raise _wrong(hint, plain, path)
        return _value(fitting, plain, path)
    if not _may_be(hint, plain):
        raise _wrong(hint, plain, path)
    if origin in _LISTS:
        return _list(arguments, plain, path)
    if origin in _TABLES:
        made = {}
        for key, entry in plain.items():
            there = inner_path(path, key)
            made[_value(arguments[0], key, there)] = _value(arguments[1], entry, there)
        return made
    if hint is float:
        value = _float(plain)
        if not math.isfinite(value):
            raise _WrongError(path, f"is {shown(plain)}", "a number that is finite")
        return value
    if dataclasses.is_dataclass(hint):
        return plain if isinstance(plain, hint) else _instance(hint, plain, path)  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(plain)
    return plain


def _ruled(hint: Any, arguments: tuple[Any, ...], plain: Any, path: str) -> Any:
    base, *rules = arguments
    if not _may_be(base, plain):
        raise _wrong(hint, plain, path)
    is_any_float = any(may_be_infinite(rule) for rule in rules)
    value: Any = _float(plain) if is_any_float else _value(base, plain, path)
    for rule in rules:
        if isinstance(rule, Rule) and not rule.takes(value):
            size = f"has {len(value)} {_unit(base)}" if isinstance(rule, Sized) else ""
            found = size or f"is {shown(plain)}"
            raise _WrongError(path, found, _expected(hint))
    return value


def _may_be(hint: Any, plain: Any) -> bool:
    """Whether plain data has the form of a type, whatever is inside of it."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _may_be(typing.get_args(hint)[0], plain)
    if origin in (typing.Union, types.UnionType):
        return any(_may_be(arm, plain) for arm in typing.get_args(hint))
    if origin is Literal:
        return any(type(plain) is type(one) and plain == one for one in typing.get_args(hint))
    if origin in _LISTS:
        return isinstance(plain, list | tuple)
    if origin in _TABLES or hint in _TABLES:
        return isinstance(plain, Mapping)
    if hint is None or hint is type(None):
        return plain is None
    if hint is float or hint is int:
        takes = (int, float) if hint is float else (int,)
        return isinstance(plain, takes) and not isinstance(plain, bool)
    if dataclasses.is_dataclass(hint):
        return isinstance(plain, (Mapping, hint))  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return isinstance(plain, hint) or any(plain == member.value for member in hint)
    return hint is Any or isinstance(plain, hint)


def _list(arguments: tuple[Any, ...], plain: Sequence[Any], path: str) -> tuple[Any, ...]:
    is_open = len(arguments) == 1 or arguments[-1] is Ellipsis
    hints = [arguments[0]] * len(plain) if is_open else list(arguments)
    if len(hints) != len(plain):
        raise _WrongError(path, f"has {len(plain)} entries", str(len(hints)))
    return tuple(
        _value(hint, entry, inner_path(path, i))
        for i, (hint, entry) in enumerate(zip(hints, plain, strict=True))
    )


def _float(plain: float) -> float:
    try:
        return float(plain)
    except OverflowError:  # a whole number may be larger than any float
        return math.inf


def _instance(kind: type[_T], plain: Mapping[str, Any], path: str) -> _T:
    fields = fields_by_key(kind)
    for key in plain:
        if key not in fields and not takes_other_keys(kind):
            raise _RefusedError(_unknown(key, fields, path))
    made = {}
    for key, (field, hint) in fields.items():
        if key in plain:
            made[field.name] = _value(hint, plain[key], inner_path(path, key))
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise _RefusedError(f'{path or "it"} has no key "{key}"')
    try:
        return kind(**made)
    except DrummixError as error:
        raise _RefusedError(f"{path}: {error}" if path else str(error)) from error


def takes_other_keys(kind: type) -> bool:
    """Whether a class passes over keys that it does not know: a ClassVar of this name says so."""
    return bool(getattr(kind, "takes_other_keys", False))


def _unknown(key: object, known: Mapping[str, Any], path: str) -> str:
    import difflib

    near = difflib.get_close_matches(str(key)[:60], list(known), n=1)
    meant = f'did you mean "{near[0]}"? ' if near else ""
    return f"unknown key {inner_path(path, key)}; {meant}known: {', '.join(sorted(known))}"


def fields_by_key(kind: type) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    """Key in the data -> the field and its annotation."""
    return _fields_by_key(kind)


@functools.cache
def _fields_by_key(kind: Any) -> dict[str, tuple[dataclasses.Field[Any], Any]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {
        field.metadata.get("key", field.name): (field, hints[field.name])
        for field in dataclasses.fields(kind)
        if field.init
    }


def _wrong(hint: Any, plain: object, path: str) -> _WrongError:
    return _WrongError(path, f"is {shown(plain)}", _expected(hint))


def _expected(hint: Any) -> str:
    """What a type takes, in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _expected_by_rules(arguments[0], arguments[1:])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_expected(arm) for arm in arguments)
    if origin is Literal:
        return _choice([str(one) for one in arguments])
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _choice([str(member.value) for member in hint])
    if origin in _LISTS:
        entry = arguments[0]
        while typing.get_origin(entry) is Annotated:
            entry = typing.get_args(entry)[0]
        return f"a list of {_PLURALS[entry]}" if entry in _PLURALS else "a list"
    return _NAMES.get(hint, "a table")


def _expected_by_rules(base: Any, rules: Sequence[Any]) -> str:
    for rule in rules:
        if isinstance(rule, Matching | PathRule):
            return rule.words
    ranges = [str(rule) for rule in rules if isinstance(rule, Within)]
    sizes = [f"of {r.low} to {r.high} {_unit(base)}" for r in rules if isinstance(r, Sized)]
    return " ".join([_expected(base), *ranges, *sizes])


def _unit(hint: Any) -> str:
    return "characters" if hint is str else "entries"


def _choice(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
