"""`drummix train`: one training run from its configuration, or the paper's."""

from __future__ import annotations

import contextlib
import importlib.util
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drummix.cli.output import say, shown_progress
from drummix.errors import MissingExtraError

if TYPE_CHECKING:
    from drummix.nn.config import TrainSettings


class Target(StrEnum):
    """What the paper's networks give."""

    DRY = "dry"
    WET = "wet"


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("train")(train_command)


def train_command(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="CONFIG.toml", help="Settings of the run; see docs/training.md."),
    ] = None,
    paper: Annotated[
        Target | None, typer.Option(help="Train the paper's network its way, with no file.")
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="With --paper: a corpus, or ENST-Drums. Repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="RUN", help="With --paper: checkpoints and model."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="N", help="Stop within N minutes; the same command goes on."),
    ] = None,
    curve: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Only draw the curve of a run, from its log.csv."),
    ] = None,
) -> None:
    """Train a Wave-U-Net on corpora; the same command goes on after a stop."""
    chosen = [option for option in (config, paper, curve) if option is not None]
    if len(chosen) != 1:
        raise typer.BadParameter("give one of CONFIG.toml, --paper or --curve")
    if (paper is None) != (not corpus) or (paper is None) != (out is None):
        raise typer.BadParameter("--paper takes --corpus and -o, which belong to it alone")
    if curve is not None:
        if minutes is not None:
            raise typer.BadParameter("--curve draws what is there; leave --minutes out")
        from drummix.nn.curve import draw_curve

        typer.echo(str(draw_curve(curve)))
        return
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("lightning") is None:
        raise MissingExtraError("training", "train")
    from drummix.nn.train import is_first_process, train

    settings = _settings(config, paper, corpus, out)
    with shown_progress() if is_first_process() else contextlib.nullcontext() as progress:
        folder = train(settings, minutes=minutes, report=say, progress=progress)
    if is_first_process():
        typer.echo(str(folder))


def _settings(
    config: Path | None, paper: Target | None, corpus: list[Path] | None, out: Path | None
) -> TrainSettings:
    from drummix.nn.config import paper_settings, read_train_settings

    if config is not None:
        return read_train_settings(config)
    assert paper is not None
    assert corpus is not None
    folders = tuple(str(folder.resolve()) for folder in corpus)
    return paper_settings(paper.value, folders, str(out))
