"""`drummix corpus`: plan, render and check training data."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drummix.cli import corpus_reports, enst
from drummix.cli.app import App
from drummix.cli.output import (
    AsJson,
    Ray,
    duration,
    print_json,
    say,
    say_notices,
    shown_progress,
)
from drummix.errors import DrummixError, Parameter, SettingError
from drummix.notices import Notice

if TYPE_CHECKING:
    from drummix.corpus.plan import PlannedItem


class Format(StrEnum):
    """Sound files of a corpus."""

    FLAC = "flac"
    WAV = "wav"


class Perspective(StrEnum):
    """From where the mixes see the kit."""

    AUDIENCE = "audience"
    DRUMMER = "drummer"


app = App(
    name="corpus",
    help="Make and check training data: sessions rendered from drum kits and performances.",
    no_args_is_help=True,
)

Kits = Annotated[
    list[str],
    typer.Option(
        "--kit",
        metavar="FOLDER",
        help="Folder of a DrumGizmo kit, or synthkit for the built-in one (synthkit-1 and so on "
        "for others). Repeatable: the kits take turns.",
    ),
]
Groove = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Folder of the Groove MIDI Dataset (its info.csv).")
]
Parts = Annotated[
    str | None,
    typer.Option(metavar="A,B,...", help="Parts to render: train, validation, test; all if none."),
]
Hours = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[PART=]HOURS",
        help="Hours of audio: 1.5 for each part, or train=1.5 for one. Repeatable. All there is "
        "if not given.",
    ),
]
Kinds = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="Kinds of ENST-Drums, which share the hours: hits, phrase, solo, minus-one. "
        "Performances of any kind if none.",
    ),
]
HoldOut = Annotated[
    str | None,
    typer.Option(
        "--hold-out-kit",
        metavar="FOLDER",
        help="The one of the kits that plays the test part, alone, and no other part.",
    ),
]
Engineer = Annotated[int, typer.Option(metavar="N", help="Which reference engineer mixes.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of everything else.")]


def register(main: typer.Typer) -> None:
    """Add the commands to the main program."""
    corpus_reports.register(app)
    enst.register(app)
    main.add_typer(app, name="corpus")


@app.command("render")
def render_command(
    kit: Kits,
    groove: Groove,
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="DIR", help="The corpus; rendering into it again goes on."
        ),
    ],
    parts: Parts = None,
    hours: Hours = None,
    kinds: Kinds = None,
    hold_out_kit: HoldOut = None,
    engineer: Engineer = 1,
    perspective: Annotated[
        Perspective, typer.Option(help="From where the mixes see the kit.")
    ] = Perspective.AUDIENCE,
    disturb: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Disturb the microphones, not the mixes: gain, dropout, polarity, delay, tilt, "
            "noise, overheads; and tuning, of the kit, which both hear.",
        ),
    ] = None,
    seed: Seed = 0,
    format: Annotated[
        Format, typer.Option("--format", help="Sound files, 24-bit; WAV reads faster.")
    ] = Format.FLAC,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that render at the same time, 1.3 GB each; 1 if not given, and with "
            "--ray one a core of the cluster."
        ),
    ] = None,
    ray: Ray = None,
) -> None:
    """Render sessions with their dry and wet mixes; the same command goes on after a stop."""
    from drummix.corpus.build import render_corpus
    from drummix.corpus.plan import CorpusSettings

    settings = CorpusSettings(
        kits=tuple(kit),
        groove=str(groove),
        hours=parse_hours(parts, hours),
        kinds=_names(kinds),
        hold_out_kit=hold_out_kit,
        engineer=engineer,
        perspective=perspective.value,
        disturb=_names(disturb),
        seed=seed,
        extension=format.value,
    )

    start_s = time.monotonic()
    notices: list[Notice] = []
    progress_of = _Progress()
    try:
        with shown_progress() as progress:
            items = render_corpus(
                settings,
                out,
                workers=workers,
                ray=ray,
                progress=lambda *step: progress(*progress_of(*step)),
                on_notice=notices.append,
            )
    except (DrummixError, OSError, KeyboardInterrupt, SystemExit):
        if progress_of.n_done:
            say(
                f"{progress_of.n_done} of {progress_of.n_all} items are complete; "
                "the same command goes on from there"
            )
        raise
    finally:
        say_notices(notices)
    took_s = time.monotonic() - start_s
    new_s = sum(item.duration_s for item in items if item.item in progress_of.new)
    speed = f", {new_s / took_s:.0f} times as fast as they sound" if new_s else ""
    say(
        f"{len(items)} items, {duration(sum(item.duration_s for item in items))}, "
        f"{len(progress_of.new)} of them rendered in {duration(took_s)}{speed}"
    )
    typer.echo(str(out / "manifest.csv"))


class _Progress:
    """Remembers how far the rendering came, for what is said at its end."""

    def __init__(self) -> None:
        self.n_done = self.n_all = 0
        self.new: set[str] = set()

    def __call__(self, n_done: int, n_all: int, item: str) -> tuple[str, int, int]:
        self.n_done, self.n_all = n_done, n_all
        if item:
            self.new.add(item)
        return ("rendering", n_done, n_all)


@app.command("plan")
def plan_command(
    kit: Kits,
    groove: Groove,
    parts: Parts = None,
    hours: Hours = None,
    kinds: Kinds = None,
    hold_out_kit: HoldOut = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Show what `corpus render` would make of the same options; renders nothing."""
    from drummix.corpus.plan import CorpusSettings, kit_label, plan_corpus

    settings = CorpusSettings(
        kits=tuple(kit),
        groove=str(groove),
        hours=parse_hours(parts, hours),
        kinds=_names(kinds),
        hold_out_kit=hold_out_kit,
        seed=seed,
    )
    planned = plan_corpus(settings)
    if as_json:
        print_json(
            [
                {
                    "item": plan.name,
                    "part": plan.material.part,
                    "kind": plan.material.kind,
                    "kit": kit_label(plan.kit),
                    "performance": plan.material.performance,
                    "style": plan.material.style,
                    "duration_s": plan.material.duration_s,
                }
                for plan in planned
            ]
        )
        return
    typer.echo("part        items     hours")
    for part in settings.hours:
        of_part = [plan for plan in planned if plan.material.part == part]
        typer.echo(_row(part, of_part))
        for kind in settings.kinds:
            typer.echo(_row(f" {kind}", [p for p in of_part if p.material.kind == kind]))
    typer.echo(_row("all", planned))


def _row(name: str, planned: Sequence[PlannedItem]) -> str:
    hours = sum(plan.material.duration_s for plan in planned) / 3600
    return f"{name:10} {len(planned):6} {hours:9.2f}"


@app.command("check")
def check_command(
    corpus: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a rendered corpus.")],
) -> None:
    """Verify every file of a corpus, and that its parts are apart; a line on stdout per problem."""
    from drummix.corpus.checking import check_corpus
    from drummix.corpus.manifest import read_manifest

    with shown_progress() as progress:
        problems = check_corpus(
            corpus, progress=lambda n_done, n_all, _: progress("checking", n_done, n_all)
        )
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise typer.Exit(1)
    items = read_manifest(corpus)
    typer.echo(f"{len(items)} items, {duration(sum(i.duration_s for i in items))}: all whole")


def _names(option: str | None) -> tuple[str, ...]:
    """The names of ``A,B,...``."""
    return tuple(name.strip() for name in option.split(",")) if option is not None else ()


def parse_hours(parts: str | None, hours: list[str] | None) -> dict[str, float | None]:
    """``--parts`` and ``--hours`` as part -> hours, None for all there is.

    >>> parse_hours(None, ["train=1.5", "test=0.4"])
    {'train': 1.5, 'test': 0.4}
    >>> parse_hours("train,test", ["2"])
    {'train': 2.0, 'test': 2.0}

    Raises:
        SettingError: If they contradict each other or hold no number.
    """
    from drummix.corpus.groove import PARTS

    named: dict[str, float | None] = {}
    for_each: float | None = None
    for option in hours or []:
        part, equals, text = option.rpartition("=")
        if part.strip() in named or (not equals and for_each is not None):
            raise SettingError(
                "hours", option, "give each part once", problem=f"gives {option} twice"
            )
        if equals:
            named[part.strip()] = _number(text, option)
        else:
            for_each = _number(text, option)
    if named and (for_each is not None or parts is not None):
        raise SettingError(
            "hours",
            hours,
            "leave bare hours and ",
            Parameter("parts"),
            " out",
            problem="names the parts as PART=HOURS",
        )
    if named:
        return named
    chosen = PARTS if parts is None else tuple(part.strip() for part in parts.split(","))
    return dict.fromkeys(chosen, for_each)


def _number(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SettingError("hours", option, "give a number of hours, as 1.5")
    return value
