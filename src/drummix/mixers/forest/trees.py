"""A random forest as plain arrays: predicting, writing and reading, without scikit-learn."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from drummix.audio import atomic_path
from drummix.errors import WeightsError
from drummix.mixers.forest.features import FEATURES
from drummix.mixers.weights import CARD_NAME, SHIPPED_FOLDER, TENSORS_NAME, model_folder
from drummix.plain_data import convert, parse_json
from drummix.plain_data.files import Place, read_bytes

OUTPUTS = ("left_db", "right_db", "mono_db")
"""What it predicts for a stem: its gain in the left and right channel, and in a mono mix."""

SHIPPED = SHIPPED_FOLDER / "forest"
_LEAF = -1
_MAX_BYTES = 200_000_000
_AGAIN = "get the forest again"
_DTYPES: Mapping[str, type[np.generic]] = {
    "roots": np.int32,
    "feature": np.int16,
    "threshold": np.float32,
    "children": np.int32,
    "value": np.float16,
}


@dataclass(frozen=True, eq=False)
class Forest:
    """Regression trees laid end to end.

    Args:
        roots: Index of each tree's first node, (trees,) int32.
        feature: Column that a node asks for, (nodes,) int16; -1 for a leaf.
        threshold: Rows at or below it go left, (nodes,) float32.
        children: Left and right node, (nodes, 2) int32.
        value: What a leaf says, (nodes, outputs) float16.
        card: Where it comes from, plain data.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    children: NDArray[np.int32]
    value: NDArray[np.float16]
    card: Mapping[str, Any]

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean of what all trees say: rows (n, features) to (n, outputs) in dB."""
        node = np.repeat(self.roots[np.newaxis], rows.shape[0], axis=0)
        row = np.arange(rows.shape[0])[:, np.newaxis]
        while True:
            feature = self.feature[node]
            is_inner = feature != _LEAF
            if not is_inner.any():
                return self.value[node].astype(np.float64).mean(axis=1)
            goes_right = rows[row, np.where(is_inner, feature, 0)] > self.threshold[node]
            node = np.where(is_inner, self.children[node, goes_right.astype(np.int32)], node)


def write_forest(folder: Path, forest: Forest) -> Path:
    """Write a forest's arrays and card into a folder, the card last."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: np.ascontiguousarray(getattr(forest, name)) for name in _DTYPES}
    stored = safetensors.numpy.save(tensors)
    card = {
        **forest.card,
        "format": 1,
        "features": list(FEATURES),
        "outputs": list(OUTPUTS),
        "sha256": hashlib.sha256(stored).hexdigest(),
    }
    with atomic_path(folder / TENSORS_NAME) as path:
        path.write_bytes(stored)
    with atomic_path(folder / CARD_NAME) as path:
        path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return folder


def read_forest(folder: Path | None = None) -> Forest:
    """Read a forest and check that it is whole.

    Args:
        folder: Its folder; None for the shipped one.

    Raises:
        WeightsError: If it is missing, damaged, or of other features.
    """
    folder = SHIPPED if folder is None else model_folder(folder)
    card = read_forest_card(folder)
    path = folder / TENSORS_NAME
    stored = read_bytes(path, Place(str(path), WeightsError, _AGAIN), _MAX_BYTES)
    if hashlib.sha256(stored).hexdigest() != card.get("sha256"):
        raise WeightsError(f"{path} is not the file that its card names; get it again")
    try:
        tensors = safetensors.numpy.load(stored)
        forest = Forest(**tensors, card=card)
    except (SafetensorError, TypeError) as error:
        raise WeightsError(f"{path} holds no forest; get it again") from error
    _check(folder, forest)
    return forest


def read_forest_card(folder: Path = SHIPPED) -> dict[str, Any]:
    """The card of a forest.

    Raises:
        WeightsError: If there is none, or it is for other features.
    """
    path = folder / CARD_NAME
    if not path.exists():
        raise WeightsError(
            f"no forest in {folder}: {CARD_NAME} is missing; make one with drummix train-forest"
        )
    plain: dict[str, Any] = parse_json(path, error=WeightsError, hint=_AGAIN)
    card = convert(plain, _Card, error=WeightsError, name=str(path), hint=_AGAIN)
    if card.features != tuple(FEATURES):
        raise WeightsError(f"{path} is for other features than this version's; train it again")
    if card.outputs != OUTPUTS:
        raise WeightsError(f"{path} predicts {list(card.outputs)}; expected {list(OUTPUTS)}")
    return plain


@dataclass(frozen=True)
class _Card:
    takes_other_keys: ClassVar[bool] = True

    features: tuple[str, ...]
    outputs: tuple[str, ...]
    sha256: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


def _check(folder: Path, forest: Forest) -> None:
    """Every node must lead further down its own arrays: nothing from outside may loop."""
    n_nodes, n_trees = forest.feature.size, forest.roots.size
    shapes = [getattr(forest, name).shape for name in _DTYPES]
    dtypes = [getattr(forest, name).dtype for name in _DTYPES]
    inner = np.flatnonzero(forest.feature != _LEAF)
    is_whole = (
        shapes == [(n_trees,), (n_nodes,), (n_nodes,), (n_nodes, 2), (n_nodes, len(OUTPUTS))]
        and dtypes == list(_DTYPES.values())
        and n_trees > 0
        and np.all((forest.roots >= 0) & (forest.roots < n_nodes))
        and np.all((forest.feature >= _LEAF) & (forest.feature < len(FEATURES)))
        and np.all(forest.children[inner] > inner[:, np.newaxis])
        and np.all(forest.children[inner] < n_nodes)
        and np.isfinite(forest.value).all()
    )
    if not is_whole:
        raise WeightsError(f"{folder / TENSORS_NAME} holds no whole trees; get the forest again")
