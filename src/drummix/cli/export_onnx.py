"""`drummix export-onnx`: a network for another runtime."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from drummix.errors import MissingExtraError


def register(app: typer.Typer) -> None:
    """Add the command to the main program."""
    app.command("export-onnx")(export_onnx_command)


def export_onnx_command(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Name of a shipped model, or a model's folder.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE.onnx", help="Where to write.")],
) -> None:
    """Write a network as an ONNX file, to run it with another runtime."""
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtraError("export-onnx", "onnx")
    from drummix.mixers.graph import write_onnx
    from drummix.mixers.weights import load_model

    folder = Path(model)
    typer.echo(str(write_onnx(load_model(folder if folder.is_dir() else model), out)))
