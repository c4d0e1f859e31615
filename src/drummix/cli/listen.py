"""`drummix listen`: a listening test in the browser, from mixes to ratings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from drummix.cli.app import App
from drummix.cli.output import AsJson, print_json, say, say_notices, shown_progress

StudyFolder = Annotated[
    Path, typer.Argument(metavar="STUDY", help="Folder that `drummix listen build` made.")
]

group = App(
    no_args_is_help=True, help="Run a listening test in the browser and analyse its ratings."
)


def register(app: typer.Typer) -> None:
    """Add the commands to the main program."""
    group.command("build")(build_command)
    group.command("serve")(serve_command)
    group.command("invite")(invite_command)
    app.add_typer(group, name="listen")


def build_command(
    study_file: Annotated[
        Path, typer.Argument(metavar="STUDY.toml", help="What is compared, and how.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FOLDER", help="Folder of the study to make.")
    ],
    as_json: AsJson = False,
) -> None:
    """Cut, level and hide the stimuli of a study, and prepare its results."""
    from drummix.listening.build import build_study

    with shown_progress() as progress:
        built = build_study(study_file, out, progress=progress)
    say_notices(built.notices)
    n_items, n_systems = len(built.design.stimuli), len(built.study.systems)
    say(f"{n_items} items x {n_systems} systems at {built.study.lufs:g} LUFS")
    if as_json:
        print_json(
            {
                "path": str(out),
                "notices": list(built.notices),
                "stimuli": [vars(one) for one in built.stimuli],
            }
        )
    else:
        typer.echo(str(out))


def serve_command(
    study: StudyFolder,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    n_proxies: Annotated[
        int,
        typer.Option(
            "--behind-proxy",
            metavar="N",
            help="How many proxies stand before the server: X-Forwarded-For is read that many "
            "places from the right.",
        ),
    ] = 0,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Where listeners reach the server, if by another name or a proxy."
        ),
    ] = None,
) -> None:
    """Serve a study to its listeners until Ctrl-C."""
    from drummix.errors import MissingExtraError

    try:
        from drummix.listening.serving import Serving, serve
    except ImportError as error:
        raise MissingExtraError("drummix listen serve", "listen") from error

    def report(serving: Serving) -> None:
        say(f"serving {serving.built.study.name}; Ctrl-C stops, and nothing is lost")
        say(f"experimenter: {serving.admin_link}")
        if not serving.built.study.open_enrolment:
            say("by invitation: make links on that page, or with drummix listen invite")
        if serving.own_url != serving.url:
            say(f"listening on {serving.own_url}")
        sys.stdout.write(f"{serving.url}/\n")
        sys.stdout.flush()

    serve(study, host=host, port=port, n_proxies=n_proxies, url=url, started=report)


def invite_command(
    study: StudyFolder,
    listener: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Names of listeners; L001 on if not given."),
    ] = None,
    count: Annotated[int, typer.Option(help="How many links, where no names are given.")] = 1,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where listeners reach the server; where it was served last if not given.",
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Give listeners who are enrolled, by name or code, a new link; theirs stops "
            "working.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print a personal link for each listener; a link also resumes."""
    from drummix.listening.enrolment import codes_of, invite

    links = invite(study, listener or [], count=count, url=url, again=again)
    codes = codes_of(study)
    if as_json:
        print_json(
            [
                {"listener": codes.get(name, name), "name": name if name in codes else None}
                | {"link": link}
                for name, link in links.items()
            ]
        )
        return
    for name, link in links.items():
        if name in codes:
            say(f"{name} is {codes[name]} in every table")
        typer.echo(f"{name}\t{link}")
