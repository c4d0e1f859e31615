"""`drummix listen export`, `import`, `analyse` and `simulate`: from ratings to a report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from drummix.cli.listen import StudyFolder, group
from drummix.cli.output import AsJson, print_json, say, say_notices

Seed = Annotated[int, typer.Option(metavar="N", help="Seed of everything random.")]
Table = Annotated[
    Path, typer.Option("-o", "--out", metavar="FILE.csv", help="The tidy table to write.")
]


class ExportFormat(StrEnum):
    """What to write of a study."""

    TIDY = "tidy"
    WEBMUSHRA = "webmushra"
    WEBMUSHRA_STUDY = "webmushra-study"
    WAET_STUDY = "waet-study"


def register(app: typer.Typer) -> None:
    """Add the commands to the group `listen`, which `drummix.cli.listen` adds to the program."""
    group.command("export")(export_command)
    group.command("import")(import_command)
    group.command("analyse")(analyse_command)
    group.command("simulate")(simulate_command)


def export_command(
    study: StudyFolder,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="The file to write.")],
    format: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="Ratings as a tidy CSV or as webMUSHRA's; or the study itself as webMUSHRA's YAML "
            "or the XML of the Web Audio Evaluation Tool.",
        ),
    ] = ExportFormat.TIDY,
    audio: Annotated[
        str,
        typer.Option(metavar="FOLDER", help="Folder of the stimuli as the other tool sees it."),
    ] = "audio",
) -> None:
    """Write down the ratings of a study; it may be served meanwhile."""
    from drummix.errors import MissingExtraError
    from drummix.listening.interop.transfer import export_study

    try:
        path, notices = export_study(study, out, format=format.value, audio=audio)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"--format {format.value}", "listen") from error
    say_notices(notices)
    typer.echo(str(path))


def import_command(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Results of the Web Audio Evaluation Tool (XML), webMUSHRA (mushra.csv) or "
            "BeaqleJS (JSON).",
        ),
    ],
    out: Table,
    name: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Name of the study in the table.")
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(
            metavar="STUDY", help="The study that was exported to the tool, to know its names."
        ),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="SYSTEM", help="A system that is a reference. Repeatable."),
    ] = None,
    anchor: Annotated[
        list[str] | None,
        typer.Option(metavar="SYSTEM", help="A system that is an anchor. Repeatable."),
    ] = None,
) -> None:
    """Make a tidy table of the results of another listening-test tool."""
    from drummix.listening.interop.transfer import import_results
    from drummix.listening.ratings import write_ratings_csv

    ratings = import_results(
        files, name=name, study=study, references=reference or (), anchors=anchor or ()
    )
    n_listeners = len({row.listener for row in ratings})
    say(f"{len(ratings)} ratings by {n_listeners} listeners")
    typer.echo(str(write_ratings_csv(ratings, out)))


def analyse_command(
    ratings: Annotated[Path, typer.Argument(metavar="RATINGS.csv", help="The tidy table.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FOLDER", help="Folder of the report.")
    ],
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What was declared beforehand, JSON or TOML; NAME.study.json beside NAME.csv if "
            "not given.",
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(metavar="POINTS", help="Points within which systems count as the same."),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(metavar="LEVEL", help="Level of all tests together; 0.05.")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Write the paper's tables, the statistics such data can carry, and figures, as a report."""
    import numpy as np

    from drummix.listening.report import write_report
    from drummix.listening.report_tables import to_mapping
    from drummix.listening.statistics.conclusion import conclusion

    rng = np.random.default_rng(seed)
    analysis = write_report(ratings, out, rng, rules=rules, margin=margin, alpha=alpha)
    say_notices(analysis.notes)
    say(conclusion(analysis))
    if as_json:
        print_json({"path": str(out / "report.html"), **to_mapping(analysis)})
    else:
        typer.echo(str(out / "report.html"))


def simulate_command(
    out: Table,
    system: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MEAN[:ROLE]",
            help="A system, its mean score, and reference, test or anchor. Repeatable; the paper's "
            "seven if not given.",
        ),
    ] = None,
    listeners: Annotated[int, typer.Option(metavar="N", help="Number of listeners.")] = 20,
    items: Annotated[int, typer.Option(metavar="N", help="Number of items, a page each.")] = 6,
    repeats: Annotated[
        int, typer.Option(metavar="N", help="Items that each listener meets twice.")
    ] = 0,
    listener_sd: Annotated[
        float, typer.Option(metavar="POINTS", help="SD of how high a listener rates in general.")
    ] = 6.0,
    item_sd: Annotated[
        float, typer.Option(metavar="POINTS", help="SD of how well an item is liked.")
    ] = 4.0,
    taste_sd: Annotated[
        float, typer.Option(metavar="POINTS", help="SD of a listener's taste for a system.")
    ] = 10.0,
    item_system_sd: Annotated[
        float, typer.Option(metavar="POINTS", help="SD of how a system fares on an item.")
    ] = 3.0,
    page_sd: Annotated[
        float, typer.Option(metavar="POINTS", help="SD of one listener's page, all mixes alike.")
    ] = 3.0,
    rest_sd: Annotated[
        float, typer.Option(metavar="POINTS", help="SD of chance, anew with every rating.")
    ] = 10.0,
    scale_use_sd: Annotated[
        float, typer.Option(metavar="X", help="SD of the log of how much of the scale is used.")
    ] = 0.2,
    seed: Seed = 0,
) -> None:
    """Make up ratings, marked as simulated on every row, to plan a study or try the analysis."""
    import numpy as np

    from drummix.listening.ratings import write_ratings_csv
    from drummix.listening.simulate import (
        PAPER_SYSTEMS,
        Effects,
        SimulatedSystem,
        Simulation,
        simulate_ratings,
    )

    effects = Effects(
        listener_sd, item_sd, taste_sd, item_system_sd, page_sd, rest_sd, scale_use_sd
    )
    systems = tuple(SimulatedSystem.parse(text) for text in system or ()) or PAPER_SYSTEMS
    simulation = Simulation(systems, listeners, items, repeats, effects)
    ratings = simulate_ratings(simulation, np.random.default_rng(seed))
    say(f"{len(ratings)} SIMULATED ratings: nobody has listened")
    typer.echo(str(write_ratings_csv(ratings, out)))
