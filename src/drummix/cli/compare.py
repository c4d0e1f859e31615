"""`drummix compare`: the metrics of any files against a reference."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from drummix.cli.output import (
    AsJson,
    AsMarkdown,
    check_format,
    plain_notices,
    print_json,
    say_notices,
)


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("compare")(compare_command)


def compare_command(
    reference: Annotated[
        Path, typer.Argument(metavar="REFERENCE", help="What the mixes should be.")
    ],
    mixes: Annotated[list[Path], typer.Argument(metavar="MIX...", help="The files to measure.")],
    align: Annotated[
        bool, typer.Option("--align", help="Move each mix to where it fits the reference best.")
    ] = False,
    perceptual: Annotated[
        bool, typer.Option("--perceptual", help="Ask a model of hearing too (Zimtohrli).")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write down every number.")
    ] = None,
    as_markdown: AsMarkdown = False,
    as_json: AsJson = False,
) -> None:
    """Measure mixes against a reference and print every metric."""
    check_format(as_json=as_json, as_markdown=as_markdown)
    from drummix.audio import atomic_path
    from drummix.evaluation.comparing import compare

    with ExitStack() as stack:
        csv_file = None if csv is None else stack.enter_context(atomic_path(csv))
        found = compare(reference, mixes, align=align, is_perceptual=perceptual)
        if csv_file is not None:
            csv_file.write_text(found.to_csv(), encoding="utf-8")
    say_notices(found.notices)
    if as_json:
        print_json(found.to_mapping() | {"notices": plain_notices(found.notices)})
    else:
        grid = found.grid()
        typer.echo(grid.to_markdown() if as_markdown else grid.to_text())
