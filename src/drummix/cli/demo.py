"""`drummix demo`: a session from nothing, mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drummix.cli.output import AsJson, duration, print_json, say, say_notices, shown_progress


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("demo")(demo_command)


def demo_command(
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FOLDER", help="Where to put it.")
    ] = Path("drummix-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed: another kit and take.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Make a drum session from nothing, mix it and draw it."""
    from drummix.demo import make_demo

    with shown_progress() as progress:
        demo = make_demo(out, seed=seed, progress=progress)
    mixes = {system: str(mixed.path) for system, mixed in demo.mixes.items()}
    if as_json:
        print_json({"stems": str(demo.stems), "mixes": mixes, "picture": str(demo.picture)})
        return
    for system, mixed in demo.mixes.items():
        say(f"{system}:")
        say_notices(mixed.notices)
    say(f"made a drum session of {duration(demo.duration_s)} and mixed it; listen:")
    typer.echo(f"microphones  {demo.stems}")
    for system, path in mixes.items():
        typer.echo(f"{system}  {path}")
    typer.echo(f"picture  {demo.picture}")
