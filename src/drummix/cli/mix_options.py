"""The options that say how to mix, for every command that mixes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from drummix.mixers.compute import Compute

System = Annotated[str, typer.Option(help="What mixes; `drummix systems` lists them.")]
Lufs = Annotated[
    float | None,
    typer.Option(help="Integrated loudness in LUFS, as far as the true peak lets it."),
]
TruePeak = Annotated[float | None, typer.Option(help="Highest true peak in dBTP; -1 if not given.")]
PaperSegments = Annotated[
    bool, typer.Option("--paper-segments", help="Cut the session as the paper does.")
]
AsRecorded = Annotated[
    bool,
    typer.Option("--as-recorded", help="Leave the microphones at their recorded levels."),
]
Weights = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="A model to use in place of the shipped.")
]
StyleFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE.json", help="Mix with a style that `drummix match` learned."),
]
MatchLevels = Annotated[
    bool,
    typer.Option(
        "--match-levels", help="Bring the microphones to the levels of the style's example."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(help="Most threads of the network; as many as cores may be used if not given."),
]
Memory = Annotated[
    float | None,
    typer.Option(metavar="MB", help="Peak memory of the network's mix; 600 if not given."),
]


def parse_compute(threads: int | None, memory: float | None) -> Compute:
    """The options of a network's computation as the library takes them."""
    from drummix.mixers.compute import Compute  # as elsewhere: help loads nothing heavy

    return Compute(threads, memory)
