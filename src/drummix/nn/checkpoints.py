"""Checkpoints from disk: whatever a file holds is a checkpoint of this network or one line.

Nothing is unpickled: torch's own reader makes tensors and plain data alone. What is no archive of
torch, or holds more when unpacked than it takes on disk, is refused before it is read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from drummix.errors import TrainingError

_HINT = "delete it to begin its stage anew, or give another output folder"


def read_archive(path: Path, *, hint: str = _HINT) -> dict[str, Any]:
    """Read what `torch.save` wrote: a mapping of plain data and tensors.

    Args:
        path: The file.
        hint: What to do next; every message ends in it.

    Raises:
        TrainingError: If it is missing, cut, something else, or holds anything but tensors and
            plain data.
    """
    try:
        if not path.is_file():
            raise TrainingError(f"{path} does not exist, or is no file; {hint}")
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise TrainingError(f"{path} is no checkpoint: it is compressed; {hint}")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except TrainingError:
        raise
    except Exception as error:  # torch lets through whatever its reader stumbles over
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise TrainingError(f"{path} cannot be read as a checkpoint ({reason}); {hint}") from None
    if not isinstance(content, dict):
        raise TrainingError(f"{path} holds no checkpoint but {type(content).__name__}; {hint}")
    return content


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of a stage, as Lightning writes it.

    Raises:
        TrainingError: As `read_archive`; or if it has no weights or no state of callbacks.
    """
    content = read_archive(path)
    for key in ("state_dict", "callbacks"):
        if not isinstance(content.get(key), dict):
            raise TrainingError(f"{path} is no checkpoint of a training: it has no {key}; {_HINT}")
    return content


def best_weights(path: Path, network: torch.nn.Module) -> dict[str, Tensor]:
    """The weights of a checkpoint, their average where it has one, for a network.

    Args:
        path: The checkpoint.
        network: Where the weights go.

    Raises:
        TrainingError: As `read_checkpoint`; or if they are those of another network.
    """
    checkpoint = read_checkpoint(path)
    state = checkpoint["callbacks"].get("AverageWeights")
    average = state.get("weights") if isinstance(state, dict) else None
    return check_weights(path, average or checkpoint["state_dict"], network)


def check_weights(path: Path, weights: Any, network: torch.nn.Module) -> dict[str, Tensor]:
    """Weights by their names in a network, if they are its own.

    Raises:
        TrainingError: If a name or a shape is another; with the first one.
    """
    found: Mapping[str, Any] = weights if isinstance(weights, dict) else {}
    named = {str(key).removeprefix("network."): value for key, value in found.items()}
    expected = network.state_dict()
    for name in sorted(named.keys() | expected.keys()):
        theirs, ours = named.get(name), expected.get(name)
        if not isinstance(theirs, Tensor) or ours is None or theirs.shape != ours.shape:
            there = tuple(theirs.shape) if isinstance(theirs, Tensor) else "nothing"
            wanted = "nothing" if ours is None else tuple(ours.shape)
            raise TrainingError(
                f"{path} is of another network: {name[:60]} is {there}, expected {wanted}; {_HINT}"
            )
    return named
