"""`drummix bench`: how fast the network is on this machine, beside the usual ways to run it."""

from __future__ import annotations

from typing import Annotated

import typer

from drummix.cli.output import (
    AsJson,
    AsMarkdown,
    check_format,
    print_json,
    say,
    seconds_listed,
    shown_progress,
)

SEED = 0


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("bench")(bench_command)


def bench_command(
    lengths: Annotated[
        str | None,
        typer.Option(
            metavar="S,S,...",
            help="Lengths in seconds of the sessions mixed from file to file; 15,60,600 if not "
            "given.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave the session of 600 s out.")] = False,
    threads: Annotated[
        int | None, typer.Option(help="Threads; as many as cores may be used if not given.")
    ] = None,
    as_markdown: AsMarkdown = False,
    as_json: AsJson = False,
) -> None:
    """Time the network on this machine, beside PyTorch and ONNX Runtime where installed."""
    check_format(as_json=as_json, as_markdown=as_markdown)
    if quick and lengths is not None:
        raise typer.BadParameter("give --quick or --lengths, not both", param_hint="--quick")
    import numpy as np  # as the rest: `drummix --help` loads nothing heavy

    from drummix.evaluation.bench import LENGTHS_S, QUICK_LENGTHS_S, measure
    from drummix.evaluation.provenance import provenance

    lengths_s = QUICK_LENGTHS_S if quick else LENGTHS_S
    with shown_progress() as progress:
        bench = measure(
            rng=np.random.default_rng(SEED),
            lengths_s=lengths_s if lengths is None else seconds_listed(lengths, "--lengths"),
            threads=threads,
            progress=lambda n_done, n_all, _: progress("measuring", n_done, n_all),
        )
    if as_json:
        print_json({**bench.to_mapping(), "source": provenance().to_mapping()})
        return
    for grid in bench.grids():
        typer.echo((grid.to_markdown() if as_markdown else grid.to_text()) + "\n")
    say(f"({provenance()})")
