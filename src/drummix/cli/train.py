"""`drummix train`: one training run from its configuration."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from drummix.cli.output import say, shown_progress
from drummix.errors import MissingExtraError


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("train")(train_command)


def train_command(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG.toml", help="Settings of the run; see docs/training.md."),
    ],
) -> None:
    """Train a Wave-U-Net on rendered corpora; the same command goes on after a stop."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("lightning") is None:
        raise MissingExtraError("training", "train")
    from drummix.nn.config import read_train_settings
    from drummix.nn.train import train

    settings = read_train_settings(config)
    with shown_progress() as progress:
        folder = train(settings, report=say, progress=progress)
    typer.echo(str(folder))
