"""`drummix match`: learn from one song how it was mixed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drummix.cli.mix import RoleOptions, parse_roles
from drummix.cli.output import (
    AsJson,
    plain_notices,
    print_json,
    printable,
    say,
    say_notices,
    shown_progress,
)

if TYPE_CHECKING:
    from drummix.matching import StyleCheck


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("match")(match_command)


def match_command(
    stems: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder with the song's microphone tracks.")
    ],
    mix: Annotated[Path, typer.Option(metavar="FILE", help="The mix that was made of them.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE.json", help="The style to write.")
    ],
    role: RoleOptions = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the filters.")
    ] = None,
    taps: Annotated[
        int, typer.Option(help="Longest filter to try, up to 1024; fewer taps are used if enough.")
    ] = 128,
    no_bus: Annotated[
        bool, typer.Option("--no-bus", help="Look for no plate, compressor or balance on the sum.")
    ] = False,
    check: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Tracks of another song to try the style on."),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="The mix of that song, one for each --check."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Learn a style from a song's tracks and its mix, to mix other songs with."""
    if len(check or []) != len(against or []):
        raise typer.BadParameter(
            "give one --against FILE for each --check FOLDER", param_hint="--check"
        )
    roles = parse_roles(role)
    from drummix.matching import check_style, draw_style, match
    from drummix.mixers.style import check_style_target

    check_style_target(out)
    with shown_progress() as progress:
        found = match(
            stems, mix, roles=roles, max_taps=taps, with_bus=not no_bus, progress=progress
        )
        checks = [
            check_style(found.style, folder, file)
            for folder, file in zip(check or [], against or [], strict=True)
        ]
    say_notices(found.notices)
    for line in _lines(found.table()):
        say(line)
    _say_what_was_learned(found.style.learned, found.style.bus.to_plain()["effects"])
    found.style.save(out)
    if picture is not None:
        draw_style(found.style, picture)
    for folder, result in zip(check or [], checks, strict=True):
        _say_check(folder, result)
    if as_json:
        print_json(
            {
                "path": str(out),
                "notices": plain_notices(found.notices),
                "style": found.style.to_plain(),
                "checks": [
                    result.to_mapping() | {"notices": plain_notices(result.notices)}
                    for result in checks
                ],
            }
        )
    else:
        typer.echo(str(out))


def _lines(table: Sequence[Sequence[str]]) -> list[str]:
    """A table as aligned columns, or a line an entry where the terminal is too narrow for it."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    if sum(widths) + 2 * len(widths) <= shutil.get_terminal_size().columns:
        return [
            "  ".join(
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
    heading, *rows = table
    lines = []
    for row in rows:
        lines.append(row[0])
        lines += [f"  {name} {cell}" for name, cell in zip(heading[1:], row[1:], strict=True)]
    return lines


def _say_what_was_learned(learned: Any, bus: Sequence[Any]) -> None:
    alone = ", without the bus," if bus else ""
    say(
        f"filters of {learned['taps']} taps{alone} reach "
        f"{learned['held_out_si_sdr_db']:.1f} dB SI-SDR on the half of the song they were not "
        "fitted to; gains and pans alone "
        f"{learned['static_si_sdr_db']:.1f} dB"
    )
    if bus:
        say(f"on the bus: {', '.join(effect['effect'] for effect in bus)}")


def _say_check(folder: Path, result: StyleCheck) -> None:
    say_notices(replace(notice, within=folder.name) for notice in result.notices)
    say(
        f"{printable(folder.name)}: {result.si_sdr_db:.1f} dB SI-SDR with the style; "
        f"{result.static_si_sdr_db:.1f} dB with the best gains and pans fitted to its own mix"
    )
