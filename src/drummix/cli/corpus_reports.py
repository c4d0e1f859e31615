"""`drummix corpus calibrate` and `corpus picture`: what a corpus measures and looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drummix.cli.output import (
    AsJson,
    AsMarkdown,
    Workers,
    check_format,
    print_json,
    say,
    shown_progress,
)


def register(corpus: typer.Typer) -> None:
    """Add the commands to `drummix corpus`."""
    corpus.command("calibrate")(calibrate_command)
    corpus.command("picture")(picture_command)


def calibrate_command(
    corpus: Annotated[
        Path, typer.Argument(metavar="DIR", help="A rendered corpus, or ENST-Drums.")
    ],
    part: Annotated[
        str | None,
        typer.Option(help="The part to measure: train, validation or test; all if none."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", help="Measure N items only, shuffled, the kits taking turns."),
    ] = None,
    workers: Workers = 1,
    as_markdown: AsMarkdown = False,
    as_json: AsJson = False,
) -> None:
    """Measure the mixes of a corpus beside human mixes, and say what is outside their range."""
    check_format(as_json=as_json, as_markdown=as_markdown)
    from drummix.evaluation.calibration import calibrate

    with shown_progress() as progress:
        table = calibrate(
            corpus,
            part=part,
            limit=limit,
            workers=workers,
            progress=lambda n_done, n_all, _: progress("measuring", n_done, n_all),
        )
    if as_json:
        print_json(table.to_mapping())
    else:
        typer.echo(table.to_markdown() if as_markdown else table.to_text())
    for failure in table.failures:
        say(f"drummix: {failure}")
    if table.failures:
        n_items = len(table.items) + len(table.failures)
        say(f"drummix: {len(table.failures)} of {n_items} items are not in the figures")
        raise typer.Exit(1)


def picture_command(
    corpus: Annotated[
        Path, typer.Argument(metavar="DIR", help="A rendered corpus, or ENST-Drums.")
    ],
    item: Annotated[
        str, typer.Argument(metavar="ITEM", help="Name of the item, as manifest.csv has it.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE.png", help="The picture to write.")
    ],
    start_s: Annotated[
        float, typer.Option("--start", metavar="SECONDS", help="Where in the item to begin.")
    ] = 0.0,
    length_s: Annotated[
        float | None,
        typer.Option("--length", metavar="SECONDS", help="How much to draw; all if not given."),
    ] = None,
) -> None:
    """Draw one item: its hits, microphones, dry and wet mix, and their spectra."""
    from drummix.picture.item import draw_item  # loads a plotting library

    typer.echo(str(draw_item(corpus, item, out, start_s=start_s, length_s=length_s)))
