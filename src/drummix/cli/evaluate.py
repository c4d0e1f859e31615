"""`drummix evaluate`: how close systems come to the mixes of a corpus."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drummix.cli.output import AsJson, print_json, say, shown_progress

if TYPE_CHECKING:
    from drummix.evaluation import EvaluationTable


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("evaluate")(evaluate_command)


def evaluate_command(
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", help="Folder of a rendered corpus, with targets.")
    ],
    part: Annotated[str, typer.Option(help="The part to mix: train, validation or test.")] = "test",
    systems: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Systems of `drummix systems` to compare, and `static` for the best static gains; "
            "waveunet-dry,waveunet-wet,static,unity,anchor if not given.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", help="Mix N items only, shuffled, the kits taking turns."),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="A model in place of the shipped one of its target. Repeatable.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that work at the same time.")] = 1,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write down every number.")
    ] = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the tables as Markdown.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Mix a part of a corpus with several systems and print how close they come."""
    if as_json and as_markdown:
        raise typer.BadParameter("give --json or --markdown, not both", param_hint="--markdown")
    from drummix.audio import atomic_path
    from drummix.evaluation import DEFAULT_SYSTEMS, evaluate

    names = None if systems is None else [name.strip() for name in systems.split(",")]
    with ExitStack() as stack:
        # Claimed before the work, which may take long, and not after it.
        csv_file = None if csv is None else stack.enter_context(atomic_path(csv))
        progress = stack.enter_context(shown_progress())
        table = evaluate(
            corpus,
            part=part,
            systems=DEFAULT_SYSTEMS if names is None else names,
            weights=weights or (),
            limit=limit,
            workers=workers,
            progress=lambda n_done, n_all, _: progress("evaluating", n_done, n_all),
        )
        if csv_file is not None:
            csv_file.write_text(table.to_csv(), encoding="utf-8")
    _print(table, as_json=as_json, as_markdown=as_markdown)
    for failure in table.failures:
        say(f"drummix: {failure}")
    if table.failures:
        n_items = len({failure.item for failure in table.failures})
        say(f"drummix: {n_items} of {table.n_items} items are not, or not wholly, in the figures")
        raise typer.Exit(1)


def _print(table: EvaluationTable, *, as_json: bool, as_markdown: bool) -> None:
    if as_json:
        print_json(table.to_mapping())
    else:
        typer.echo(table.to_markdown() if as_markdown else table.to_text())
