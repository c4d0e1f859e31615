"""The networks that the paper's authors published, as models of ours: no torch, no graph that runs.

In: a TensorFlow 1 checkpoint (``dry-460000.index`` and its ``.data`` files). Out: a model folder.
Source: the authors' checkpoints. Their variables are ``separator/conv1d/kernel``,
``separator/conv1d_1/kernel`` and so on in the order of the forward pass, with biases, kernels
(taps, inputs, outputs); their microphones come in the order of `CHECKPOINT_ROLES`. Skip connection
before upsampled map, and stems before features in the last layer, are as in ours.

TensorFlow reads names, shapes and values, and nothing else: the graph in a ``.meta`` file can hold
operations that run code, and is never looked at.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drummix.corpus.manifest import Target
from drummix.errors import MissingExtraError, OutputError, WeightsError
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.weights import checked_name, parameter_shapes, write_model
from drummix.roles import PAPER_ROLES, Role

FloatArray = NDArray[np.float32]
Shape = tuple[int, ...]

CHECKPOINT_ROLES: tuple[Role, ...] = (
    Role.HIHAT,
    Role.KICK,
    Role.OVERHEAD_LEFT,
    Role.OVERHEAD_RIGHT,
    Role.SNARE,
    Role.TOM_MID,
    Role.TOM_LOW,
    Role.TOM_MID_LOW,
)
"""The microphones of the published networks in their order: ENST-Drums' folder names, sorted."""

RATE_HZ = 44_100
"""Sample rate of ENST-Drums, which they were trained on."""

_FILE = re.compile(r"(.+)\.(?:index|meta|data-\d{5}-of-\d{5})")
_DATA_SUFFIX = re.compile(r"\.data-\d{5}-of-(\d{5})")
_VARIABLE = re.compile(r"separator/conv1d(?:_(\d+))?/(kernel|bias)")
_STEP = re.compile(r"-(\d+)$")


def import_checkpoint(checkpoint: Path, folder: Path, *, target: Target) -> Path:
    """Write a published checkpoint as a model that mixes.

    Args:
        checkpoint: Prefix of its files, one of its files, or a folder that holds one checkpoint.
        folder: The model's folder, new or empty; its name becomes the model's.
        target: The mix that the network was trained for.

    Returns:
        The model's folder.

    Raises:
        WeightsError: If there is no such checkpoint, its files are missing or damaged, it holds
            another network, or the folder's name is none for a model.
        OutputError: If something is in `folder` already, or it cannot be written.
        MissingExtraError: If TensorFlow is not installed.
    """
    # What is cheap to see is looked at before TensorFlow is loaded, which takes a while.
    folder = _free(folder)
    name = checked_name(folder.name)
    prefix = checkpoint_prefix(checkpoint)
    data_paths = _data_paths(prefix)
    config, tensors = read_checkpoint(prefix)
    card = {
        "system": f"waveunet-{target}",
        "target": target,
        "architecture": config.to_mapping(),
        "roles": [str(role) for role in PAPER_ROLES],
        "rate_hz": RATE_HZ,
        "input_levels": "recorded",
        "training": {"imported_from": _origin(prefix, data_paths)},
        "metrics": {},
    }
    return write_model(folder.parent, name, tensors, card, is_float32=True)


def checkpoint_prefix(path: Path) -> Path:
    """The checkpoint that a path means: its prefix, one of its files, or the only one of a folder.

    Raises:
        WeightsError: If there is none, or a folder holds several.
    """
    match = _FILE.fullmatch(path.name)
    prefix = path.with_name(match[1]) if match else path
    if prefix.name and _beside(prefix, ".index").is_file():
        return prefix
    if not path.is_dir():
        raise WeightsError(
            f"there is no checkpoint {prefix}: {prefix.name}.index is missing; give the path of "
            "one, as in dry-460000, whose .index and .data files lie beside each other"
        )
    found = sorted(path.glob("*.index"))
    if len(found) != 1:
        names = ", ".join(index.stem for index in found) or "no file ends in .index"
        raise WeightsError(f"{path} holds {len(found)} checkpoints ({names}); name one checkpoint")
    return found[0].with_suffix("")


def read_checkpoint(prefix: Path) -> tuple[WaveUNetConfig, dict[str, FloatArray]]:
    """Read a published network, with its microphones brought into the order of `PAPER_ROLES`.

    Args:
        prefix: Path of the checkpoint without suffix.

    Returns:
        Its size, derived from the shapes of its variables, and its weights by our names.

    Raises:
        WeightsError: If a file is damaged, or a variable is missing or of another shape.
        MissingExtraError: If TensorFlow is not installed.
    """
    reader = _Reader(prefix)
    shapes = {name: shape for name, shape in reader.shapes().items() if _VARIABLE.fullmatch(name)}
    config = _config_of(prefix, shapes)
    ours = parameter_shapes(config)
    pairs = {name: _variable_of(number // 2, name) for number, name in enumerate(ours)}
    for name, variable in pairs.items():
        # The last axis of ours is the first of theirs.
        _check_shape(prefix, config, variable, shapes.get(variable), ours[name][::-1])
    tensors = {name: reader.values(variable).T for name, variable in pairs.items()}
    order = [CHECKPOINT_ROLES.index(role) for role in PAPER_ROLES]
    tensors["down.0.weight"] = tensors["down.0.weight"][:, order]
    n_features = config.output_shape()[0] - len(order)
    behind = [len(order) + feature for feature in range(n_features)]
    tensors["output.weight"] = tensors["output.weight"][:, order + behind]
    return config, tensors


class _Reader:
    """A checkpoint's variables by name; what TensorFlow says of a bad file becomes one line."""

    def __init__(self, prefix: Path) -> None:
        # Else it greets every user with what it was compiled for.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            import tensorflow
        except ImportError:
            what = "reading a TensorFlow checkpoint (with Python 3.11 to 3.13)"
            raise MissingExtraError(what, "tensorflow") from None
        self._prefix = prefix
        self._errors = (
            tensorflow.errors.OpError,
            RuntimeError,
            LookupError,
            ValueError,
            MemoryError,  # Where a damaged index tells of a block of any length.
        )
        try:
            self._reader = tensorflow.compat.v1.train.NewCheckpointReader(str(prefix))
        except self._errors as error:
            raise self._damaged(f"{prefix}.index", error) from None

    def shapes(self) -> dict[str, Shape]:
        """Name and shape of every variable."""
        found = self._reader.get_variable_to_shape_map()
        return {str(name): tuple(shape) for name, shape in found.items()}

    def values(self, variable: str) -> FloatArray:
        """One variable as float32."""
        try:
            values = np.asarray(self._reader.get_tensor(variable))
        except self._errors as error:
            raise self._damaged(f"{variable} of {self._prefix}", error) from None
        if values.dtype.kind != "f":
            raise WeightsError(
                f"{self._prefix}: {variable} is {values.dtype}; expected float32 weights"
            )
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise WeightsError(
                f"{self._prefix}: {variable} holds a value that is infinite or not a number; "
                "take an earlier checkpoint"
            )
        return values

    def _damaged(self, what: str, error: Exception) -> WeightsError:
        reason = str(getattr(error, "message", error)).splitlines() or [type(error).__name__]
        return WeightsError(
            f"{what} cannot be read ({reason[0][:300]}): the checkpoint is damaged or cut off; "
            "get its files again"
        )


def _config_of(prefix: Path, shapes: Mapping[str, Shape]) -> WaveUNetConfig:
    """Derive the size from the first kernel and the number of layers."""
    if not shapes:
        raise WeightsError(
            f"{prefix} holds no variable separator/conv1d/kernel; expected a Wave-U-Net that the "
            "paper's authors trained"
        )
    first = shapes.get(_variable_of(0, ".weight"))
    if first is None or len(first) != 3:
        expected = (15, len(CHECKPOINT_ROLES), 24)
        raise _wrong_shape(prefix, _variable_of(0, ".weight"), first, expected, "in the paper")
    n_taps, n_inputs, n_filters = first
    if n_inputs != len(CHECKPOINT_ROLES):
        raise WeightsError(
            f"{prefix}: {_variable_of(0, '.weight')} has {n_inputs} inputs; expected "
            f"{len(CHECKPOINT_ROLES)} microphones: {', '.join(CHECKPOINT_ROLES)}"
        )
    if n_taps < 3 or n_taps % 2 == 0 or n_filters < 1:
        expected = (15, n_inputs, 24)
        raise _wrong_shape(prefix, _variable_of(0, ".weight"), first, expected, "in the paper")
    layers = {int(match[1] or 0) for match in map(_VARIABLE.fullmatch, shapes) if match}
    n_layers = max(layers) + 1
    for number in range(n_layers):
        if number not in layers:
            raise WeightsError(
                f"{prefix} lacks {_variable_of(number, '.weight')} but has layers after it; "
                "get its files again"
            )
    if n_layers % 2 or n_layers < 4:
        raise WeightsError(
            f"{prefix} has {n_layers} convolutions; expected two a level, a bottleneck and an "
            "output: 22 in the paper"
        )
    return WaveUNetConfig(
        n_inputs=n_inputs, levels=n_layers // 2 - 1, filters=n_filters, down_taps=n_taps
    )


def _check_shape(
    prefix: Path, config: WaveUNetConfig, variable: str, found: Shape | None, expected: Shape
) -> None:
    if found != expected:
        size = f"in a network of {config.levels} levels and {config.filters} filters"
        raise _wrong_shape(prefix, variable, found, expected, size)


def _wrong_shape(
    prefix: Path, variable: str, found: Shape | None, expected: Shape, where: str
) -> WeightsError:
    if found is None:
        return WeightsError(f"{prefix} lacks {variable}; expected shape {expected} {where}")
    return WeightsError(f"{prefix}: {variable} has shape {found}; expected {expected} {where}")


def _variable_of(layer: int, name: str) -> str:
    """Their name of one of our weights of a layer, counted in the order of the forward pass.

    >>> _variable_of(0, "down.0.weight"), _variable_of(10, "bottleneck.bias")
    ('separator/conv1d/kernel', 'separator/conv1d_10/bias')
    """
    kind = "kernel" if name.endswith(".weight") else "bias"
    return f"separator/conv1d{f'_{layer}' if layer else ''}/{kind}"


def _data_paths(prefix: Path) -> list[Path]:
    """The files that hold the values, all of them.

    Raises:
        WeightsError: If one is missing.
    """
    found = sorted(_data_files(prefix))
    matches = [_DATA_SUFFIX.fullmatch(path.name.removeprefix(prefix.name)) for path in found]
    n_files = max((int(match[1]) for match in matches if match), default=1)
    for number in range(n_files):
        path = _beside(prefix, f".data-{number:05}-of-{n_files:05}")
        if path not in found:
            raise WeightsError(
                f"{path} is missing: the weights are in it; put it beside {prefix.name}.index"
            )
    return found


def _data_files(prefix: Path) -> Iterator[Path]:
    for path in prefix.parent.iterdir():
        suffix = path.name.removeprefix(prefix.name)
        if path.name != suffix and _DATA_SUFFIX.fullmatch(suffix) and path.is_file():
            yield path


def _origin(prefix: Path, data_paths: list[Path]) -> dict[str, Any]:
    """What the card tells of a checkpoint: which it was, bit by bit."""
    step = _STEP.search(prefix.name)
    return {
        "format": "TensorFlow 1 checkpoint",
        "name": prefix.name,
        "step": int(step[1]) if step else None,
        "sha256": {path.name: _sha256(path) for path in [_beside(prefix, ".index"), *data_paths]},
        "input_order": [str(role) for role in CHECKPOINT_ROLES],
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beside(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(prefix.name + suffix)


def _free(folder: Path) -> Path:
    """A folder to write a model to, by its full path.

    Raises:
        OutputError: If it holds something.
    """
    folder = folder.resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputError(f"{folder} is not free; give the name of a new folder for the model")
    return folder
