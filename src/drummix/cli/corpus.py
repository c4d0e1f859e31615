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
from drummix.cli.output import AsJson, duration, print_json, say, say_notices, shown_progress
from drummix.errors import DrummixError, SettingError

if TYPE_CHECKING:
    from drummix.corpus.plan import CorpusSettings, PlannedItem


class Format(StrEnum):
    """Sound files of a corpus."""

    FLAC = "flac"
    WAV = "wav"


app = typer.Typer(
    name="corpus",
    help="Make and check training data: sessions rendered from drum kits and performances.",
    no_args_is_help=True,
)

Kits = Annotated[
    list[str],
    typer.Option(
        "--kit",
        metavar="FOLDER",
        help="Folder of a DrumGizmo kit, or synthkit for the built-in one. Repeatable: the kits "
        "take turns.",
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
    engineer: Engineer = 1,
    seed: Seed = 0,
    format: Annotated[
        Format, typer.Option("--format", help="Sound files, 24-bit; WAV reads faster.")
    ] = Format.FLAC,
    workers: Annotated[
        int, typer.Option(help="Processes that render at the same time; each holds a kit (0.5 GB).")
    ] = 1,
) -> None:
    """Render sessions with their dry and wet mixes; the same command goes on after a stop."""
    settings = _settings(kit, groove, parts, hours, engineer=engineer, seed=seed, format=format)
    from drummix.corpus.build import render_corpus

    start_s = time.monotonic()
    notices: list[str] = []
    progress_of = _Progress()
    try:
        with shown_progress() as progress:
            items = render_corpus(
                settings,
                out,
                workers=workers,
                progress=lambda n_done, n_all, _: progress(*progress_of(n_done, n_all)),
                notice=notices.append,
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
    total_s = sum(item.duration_s for item in items)
    say(
        f"{len(items)} items, {duration(total_s)}, "
        f"{progress_of.n_new} of them rendered in {duration(time.monotonic() - start_s)}"
    )
    typer.echo(str(out / "manifest.csv"))


class _Progress:
    """Remembers how far the rendering came, for what is said at its end."""

    def __init__(self) -> None:
        self.n_done = self.n_all = 0
        self._n_before: int | None = None

    @property
    def n_new(self) -> int:
        """Items that this run rendered."""
        return self.n_done - (self._n_before or 0)

    def __call__(self, n_done: int, n_all: int) -> tuple[str, int, int]:
        if self._n_before is None:
            self._n_before = n_done
        self.n_done, self.n_all = n_done, n_all
        return ("rendering", n_done, n_all)


@app.command("plan")
def plan_command(
    kit: Kits,
    groove: Groove,
    parts: Parts = None,
    hours: Hours = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Show what `corpus render` would make of the same options; renders nothing."""
    settings = _settings(kit, groove, parts, hours, engineer=0, seed=seed, format=Format.FLAC)
    from drummix.corpus.plan import kit_label, plan_corpus

    planned = plan_corpus(settings)
    if as_json:
        print_json(
            [
                {
                    "item": plan.name,
                    "part": plan.performance.part,
                    "kit": kit_label(plan.kit),
                    "performance": plan.performance.id,
                    "style": plan.performance.style,
                    "duration_s": _length_s(settings, plan),
                }
                for plan in planned
            ]
        )
        return
    typer.echo("part        items     hours")
    for part in settings.hours:
        of_part = [plan for plan in planned if plan.performance.part == part]
        typer.echo(_row(part, settings, of_part))
    typer.echo(_row("all", settings, planned))


def _row(name: str, settings: CorpusSettings, planned: Sequence[PlannedItem]) -> str:
    hours = sum(_length_s(settings, plan) for plan in planned) / 3600
    return f"{name:10} {len(planned):6} {hours:9.2f}"


def _length_s(settings: CorpusSettings, plan: PlannedItem) -> float:
    return min(plan.performance.duration_s, settings.max_item_s)


@app.command("check")
def check_command(
    corpus: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a rendered corpus.")],
) -> None:
    """Compare every file of a corpus with its checksum; a line on stdout per problem."""
    from drummix.corpus.manifest import check_corpus, read_manifest

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


def _settings(
    kit: list[str],
    groove: Path,
    parts: str | None,
    hours: list[str] | None,
    *,
    engineer: int,
    seed: int,
    format: Format,
) -> CorpusSettings:
    from drummix.corpus.plan import CorpusSettings

    return CorpusSettings(
        kits=tuple(kit),
        groove=str(groove),
        hours=parse_hours(parts, hours),
        engineer=engineer,
        seed=seed,
        extension=format.value,
    )


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
            raise SettingError(f"--hours {option}: these hours were given before")
        if equals:
            named[part.strip()] = _number(text, option)
        else:
            for_each = _number(text, option)
    if named and (for_each is not None or parts is not None):
        raise SettingError("--hours PART=HOURS names the parts; leave --parts and bare hours out")
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
        raise SettingError(f"--hours {option}: {text!r} is not a number; give hours, as in 1.5")
    return value
