"""`drummix corpus enst` and `corpus split`: ENST-Drums on disk, and splits beside the published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drummix.cli.output import (
    AsJson,
    duration,
    print_json,
    printable,
    say,
    say_notices,
    shown_progress,
)

if TYPE_CHECKING:
    from drummix.corpus.enst import EnstTrack
    from drummix.corpus.enst_check import EnstReport


def register(corpus: typer.Typer) -> None:
    """Add the commands to `drummix corpus`."""
    corpus.command("enst")(enst_command)
    corpus.command("split")(split_command)


def enst_command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder of ENST-Drums, with drummer_1, drummer_2 and drummer_3."
        ),
    ],
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Read every file to its end; a line per problem, and exit status 1 if there is "
            "one.",
        ),
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes that read at the same time.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Show what of ENST-Drums is on disk: parts of the published split, drummers, hours."""
    from drummix.corpus.enst_check import check_enst

    with shown_progress() as progress:
        report = check_enst(
            folder,
            listen=check,
            workers=workers,
            progress=lambda n_done, n_all, _: progress("reading", n_done, n_all),
        )
    if as_json:
        print_json(_plain(report))
    else:
        for row in _rows(report):
            typer.echo(row)
        if check:
            for problem in report.problems:
                typer.echo(printable(problem))
    if report.strangers:
        say(
            f"note: {len(report.strangers)} mixes on disk are not in the published split and are "
            f"left out, the first {report.strangers[0]}"
        )
    if check and report.problems:
        raise typer.Exit(1)
    n_missing = sum(track.duration_s is None for track in report.tracks)
    if n_missing:
        say(f"note: {n_missing} tracks cannot be used; --check says why")


def _rows(report: EnstReport) -> list[str]:
    from drummix.corpus.enst import DRUMMERS, KINDS
    from drummix.corpus.groove import PARTS

    lines = ["             usable  of split   length"]
    for names, field in ((PARTS, "part"), (DRUMMERS, "drummer"), (KINDS, "kind")):
        lines += [_row(report, name, _named(field, name)) for name in names]
    return [*lines, _row(report, "all", lambda track: True)]


def _named(field: str, name: str) -> Callable[[EnstTrack], bool]:
    return lambda track: getattr(track, field) == name


def _row(report: EnstReport, name: str, chosen: Callable[[EnstTrack], bool]) -> str:
    tracks = [track for track in report.tracks if chosen(track.track)]
    lengths_s = [track.duration_s for track in tracks if track.duration_s is not None]
    return f"{name:11} {len(lengths_s):7}  {len(tracks):8}   {duration(sum(lengths_s))}"


def _plain(report: EnstReport) -> dict[str, Any]:
    return {
        "tracks": [
            {
                "item": found.track.name,
                "part": found.track.part,
                "drummer": found.track.drummer,
                "track": found.track.track,
                "kind": found.track.kind,
                "duration_s": found.duration_s,
                "problems": list(found.problems),
            }
            for found in report.tracks
        ],
        "strangers": [str(path) for path in report.strangers],
    }


def split_command(
    corpus: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of a rendered corpus, or of ENST-Drums.")
    ],
    hold_out: Annotated[
        str,
        typer.Option(
            "--hold-out", metavar="KIT", help="The kit, or the drummer, that is the test part."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE.json",
            help="The split; give this file in place of the corpus to train or evaluate with it.",
        ),
    ],
    validation_share: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of every other kit for validation.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(metavar="N", help="Which items those are.")] = 0,
) -> None:
    """Leave one kit out: a split whose test part is all items of one kit, and no other's."""
    from drummix.corpus.opening import open_corpus
    from drummix.corpus.splits import leave_kit_out, write_split

    opened = open_corpus(corpus)
    say_notices(opened.notices())
    split = leave_kit_out(opened.items, hold_out, validation_share=validation_share, seed=seed)
    write_split(out, split, corpus=corpus)
    counts = ", ".join(f"{part} {len(items)}" for part, items in split.parts.items())
    say(f"{counts} items; {hold_out} is held out")
    typer.echo(str(out))
