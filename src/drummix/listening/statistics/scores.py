"""Ratings as arrays: what every test works on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drummix.errors import TextFileError
from drummix.listening.results import Rating

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
_ROLE_ORDER = {"anchor": 0, "test": 1, "reference": 2}


@dataclass(frozen=True)
class Scores:
    """Scored ratings, each with the number of its listener, item and system.

    Args:
        listeners: Names of the listeners.
        items: Names of the items.
        systems: Names of the systems: anchors, tested systems, references, each by name.
        roles: Role of each system.
        listener: Listener of each rating, (N,), a position in `listeners`.
        item: Item of each rating, (N,).
        system: System of each rating, (N,).
        repeat: 0 for the first time the listener met the item, (N,).
        score: 0 to 100, (N,).
    """

    listeners: tuple[str, ...]
    items: tuple[str, ...]
    systems: tuple[str, ...]
    roles: tuple[str, ...]
    listener: IntArray
    item: IntArray
    system: IntArray
    repeat: IntArray
    score: FloatArray

    @classmethod
    def of(cls, ratings: Iterable[Rating]) -> Scores:
        """Scores of ratings; training pages and sliders that were not moved have none.

        Raises:
            SettingError: If there are none, or only of one system.
        """
        rows = [row for row in ratings if row.score is not None and row.page > 0]
        roles = {row.system: row.role for row in rows}
        systems = sorted(roles, key=lambda name: (_ROLE_ORDER[roles[name]], name))
        if len(systems) < 2:
            raise TextFileError(
                f"there are ratings of {len(systems)} systems; a comparison needs at least 2"
            )
        listeners = sorted({row.listener for row in rows})
        items = sorted({row.item for row in rows})
        return cls(
            tuple(listeners),
            tuple(items),
            tuple(systems),
            tuple(roles[name] for name in systems),
            _positions(listeners, [row.listener for row in rows]),
            _positions(items, [row.item for row in rows]),
            _positions(systems, [row.system for row in rows]),
            np.array([row.repeat for row in rows], dtype=np.intp),
            np.array([row.score for row in rows], dtype=np.float64),
        )

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Every pair of systems."""
        return tuple(itertools.combinations(range(len(self.systems)), 2))

    def first_scores(self, system: int) -> FloatArray:
        """Scores of one system without repeats, as if they were independent."""
        return self.score[(self.system == system) & (self.repeat == 0)]

    def cells(self) -> FloatArray:
        """Score of each (listener, item, system), repeats averaged; NaN where there is none."""
        shape = (len(self.listeners), len(self.items), len(self.systems))
        total, count = np.zeros(shape), np.zeros(shape)
        where = (self.listener, self.item, self.system)
        np.add.at(total, where, self.score)
        np.add.at(count, where, 1.0)
        return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)

    def listener_means(self) -> FloatArray:
        """Mean score of each (listener, system) over the items of which all systems are rated.

        Returns:
            Means (listeners, systems), only of listeners who have such an item.
        """
        return complete_means(self.cells())

    def differences(self) -> FloatArray:
        """Mean difference of each (listener, pair), over the items with both rated; else NaN."""
        return cell_differences(self.cells(), self.pairs)


def complete_means(cells: FloatArray) -> FloatArray:
    """Means over the pages on which every system is rated, (listeners who have one, systems)."""
    complete = np.all(~np.isnan(cells), axis=2)
    kept = np.any(complete, axis=1)
    total = np.where(complete[:, :, np.newaxis], cells, 0.0).sum(axis=1)
    means: FloatArray = total[kept] / complete.sum(axis=1)[kept, np.newaxis]
    return means


def cell_differences(cells: FloatArray, pairs: Sequence[tuple[int, int]]) -> FloatArray:
    """First minus second system of each pair, averaged over items, (listeners, pairs)."""
    first, second = np.array(pairs).T
    by_item = cells[:, :, first] - cells[:, :, second]
    known = ~np.isnan(by_item)
    count = known.sum(axis=1)
    total = np.where(known, by_item, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _positions(names: Sequence[str], found: Sequence[str]) -> IntArray:
    position = {name: number for number, name in enumerate(names)}
    return np.array([position[name] for name in found], dtype=np.intp)
