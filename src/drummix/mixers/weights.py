"""Models on disk: what a network is, its weights, and the proof that they are the right ones.

A model is a folder with ``model.safetensors`` (the weights, float16 or float32) and
``model.json`` (the card: sizes, microphones, training, metrics, and the weights' sha256).
In: a shipped model's name or a folder. Out: weights as float32 arrays. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from drummix.audio import atomic_path, make_folder, write_text
from drummix.errors import WeightsError
from drummix.mixers.architecture import WaveUNetConfig
from drummix.plain_data import Matching, Sized, Within, convert, parse_json
from drummix.plain_data.files import Place, read_bytes, shown
from drummix.roles import Role

FloatArray = NDArray[np.float32]

SHIPPED_FOLDER = Path(__file__).resolve().parents[1] / "weights"
"""Where the models that come with drummix live."""

TENSORS_NAME = "model.safetensors"
CARD_NAME = "model.json"
CARD_FORMAT = 1
TARGETS = ("dry", "wet")
_MODEL_NAME = Matching(
    r"(?=.{1,128}$)[a-z0-9][a-z0-9_-]{0,63}(\.[a-z0-9_-]+)*",
    "small letters, digits, '-', '_' and single dots",
)
ModelName = Annotated[str, _MODEL_NAME]
"""A text that can be a model's name, and that of its folder."""

_MAX_HEADER_BYTES = 1_000_000
_AGAIN = "get the model again"
_STORED_DTYPES = (np.float16, np.float32)


@dataclass(frozen=True)
class _Card:
    takes_other_keys: ClassVar[bool] = True

    name: str
    system: str
    target: Literal["dry", "wet"]
    architecture: WaveUNetConfig
    roles: tuple[Role, ...]
    rate_hz: Annotated[int, Within(1000, 1_000_000)]
    sha256: Annotated[str, Sized(64, 64)]
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]
    input_levels: Literal["staged", "recorded"] = "recorded"

    def __post_init__(self) -> None:
        if self.architecture.n_outputs != 2:
            raise WeightsError(
                f"the network has {self.architecture.n_outputs} outputs; expected 2, left and right"
            )
        n_inputs = self.architecture.n_inputs
        if len(self.roles) != n_inputs or len(set(self.roles)) != n_inputs:
            raise WeightsError(
                f"roles are {', '.join(self.roles)}; expected {n_inputs} different microphone roles"
            )


@dataclass(frozen=True, eq=False)
class Model:
    """A network ready to be built.

    Args:
        name: Name on its card.
        folder: Where it was read from.
        target: What it was trained to give: ``dry`` or ``wet``.
        config: Size of the network.
        roles: The microphone of each input, in the network's order.
        rate_hz: Sample rate the network works at.
        input_levels: ``staged`` where it was trained on stems whose levels were set by
            `drummix.gain_staging`, ``recorded`` where the card does not say.
        tensors: Weights by name, float32.
        card: The whole card, plain data.
    """

    name: str
    folder: Path
    target: str
    config: WaveUNetConfig
    roles: tuple[Role, ...]
    rate_hz: int
    input_levels: Literal["staged", "recorded"]
    tensors: Mapping[str, FloatArray]
    card: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """Checksum of the weights file, in hex."""
        return str(self.card["sha256"])


def available_models() -> tuple[str, ...]:
    """Names of the shipped networks, in alphabetical order; models of another kind say so."""
    cards = sorted(SHIPPED_FOLDER.glob(f"*/{CARD_NAME}"))
    return tuple(card.parent.name for card in cards if "kind" not in any_card(card.parent))


def model_folder(folder: Path) -> Path:
    """The folder of a model: the given one, or that of the one model in it.

    The folder of a training's models, or its output folder, will do where they hold one model.

    Raises:
        WeightsError: If there are several.
    """
    if (folder / CARD_NAME).exists():
        return folder
    found = sorted(card.parent for card in _cards_in(folder))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise WeightsError(f"{folder} holds several models ({names}); name the folder of one")
    return found[0] if found else folder


def _cards_in(folder: Path) -> list[Path]:
    return [*folder.glob(f"*/{CARD_NAME}"), *folder.glob(f"model/*/{CARD_NAME}")]


def any_card(folder: Path) -> dict[str, Any]:
    """The card of any kind of model; empty where there is none that can be read."""
    try:
        card = parse_json(model_folder(folder) / CARD_NAME, error=WeightsError)
    except WeightsError:
        return {}
    return card if isinstance(card, dict) else {}


def load_model(source: str | Path) -> Model:
    """Read a model, checking the weights against its card before they are used.

    Args:
        source: The name of a shipped model (a string), or a folder (a path) as `model_folder` takes
            it.

    Raises:
        WeightsError: If there is no such model, its files are missing or damaged, or the weights
            are not those of its architecture.
    """
    folder = model_folder(source) if isinstance(source, Path) else _shipped(source)
    plain, card = _read_card(folder)
    return Model(
        name=card.name,
        folder=folder,
        target=card.target,
        config=card.architecture,
        roles=card.roles,
        rate_hz=card.rate_hz,
        input_levels=card.input_levels,
        tensors=_read_tensors(folder / TENSORS_NAME, card.sha256, card.architecture),
        card=plain,
    )


def read_card(source: str | Path) -> dict[str, Any]:
    """Read a model's card without its weights.

    Args:
        source: As for `load_model`.

    Raises:
        WeightsError: If the card is missing, damaged, or of a format this drummix does not know.
    """
    folder = model_folder(source) if isinstance(source, Path) else _shipped(source)
    return _read_card(folder)[0]


def _read_card(folder: Path) -> tuple[dict[str, Any], _Card]:
    path = folder / CARD_NAME
    if not path.exists():
        raise WeightsError(
            f"{folder} is no model: there is no {CARD_NAME} in it; "
            "expected a folder as `drummix train` writes it"
        )
    plain = parse_json(path, error=WeightsError, hint=_AGAIN)
    if not isinstance(plain, dict) or plain.get("format") != CARD_FORMAT:
        found = shown(plain.get("format") if isinstance(plain, dict) else plain)
        raise WeightsError(
            f"{path} has card format {found}; this drummix reads format {CARD_FORMAT}: "
            "get the model again, or another version of drummix"
        )
    return plain, _checked(plain, path)


def _checked(plain: object, path: Path) -> _Card:
    return convert(plain, _Card, error=WeightsError, name=str(path), hint=_AGAIN)


def write_model(
    folder: Path,
    name: str,
    tensors: Mapping[str, NDArray[np.floating]],
    card: Mapping[str, Any],
    *,
    is_float32: bool = False,
) -> Path:
    """Write a model, weights first and then the card that vouches for them.

    Args:
        folder: Folder that holds models; made if missing.
        name: Name of the model, and of its folder in `folder`.
        tensors: Weights by name, as `parameter_shapes` lists them.
        card: The card; ``format``, ``name`` and ``sha256`` are filled in here.
        is_float32: Store float32, which keeps every bit, in place of float16.

    Returns:
        The model's folder.

    Raises:
        WeightsError: If the name, the card or the weights make no model that could be loaded.
        OutputError: If the files cannot be written.
    """
    target = folder / checked_name(name)
    with np.errstate(over="ignore"):
        # What does not fit becomes infinite and is refused below.
        # Safetensors stores an array's memory as it lies: only C order comes back the same.
        dtype = np.float32 if is_float32 else np.float16
        narrow = {key: np.ascontiguousarray(value, dtype=dtype) for key, value in tensors.items()}
    stored = safetensors.numpy.save(narrow)
    sha256 = hashlib.sha256(stored).hexdigest()
    whole_card = {"format": CARD_FORMAT, "name": name, **card}
    whole_card |= {"format": CARD_FORMAT, "name": name, "sha256": sha256}
    whole_card = json.loads(json.dumps(whole_card, allow_nan=False))
    checked = _checked(whole_card, target / CARD_NAME)
    _check_tensors(target / TENSORS_NAME, narrow, checked.architecture)
    make_folder(target)
    with atomic_path(target / TENSORS_NAME) as temporary:
        temporary.write_bytes(stored)
    write_text(target / CARD_NAME, json.dumps(whole_card, indent=2) + "\n")
    return target


def parameter_shapes(config: WaveUNetConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of a network, in the order of the forward pass.

    >>> list(parameter_shapes(WaveUNetConfig(levels=1, filters=2)).items())[:2]
    [('down.0.weight', (2, 8, 15)), ('down.0.bias', (2,))]
    """
    layers = [
        *((f"down.{i}", shape, config.down_taps) for i, shape in enumerate(config.down_shapes())),
        ("bottleneck", config.bottleneck_shape(), config.down_taps),
        *(
            (f"up.{i}", (n_skip + n_below, n_out), config.up_taps)
            for i, (n_skip, n_below, n_out) in enumerate(config.up_shapes())
        ),
        ("output", config.output_shape(), 1),
    ]
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (n_in, n_out), taps in layers:
        shapes[f"{name}.weight"] = (n_out, n_in, taps)
        shapes[f"{name}.bias"] = (n_out,)
    return shapes


def _shipped(name: str) -> Path:
    folder = SHIPPED_FOLDER / checked_name(name)
    if not folder.is_dir():
        known = ", ".join(available_models()) or "none"
        raise WeightsError(
            f"no shipped model is called {name!r} (there are: {known}); "
            "name a folder with --weights"
        )
    return folder


def checked_name(name: str) -> str:
    """The name of a model, if it can be one.

    Raises:
        WeightsError: If it cannot.
    """
    if not _MODEL_NAME.takes(name):
        raise WeightsError(f"{name!r} is no model name; use {_MODEL_NAME.words}")
    return name


def _read_tensors(path: Path, sha256: str, config: WaveUNetConfig) -> dict[str, FloatArray]:
    n_most = 4 * config.n_parameters() + _MAX_HEADER_BYTES
    stored = read_bytes(path, Place(str(path), WeightsError, _AGAIN), n_most)
    found = hashlib.sha256(stored).hexdigest()
    if found != sha256.lower():
        raise WeightsError(
            f"{path} is damaged: expected sha256 {sha256[:16]}…, found {found[:16]}…; "
            "get the model again"
        )
    try:
        tensors = safetensors.numpy.load(stored)
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise WeightsError(f"{path} is not a safetensors file ({error})") from error
    _check_tensors(path, tensors, config)
    return {name: tensors[name].astype(np.float32) for name in parameter_shapes(config)}


def _check_tensors(path: Path, tensors: Mapping[str, NDArray[Any]], config: WaveUNetConfig) -> None:
    expected = parameter_shapes(config)
    strange = sorted(set(tensors) ^ set(expected))
    if strange:
        what = "lacks" if strange[0] in expected else "has an unknown tensor"
        raise WeightsError(
            f"{path} {what} {strange[0]!r}; expected the {len(expected)} tensors of a "
            f"{config.levels}-level Wave-U-Net"
        )
    for name, shape in expected.items():
        tensor = tensors[name]
        if tensor.shape != shape:
            raise WeightsError(f"{path}: {name} has shape {tensor.shape}; expected {shape}")
        if tensor.dtype not in _STORED_DTYPES:
            raise WeightsError(f"{path}: {name} is {tensor.dtype}; expected float16 or float32")
        if not np.isfinite(tensor).all():
            raise WeightsError(
                f"{path}: {name} holds a value that is infinite or not a number; "
                f"expected weights that fit {tensor.dtype}"
            )
