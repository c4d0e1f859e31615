"""What commands say: the result to stdout, everything for a person to stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from drummix.cli.app import running_spelling
from drummix.notices import Notice, Severity
from drummix.notices.wording import lines, to_plain

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")]
Workers = Annotated[int, typer.Option(help="Processes that work at the same time.")]
WorkersOrAll = Annotated[
    int | None,
    typer.Option(
        help="Processes that work at the same time; 1 if not given, and with --ray one a core of "
        "the cluster."
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Work on a Ray cluster; `local` starts one here."),
]

LINE_EVERY_S = 10.0
"""Where there is no terminal, progress is a line this often."""

_DAY_S = 86_400.0
_PIPE_WIDTH = 100

Progress = Callable[[str, int, int], None]


def check_format(*, as_json: bool, as_markdown: bool) -> None:
    """Refuse two formats for one result."""
    if as_json and as_markdown:
        raise typer.BadParameter("give --json or --markdown, not both", param_hint="--markdown")


def listed(text: str | None) -> list[str] | None:
    """The names in ``a, b``; None where the option was not given.

    >>> listed("unity, anchor"), listed(None)
    (['unity', 'anchor'], None)
    """
    return None if text is None else [name.strip() for name in text.split(",")]


def seconds_listed(text: str, option: str) -> list[float]:
    """The lengths in ``10,60``.

    >>> seconds_listed("10,60", "--lengths")
    [10.0, 60.0]
    """
    try:
        return [float(length) for length in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no list of seconds; give for example 10,60", param_hint=option
        ) from None


def say(text: str) -> None:
    """Tell a person something, on stderr."""
    typer.echo(printable(text), err=True)


def printable(text: str) -> str:
    r"""One line that a terminal shows as it is: file names may hold any character.

    >>> printable("Kick\x1b[31m.wav")
    'Kick?[31m.wav'
    """
    return "".join(character if character.isprintable() else "?" for character in text)


def say_notices(notices: Iterable[Notice | str]) -> None:
    """Tell a person what they should know, a line each, on stderr."""
    for notice in notices:
        if isinstance(notice, str):
            say(f"note: {notice}")
    known = [notice for notice in notices if not isinstance(notice, str)]
    for line in lines(known, running_spelling()):
        is_warning = line.severity is Severity.WARNING
        mark = typer.style("warning:", fg="yellow", bold=True) if is_warning else "note:"
        # Colours are left out where stderr is no terminal, or a person wants none.
        typer.echo(f"{mark} {printable(line.text)}", err=True, color=_wants_colour())


def _wants_colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def say_notice(notice: Notice) -> None:
    """Tell a person one thing that they should know, on stderr."""
    say_notices([notice])


def plain_notices(notices: Iterable[Notice | str]) -> list[Any]:
    """Notices for JSON, each with its sentence."""
    plain: list[Any] = [notice for notice in notices if isinstance(notice, str)]
    known = [notice for notice in notices if not isinstance(notice, str)]
    return plain + to_plain(known, running_spelling())


def print_json(plain: Any) -> None:
    """Print plain data as JSON, the command's result, on stdout."""
    typer.echo(json.dumps(plain, indent=2, allow_nan=False))


def duration(seconds: float) -> str:
    """A time as a person writes it.

    >>> duration(4.26), duration(75.6), duration(3725.0)
    ('4.3 s', '1:16 min', '1:02:05 h')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def time_left(seconds: float) -> str:
    """What is still to come, in days where it is more than one.

    >>> time_left(3725.0), time_left(500_000.0)
    ('1:02:05 h', '5.8 days')
    """
    return duration(seconds) if seconds < _DAY_S else f"{seconds / _DAY_S:.1f} days"


def n_columns() -> int:
    """Width of the terminal; 100 in a pipe, which a person may pass on to anything."""
    return shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines with straight columns.

    >>> aligned([("a", "role"), ("kick.wav", "kick")])
    ['a         role', 'kick.wav  kick']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def wrapped(text: str, columns: int, *, first: str = "", rest: str = "  ") -> list[str]:
    """Text as lines of up to `columns`, the first one and the rest indented."""
    return textwrap.wrap(
        text,
        max(20, columns),
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
    )


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Show the progress of long work on stderr: bars on a terminal, else a line now and then.

    Yields:
        What to call with the name of a step, what is done of it, and all of it.
    """
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console  # only where there is a terminal
    from rich.progress import BarColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class TimeLeft(TimeRemainingColumn):
        """The usual column, but days are said as days."""

        def render(self, task: Task) -> Text:
            if (left_s := task.time_remaining or 0.0) < _DAY_S:
                return super().render(task)
            return Text(time_left(left_s), style="progress.remaining")

    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TimeLeft(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True, expand=True) as bars:
        tasks: dict[str, Any] = {}

        def show(step: str, n_done: int, n_all: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=n_all)
            bars.update(tasks[step], completed=n_done, total=n_all)

        yield show


class _Lines:
    """Progress for a log file."""

    def __init__(self) -> None:
        self._step = ""
        self._step_start_s = 0.0
        self._said_s = 0.0

    def __call__(self, step: str, n_done: int, n_all: int) -> None:
        now_s = time.monotonic()
        if step != self._step:
            self._step, self._step_start_s, self._said_s = step, now_s, now_s
        if now_s - self._said_s < LINE_EVERY_S or not 0 < n_done < n_all:
            return
        self._said_s = now_s
        left_s = (now_s - self._step_start_s) * (n_all - n_done) / n_done
        say(f"{step}: {n_done / n_all:.0%}, about {time_left(left_s)} left")
