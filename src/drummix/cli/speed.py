"""`drummix speed`: how fast systems mix, and in how much memory."""

from __future__ import annotations

from typing import Annotated

import typer

from drummix.cli.output import (
    AsJson,
    AsMarkdown,
    check_format,
    listed,
    print_json,
    say,
    seconds_listed,
    shown_progress,
)

SEED = 0


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("speed")(speed_command)


def speed_command(
    systems: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Systems of `drummix systems`; waveunet-dry,waveunet-wet,unity,anchor if not "
            "given.",
        ),
    ] = None,
    lengths: Annotated[
        str, typer.Option(metavar="S,S,...", help="Lengths of the sessions in seconds.")
    ] = "10,60,300",
    repeats: Annotated[int, typer.Option(help="Runs of each; the fastest counts.")] = 3,
    as_markdown: AsMarkdown = False,
    as_json: AsJson = False,
) -> None:
    """Mix made-up sessions of several lengths and print time and memory of each system."""
    check_format(as_json=as_json, as_markdown=as_markdown)
    import numpy as np  # as the rest: `drummix --help` loads nothing heavy

    from drummix.evaluation.provenance import provenance
    from drummix.evaluation.speed import DEFAULT_SYSTEMS, measure_speed

    names = listed(systems)
    with shown_progress() as progress:
        table = measure_speed(
            rng=np.random.default_rng(SEED),
            systems=DEFAULT_SYSTEMS if names is None else names,
            lengths_s=seconds_listed(lengths, "--lengths"),
            repeats=repeats,
            progress=lambda n_done, n_all, _: progress("timing", n_done, n_all),
        )
    if as_json:
        print_json({**table.to_mapping(), "source": provenance().to_mapping()})
    else:
        typer.echo(table.grid().to_markdown() if as_markdown else table.grid().to_text())
        say(f"({provenance()})")
    for failure in table.failures:
        say(f"drummix: {failure}")
    if table.failures:
        raise typer.Exit(1)
