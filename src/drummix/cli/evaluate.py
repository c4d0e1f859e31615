"""`drummix evaluate`: how close systems come to the mixes of a corpus."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    say_notices,
    shown_progress,
)

if TYPE_CHECKING:
    from drummix.evaluation import EvaluationTable

Part = Annotated[str, typer.Option(help="The part to mix: train, validation or test.")]
Limit = Annotated[
    int | None,
    typer.Option(metavar="N", help="Mix N items only, shuffled, the kits taking turns."),
]
Weights = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FOLDER", help="A model in place of the shipped one of its system. Repeatable."
    ),
]

SEED = 0
"""Of the bootstrap: the same command prints the same intervals."""


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("evaluate")(evaluate_command)


def evaluate_command(
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", help="Folder of a rendered corpus, with targets.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="Write a report: a page to look at and listen to, tables, figures, all mixes. "
            "A run that was stopped goes on where it was.",
        ),
    ] = None,
    part: Part = "test",
    systems: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Systems of `drummix systems` to compare, and the best static gains (`static`) or "
            "filters of 512 taps (`filters`) of each item; waveunet-dry,waveunet-wet,forest-dry,"
            "forest-wet,static,unity,anchor if not given.",
        ),
    ] = None,
    limit: Limit = None,
    weights: Weights = None,
    as_recorded: Annotated[
        bool,
        typer.Option("--as-recorded", help="Leave the microphones at their recorded levels."),
    ] = False,
    workers: WorkersOrAll = None,
    ray: Ray = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write down every number.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE",
            help="Put the report's tables into this Markdown page, between its marks.",
        ),
    ] = None,
    as_markdown: AsMarkdown = False,
    as_json: AsJson = False,
) -> None:
    """Mix a part of a corpus with several systems and print how close they come."""
    check_format(as_json=as_json, as_markdown=as_markdown)
    if results is not None and output is None:
        raise typer.BadParameter("the tables are those of a report; add -o", param_hint="--results")
    import numpy as np  # as the rest: `drummix --help` loads nothing heavy

    from drummix.audio import atomic_path
    from drummix.evaluation import DEFAULT_SYSTEMS, evaluate, make_report

    names = listed(systems)
    with ExitStack() as stack:
        # Claimed before the work, which may take long, and not after it.
        csv_file = None if csv is None else stack.enter_context(atomic_path(csv))
        progress = stack.enter_context(shown_progress())

        def show(n_done: int, n_all: int, item: str) -> None:
            progress("evaluating", n_done, n_all)

        def show_page(n_done: int, n_all: int, item: str) -> None:
            progress("writing the page", n_done, n_all)

        chosen = DEFAULT_SYSTEMS if names is None else names
        if output is None:
            table = evaluate(
                corpus, part=part, systems=chosen, weights=weights or (), limit=limit,
                as_recorded=as_recorded, workers=workers, ray=ray, on_notice=say_notice,
                progress=show,
            )  # fmt: skip
        else:
            report = make_report(
                corpus, output, rng=np.random.default_rng(SEED), part=part, systems=chosen,
                weights=weights or (), limit=limit, as_recorded=as_recorded, workers=workers,
                ray=ray, results=results, command=_command(), on_notice=say_notice, progress=show,
                page_progress=show_page,
            )  # fmt: skip
            table = report.table
        if csv_file is not None:
            csv_file.write_text(table.to_csv(), encoding="utf-8")
    say_notices(table.notices)
    if output is None:
        _print(table, as_json=as_json, as_markdown=as_markdown)
    else:
        say_notices(report.files.notices)
        if as_json or as_markdown:
            _print(table, as_json=as_json, as_markdown=as_markdown)
        else:
            typer.echo(report.files.page)
    _say_failures(table)


def _command() -> str:
    """The command as it was given, for the report."""
    return shlex.join(["drummix", *sys.argv[1:]])


def _print(table: EvaluationTable, *, as_json: bool, as_markdown: bool) -> None:
    if as_json:
        print_json(table.to_mapping())
    else:
        typer.echo(table.to_markdown() if as_markdown else table.to_text())


def _say_failures(table: EvaluationTable) -> None:
    for failure in table.failures:
        say(f"drummix: {failure}")
    if not table.failures:
        return
    n_items = len({failure.item for failure in table.failures if failure.item})
    if n_items:
        say(f"drummix: {n_items} of {table.n_items} items are not, or not wholly, in the figures")
    raise typer.Exit(1)
