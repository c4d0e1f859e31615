"""The command line: one command parses, calls one library function, and reports.

Each module of this folder registers its commands here. Exit status: 0 done, 1 the user's input
was wrong (one line says how), 2 usage, 130 stopped by Ctrl-C. Anything else is our own bug: a
traceback.
"""

from __future__ import annotations

import errno
import io
import signal
import sys
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from drummix.cli import (
    batch,
    bench,
    compare,
    corpus,
    demo,
    evaluate,
    export_onnx,
    finetune,
    forest,
    import_checkpoint,
    inspect,
    listen,
    listen_results,
    match,
    mix,
    robustness,
    speed,
    train,
)
from drummix.cli.app import App
from drummix.cli.output import say
from drummix.errors import DrummixError

_FULL_DISK_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})


class _OneLineErrors(TyperGroup):
    """The one place where a user's mistake becomes a line and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except DrummixError as error:
            # A message has one line; a file name in it may bring more.
            say(f"drummix: {' '.join(str(error).split())}")
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            say("drummix: stopped; nothing unfinished was left behind")
            raise typer.Exit(130) from error
        except UnicodeEncodeError as error:
            # libsndfile takes names as UTF-8 only.
            say(f"drummix: {error.object} has a name that is no text; rename it")
            raise typer.Exit(1) from error
        except OSError as error:
            if error.errno not in _FULL_DISK_ERRNOS:
                raise
            where = f" ({error.filename})" if error.filename else ""
            say(f"drummix: the disk is full{where}; free space on it, or choose another place")
            raise typer.Exit(1) from error


app = App(
    name="drummix",
    cls=_OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        import drummix

        typer.echo(f"drummix {drummix.__version__}")
        raise typer.Exit


@app.callback()
def _drummix(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Mix the microphone tracks of a drum kit into a finished stereo mix."""


mix.register(app)
batch.register(app)
match.register(app)
inspect.register(app)
demo.register(app)
corpus.register(app)
train.register(app)
finetune.register(app)
forest.register(app)
import_checkpoint.register(app)
export_onnx.register(app)
evaluate.register(app)
compare.register(app)
robustness.register(app)
speed.register(app)
bench.register(app)
listen.register(app)
listen_results.register(app)


def main() -> None:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _stop)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path with bytes that are no text goes out as it came in.
        sys.stdout.reconfigure(errors="surrogateescape")
    app(prog_name="drummix")


def _stop(number: int, frame: FrameType | None) -> None:
    """Leave as Ctrl-C does: unfinished files are removed on the way out."""
    sys.exit(128 + number)
