"""`drummix mix` and `drummix systems`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from drummix.cli.output import AsJson, duration, print_json, say, say_notices, shown_progress

if TYPE_CHECKING:
    from drummix.mixers.compute import Compute

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


Threads = Annotated[
    int | None,
    typer.Option(help="Threads of the network; as many as cores may be used if not given."),
]
Memory = Annotated[
    float | None,
    typer.Option(metavar="MB", help="Peak memory of the network's mix; 600 if not given."),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        metavar="full|fast", help="fast: bfloat16 where the processor has it, about 50 dB down."
    ),
]
RuntimeOption = Annotated[
    str,
    typer.Option(metavar="auto|native|openvino", help="What computes the network."),
]


def parse_compute(
    threads: int | None, memory: float | None, precision: str, runtime: str
) -> Compute:
    """The options of a network's computation as the library takes them."""
    from drummix.mixers.compute import Compute  # as elsewhere: help loads nothing heavy

    return Compute(threads, memory, cast(Any, precision), cast(Any, runtime))


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
    system: Annotated[
        str, typer.Option(help="What mixes; `drummix systems` lists them.")
    ] = "waveunet-wet",
    role: RoleOptions = None,
    lufs: Annotated[
        float | None,
        typer.Option(help="Integrated loudness in LUFS, as far as the true peak lets it."),
    ] = None,
    true_peak: Annotated[
        float | None, typer.Option(help="Highest true peak in dBTP; -1 if not given.")
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Write down everything that was done."),
    ] = None,
    paper_segments: Annotated[
        bool, typer.Option("--paper-segments", help="Cut the session as the paper does.")
    ] = False,
    as_recorded: Annotated[
        bool,
        typer.Option("--as-recorded", help="Leave the microphones at their recorded levels."),
    ] = False,
    weights: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A model to use in place of the shipped.")
    ] = None,
    style: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Mix with a style that `drummix match` learned."),
    ] = None,
    match_levels: Annotated[
        bool,
        typer.Option(
            "--match-levels", help="Bring the microphones to the levels of the style's example."
        ),
    ] = False,
    threads: Threads = None,
    memory: Memory = None,
    precision: PrecisionOption = "full",
    runtime: RuntimeOption = "auto",
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
            compute=parse_compute(threads, memory, precision, runtime),
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
                "notices": list(mixed.notices),
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
