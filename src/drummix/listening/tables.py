"""TOML tables as frozen dataclasses: every key known, every value of its type."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from drummix.errors import SettingError

_Table = TypeVar("_Table")


def from_table(kind: type[_Table], values: object, where: str) -> _Table:
    """A dataclass out of a table.

    Args:
        kind: The dataclass; its annotations say what each key must be.
        values: The table.
        where: What the message calls the table; empty for the file itself.

    Raises:
        SettingError: If a key is unknown or missing, or a value of another type.
    """
    prefix = f"{where}." if where else ""
    if not isinstance(values, Mapping):
        raise SettingError(f"{where} is {values!r}; expected a table")
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise SettingError(f"unknown key {prefix}{name}; known: {', '.join(sorted(known))}")
    for name, field in known.items():
        is_needed = field.default is MISSING and field.default_factory is MISSING
        if is_needed and name not in values:
            raise SettingError(f"{prefix}{name} is missing; give {_words(hints[name])}")
    return kind(**{k: _checked(hints[k], v, f"{prefix}{k}") for k, v in values.items()})


def _checked(hint: Any, value: object, name: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _checked_union(arguments, value, name, hint)
    if origin is Literal:
        if value not in arguments:
            raise SettingError(f"{name} is {value!r}; give {_words(hint)}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise SettingError(f"{name} is {value!r}; expected {_words(hint)}")
        return tuple(_checked(arguments[0], entry, f"{name}[{n}]") for n, entry in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise SettingError(f"{name} is {value!r}; expected a table")
        return {key: _checked(arguments[1], entry, f"{name}.{key}") for key, entry in value.items()}
    if hasattr(hint, "__dataclass_fields__"):
        return value if isinstance(value, hint) else from_table(hint, value, name)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise SettingError(f"{name} is {value!r}; expected {_words(hint)}")
    return value


def _checked_union(arguments: tuple[Any, ...], value: object, name: str, hint: Any) -> Any:
    if value is None and type(None) in arguments:
        return None
    others = [argument for argument in arguments if argument is not type(None)]
    for argument in others:
        try:
            return _checked(argument, value, name)
        except SettingError:
            if len(others) == 1:
                raise
    raise SettingError(f"{name} is {value!r}; expected {_words(hint)}")


_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _words(hint: Any) -> str:
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_words(argument) for argument in arguments if argument is not type(None))
    if origin is tuple:
        return "a list"
    if hint is Path:
        return "a path"
    return _WORDS.get(hint, "a table")
