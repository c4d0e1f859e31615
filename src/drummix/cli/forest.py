"""`drummix train-forest`: the random forest of the paper's baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drummix.cli.output import AsJson, print_json, say, shown_progress


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train-forest")(train_forest)


def train_forest(
    corpora: Annotated[list[Path], typer.Argument(help="Rendered corpora.", metavar="CORPUS...")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the forest.")],
    trees: Annotated[int, typer.Option(help="Trees.")] = 100,
    leaves: Annotated[int, typer.Option(help="Most leaves of a tree.")] = 700,
    seed: Annotated[int, typer.Option(help="Of preamp gains and trees.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Grow the random forest that sets gains on train and validation, and test it on test."""
    from drummix.forest import ForestSettings
    from drummix.forest import train_forest as grow

    settings = ForestSettings(n_trees=trees, n_leaves=leaves, seed=seed)
    with shown_progress() as progress:
        metrics = grow(corpora, out, settings=settings, progress=progress)
    if as_json:
        print_json({"folder": str(out), "metrics": metrics})
        return
    say(", ".join(f"{name} {value:g}" for name, value in metrics.items()))
    typer.echo(out)
