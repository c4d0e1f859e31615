"""`drummix mix` and `drummix systems`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from drummix.cli.mix_options import (
    AsRecorded,
    Lufs,
    MatchLevels,
    Memory,
    PaperSegments,
    StyleFile,
    System,
    Threads,
    TruePeak,
    Weights,
    parse_compute,
)
from drummix.cli.output import (
    AsJson,
    duration,
    plain_notices,
    print_json,
    say,
    say_notices,
    shown_progress,
)

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Folder with the microphone tracks of one take.")
]
RoleOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        metavar="ROLE=FILE",
        help="What a file is, where its name does not tell: snare='take 3.wav'. Repeatable; "
        "ignore='click.wav' leaves a file out.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    app.command("mix")(mix_command)
    app.command("systems")(systems_command)


def parse_roles(options: list[str] | None) -> dict[str, list[str]]:
    """``ROLE=FILE`` options as role -> files.

    >>> parse_roles(["snare=take 3.wav", "room=a.wav", "room=b.wav"])
    {'snare': ['take 3.wav'], 'room': ['a.wav', 'b.wav']}
    """
    roles: dict[str, list[str]] = {}
    for option in options or []:
        role, equals, file = option.partition("=")
        if not (role.strip() and equals and file):
            raise typer.BadParameter(
                f"{option!r} is not ROLE=FILE, as in snare='take 3.wav'", param_hint="--role"
            )
        roles.setdefault(role.strip(), []).append(file)
    return roles


def mix_command(
    folder: Folder,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="FILE", help="The mix to write: .wav, .flac, .mp3 …"),
    ],
    system: System = "waveunet-wet",
    role: RoleOptions = None,
    lufs: Lufs = None,
    true_peak: TruePeak = None,
    settings: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Write down everything that was done."),
    ] = None,
    paper_segments: PaperSegments = False,
    as_recorded: AsRecorded = False,
    weights: Weights = None,
    style: StyleFile = None,
    match_levels: MatchLevels = False,
    threads: Threads = None,
    memory: Memory = None,
    as_json: AsJson = False,
) -> None:
    """Mix a folder of microphone tracks into one stereo file."""
    roles = parse_roles(role)
    from drummix.mixing import mix_to_file

    start_s = time.monotonic()
    with shown_progress() as progress:
        mixed = mix_to_file(
            folder,
            out,
            system=system,
            roles=roles,
            lufs=lufs,
            true_peak_dbtp=true_peak,
            as_recorded=as_recorded,
            paper_segments=paper_segments,
            weights=weights,
            style=style,
            match_levels=match_levels,
            compute=parse_compute(threads, memory),
            settings_path=settings,
            progress=progress,
        )
    say_notices(mixed.notices)
    session, level = mixed.settings["session"], mixed.settings["level"]
    loudness = "" if level["lufs"] is None else f"{level['lufs']:.1f} LUFS, "
    say(
        f"mixed {duration(session['n_samples'] / session['rate_hz'])} of "
        f"{len(session['stems'])} microphones by {mixed.settings['system']} in "
        f"{duration(time.monotonic() - start_s)}: {loudness}{level['true_peak_dbtp']:.1f} dBTP"
    )
    if as_json:
        print_json(
            {
                "path": str(mixed.path),
                "notices": plain_notices(mixed.notices),
                "settings": dict(mixed.settings),
            }
        )
    else:
        typer.echo(str(mixed.path))


def systems_command(as_json: AsJson = False) -> None:
    """List the systems that can mix."""
    from drummix.mixers.registry import systems

    found = systems()
    if as_json:
        print_json([system.to_mapping() for system in found])
        return
    for system in found:
        mark = " (default)" if system.is_default else ""
        typer.echo(f"{system.name}{mark}")
        typer.echo(f"    {system.description}")
        if not system.is_ready:
            typer.echo(f"    not ready: {system.why_not}")
