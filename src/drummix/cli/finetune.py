"""`drummix finetune`: go on from a model's weights with a producer's own mixes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from drummix.cli.mix import RoleOptions, parse_roles
from drummix.cli.output import AsJson, print_json, say, shown_progress
from drummix.errors import MissingExtraError

_STOPPED_STATUS = 130


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("finetune")(finetune_command)


def finetune_command(
    sessions: Annotated[
        list[str],
        typer.Argument(
            metavar="SESSION...",
            help="FOLDER=MIX: a folder of microphone tracks and the mix that was made of them; "
            "or FOLDER alone, with mix.wav in it.",
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="The model to write.")],
    base: Annotated[
        str,
        typer.Option("--from", metavar="MODEL", help="A shipped model, or the folder of one."),
    ] = "waveunet-wet",
    role: RoleOptions = None,
    steps: Annotated[int, typer.Option(help="Most steps of training.")] = 300,
    minutes: Annotated[
        float | None, typer.Option(metavar="N", help="Most minutes of training.")
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="Largest step size.")] = 3e-4,
    hold_out: Annotated[
        str | None,
        typer.Option(
            metavar="SESSION|SHARE",
            help="What decides which weights are best: a session by its folder's name, or a share "
            "of each from its end. The last of several sessions, or 0.2 of one, if not given.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses the clips.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Teach a model your own mixes; one song is enough."""
    roles = parse_roles(role)
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("lightning") is None:
        raise MissingExtraError("fine-tuning", "train")
    from drummix.finetuning import describe, finetune

    with shown_progress() as progress:
        found = finetune(
            sessions,
            out,
            base=base,
            roles=roles,
            steps=steps,
            minutes=minutes,
            learning_rate=learning_rate,
            hold_out=_share_or_name(hold_out),
            seed=seed,
            report=say,
            progress=progress,
        )
    learned = found.learned
    if learned.ended_by in ("stop", "loss"):
        why = "stopped" if learned.ended_by == "stop" else "the loss is no longer a number"
        say(f"{why} after {learned.steps} steps: the best is kept, of step {learned.best_step}")
    if as_json:
        print_json(found.to_mapping())
    else:
        typer.echo(str(found.folder))
        typer.echo(f"before: {describe(found.before)}")
        typer.echo(f"after:  {describe(found.after)}")
    if learned.ended_by == "stop":
        raise typer.Exit(_STOPPED_STATUS)


def _share_or_name(text: str | None) -> float | str | None:
    """A share where it is a number.

    >>> _share_or_name("0.25"), _share_or_name("song 2"), _share_or_name(None)
    (0.25, 'song 2', None)
    """
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
