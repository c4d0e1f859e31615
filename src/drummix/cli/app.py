"""Groups of commands, each of which says what is wrong in its own options' names."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import typer
from typer.core import TyperCommand

from drummix.errors import DrummixError, Parameter, Spelling, in_python

OPTIONS: Mapping[str, str] = {
    "roles": "role",
    "true_peak_dbtp": "true_peak",
    "memory_mb": "memory",
    "lengths_s": "lengths",
    "settings_path": "settings",
    "start_s": "start",
    "length_s": "length",
    "target": "out",
    "path": "out",
    "kits": "kit",
    "extension": "format",
    "n_lanes": "jobs",
    "systems": "system",
}
"""Parameter of the library -> that of a command, where they have different names."""

_RUNNING: ContextVar[TyperCommand | None] = ContextVar("_RUNNING", default=None)


class App(typer.Typer):
    """A group of commands."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[..., Any]:
        """Register a function as a command; see `typer.Typer.command`."""
        return super().command(name, cls=_Command, **settings)


class _Command(TyperCommand):
    """A command, known while it runs."""

    def invoke(self, ctx: Any) -> Any:
        token = _RUNNING.set(self)
        try:
            return super().invoke(ctx)
        except DrummixError as error:
            raise _RefusedError(error.sentence(spelling_of(self))) from error
        finally:
            _RUNNING.reset(token)


class _RefusedError(DrummixError):
    """An error in the words of the command that met it."""


def running_spelling() -> Spelling:
    """How parameters are written for whoever started the running command."""
    command = _RUNNING.get()
    return in_python if command is None else spelling_of(command)


def spelling_of(command: TyperCommand) -> Spelling:
    """Parameters as the options of a command; one that it has no option for, as in Python."""
    names = {
        parameter.name: next(
            (option for option in parameter.opts if option.startswith("--")), parameter.opts[0]
        )
        for parameter in command.params
        if parameter.param_type_name == "option"
    }
    arguments = {
        parameter.name: parameter.metavar or str(parameter.name).upper()
        for parameter in command.params
        if parameter.param_type_name == "argument"
    }

    def spell(parameter: Parameter) -> str:
        name = parameter.name if parameter.name in names else OPTIONS.get(parameter.name)
        if name in names:
            return _with_value(names[name], parameter.value)
        return arguments.get(parameter.name) or in_python(parameter)

    return spell


def _with_value(option: str, value: Any) -> str:
    """An option as a person types it.

    >>> _with_value("--role", {"snare": "take 3.wav"}), _with_value("--align", True)
    ("--role snare='take 3.wav'", '--align')
    """
    if value is None or value is True:
        return option
    if isinstance(value, Mapping):
        return " ".join(f"{option} {key}={shlex.quote(str(one))}" for key, one in value.items())
    return f"{option} {shlex.quote(str(value))}"
