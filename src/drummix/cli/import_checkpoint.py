"""`drummix import-checkpoint`: a network that the paper's authors published, as one of ours."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from drummix.cli.output import say
from drummix.cli.train import Target


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("import-checkpoint")(import_checkpoint_command)


def import_checkpoint_command(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="Path of the checkpoint, as in dry-460000; one of its files; or its folder.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="FOLDER", help="Folder of the model, a new one."),
    ],
    target: Annotated[Target, typer.Option(help="The mix that it was trained for.")],
) -> None:
    """Convert a TensorFlow checkpoint of the paper's authors into a model of drummix."""
    from drummix.nn.tf_checkpoint import import_checkpoint

    folder = import_checkpoint(checkpoint, out, target=target.value)
    say(
        f"mix with it: drummix mix takes -o mix.wav --system waveunet-{target.value} "
        f"--weights {shlex.quote(str(folder))}"
    )
    typer.echo(str(folder))
