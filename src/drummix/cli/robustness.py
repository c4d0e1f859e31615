"""`drummix robustness`: what disturbed stems do to systems."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from drummix.cli.evaluate import Limit, Part, Weights
from drummix.cli.output import (
    AsJson,
    AsMarkdown,
    Ray,
    WorkersOrAll,
    check_format,
    listed,
    print_json,
    say,
    say_notice,
    shown_progress,
)

SEED = 0
"""Of the noise: the same command gives the same figures."""


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("robustness")(robustness_command)


def robustness_command(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="A corpus, with targets.")],
    part: Part = "test",
    systems: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Systems of `drummix systems`, and the best static gains (`static`) or filters of "
            "512 taps (`filters`) of the undisturbed stems; waveunet-dry,waveunet-wet,forest-dry,"
            "forest-wet,static,unity,anchor if not given.",
        ),
    ] = None,
    limit: Limit = None,
    weights: Weights = None,
    every_stem: Annotated[
        bool,
        typer.Option("--every-stem", help="Hit every microphone of every item, not one in turn."),
    ] = False,
    workers: WorkersOrAll = None,
    ray: Ray = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write down every mix.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the study into this PNG.")
    ] = None,
    as_markdown: AsMarkdown = False,
    as_json: AsJson = False,
) -> None:
    """Disturb the stems of a corpus in every way and print how each system copes."""
    check_format(as_json=as_json, as_markdown=as_markdown)
    import numpy as np  # as the rest: `drummix --help` loads nothing heavy

    from drummix.audio import atomic_path
    from drummix.evaluation import DEFAULT_SYSTEMS
    from drummix.evaluation.robustness import measure_robustness

    names = listed(systems)
    with ExitStack() as stack:
        # Claimed before the work, which may take long, and not after it.
        csv_file = None if csv is None else stack.enter_context(atomic_path(csv))
        plot_file = None if plot is None else stack.enter_context(atomic_path(plot))
        progress = stack.enter_context(shown_progress())
        table = measure_robustness(
            corpus, rng=np.random.default_rng(SEED), part=part,
            systems=DEFAULT_SYSTEMS if names is None else names, weights=weights or (),
            limit=limit, is_every_stem=every_stem, workers=workers, ray=ray,
            on_notice=say_notice,
            progress=lambda n_done, n_all, _: progress("disturbing", n_done, n_all),
        )  # fmt: skip
        if csv_file is not None:
            csv_file.write_text(table.to_csv(), encoding="utf-8")
        if plot_file is not None:
            table.draw(plot_file)
    if as_json:
        print_json(table.to_mapping())
    else:
        typer.echo(table.to_markdown() if as_markdown else table.to_text())
    for failure in table.failures:
        say(f"drummix: {failure}")
    if table.failures:
        raise typer.Exit(1)
