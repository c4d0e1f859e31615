"""Artificial ratings, for planning a study and for testing the statistics. Nobody has listened.

A score is the system's mean plus what the listener, the item, the listener's taste for the
system, the system's luck with the item, the page and chance add, stretched by how much of the
scale the listener uses, and cut at 0 and 100. Every effect but the systems' is normal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drummix.errors import SettingError
from drummix.listening.ratings import ROLES
from drummix.listening.results import Rating

FloatArray = NDArray[np.float64]
SIMULATED = "simulated"
MAX_RATINGS = 1_000_000
MIDDLE = 50.0


@dataclass(frozen=True)
class SimulatedSystem:
    """A system to be rated.

    Args:
        name: Its name.
        mean: Mean score, 0 to 100.
        role: ``reference``, ``test`` or ``anchor``.
    """

    name: str
    mean: float
    role: str = "test"

    def __post_init__(self) -> None:
        if not 0.0 <= self.mean <= 100.0:
            raise SettingError("mean", self.mean, "give 0 to 100")
        if self.role not in ROLES:
            raise SettingError("role", self.role, f"give {', '.join(ROLES)}")

    @classmethod
    def parse(cls, text: str) -> SimulatedSystem:
        """``NAME=MEAN`` or ``NAME=MEAN:ROLE``.

        >>> SimulatedSystem.parse("anchor=10:anchor")
        SimulatedSystem(name='anchor', mean=10.0, role='anchor')
        """
        name, equals, rest = text.rpartition("=")
        number, _, role = rest.partition(":")
        try:
            mean = float(number)
        except ValueError:
            mean = math.nan
        if not (name.strip() and equals and math.isfinite(mean)):
            raise SettingError(
                "systems", text, "give NAME=MEAN or NAME=MEAN:ROLE", problem=f"hold {text!r}"
            )
        return cls(name.strip(), mean, role or "test")


PAPER_SYSTEMS = (
    SimulatedSystem("anchor", 15.0, "anchor"),
    SimulatedSystem("forest-dry", 45.0),
    SimulatedSystem("forest-wet", 10.0),
    SimulatedSystem("waveunet-dry", 70.0),
    SimulatedSystem("waveunet-wet", 70.0),
    SimulatedSystem("reference-dry", 70.0, "reference"),
    SimulatedSystem("reference-wet", 70.0, "reference"),
)
"""The paper's seven mixes; the means are read off its figure 3 by eye."""


@dataclass(frozen=True)
class Effects:
    """Standard deviations of what moves a score, in points.

    Args:
        listener_sd: How high a listener rates in general.
        item_sd: How well an item is liked.
        taste_sd: How much a listener likes a system more or less than others do.
        item_system_sd: How a system fares on an item.
        page_sd: One listener's page, all its systems alike.
        rest_sd: Chance, anew with every rating.
        scale_use_sd: How much of the scale a listener uses: the standard deviation of the
            logarithm of a factor around the middle of the scale, no points.
    """

    listener_sd: float = 6.0
    item_sd: float = 4.0
    taste_sd: float = 10.0
    item_system_sd: float = 3.0
    page_sd: float = 3.0
    rest_sd: float = 10.0
    scale_use_sd: float = 0.2

    def __post_init__(self) -> None:
        for name in (column.name for column in fields(self)):
            value = getattr(self, name)
            limit = 2.0 if name == "scale_use_sd" else 100.0
            if not 0.0 <= value <= limit:
                raise SettingError(name, value, f"give 0 to {limit:g}")


@dataclass(frozen=True)
class Simulation:
    """A study that nobody took part in.

    Args:
        systems: What is rated.
        n_listeners: Number of listeners.
        n_items: Number of items; each is a page.
        n_repeated: Items that every listener meets a second time.
        effects: What moves a score.
        study: Its name.
    """

    systems: tuple[SimulatedSystem, ...] = PAPER_SYSTEMS
    n_listeners: int = 20
    n_items: int = 6
    n_repeated: int = 0
    effects: Effects = field(default_factory=Effects)
    study: str = SIMULATED

    def __post_init__(self) -> None:
        names = [system.name for system in self.systems]
        if len(names) < 2:
            raise SettingError(
                "systems", names, "give 2 or more to compare", problem=f"are {len(names)}"
            )
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise SettingError(
                "systems", twice, "give each one name", problem=f"hold {twice!r} twice"
            )
        if self.n_listeners < 1 or self.n_items < 1:
            few = f"is {self.n_listeners}, of {self.n_items} items"
            raise SettingError("n_listeners", self.n_listeners, "give 1 of each", problem=few)
        if not 0 <= self.n_repeated <= self.n_items:
            of_all = f"is {self.n_repeated} of {self.n_items} items"
            raise SettingError("n_repeated", self.n_repeated, "give 0 to all", problem=of_all)
        if (n := self.n_listeners * (self.n_items + self.n_repeated) * len(names)) > MAX_RATINGS:
            many = f"of {self.n_items} items makes {n} ratings"
            most = f"give a study of up to {MAX_RATINGS}"
            raise SettingError("n_listeners", self.n_listeners, most, problem=many)


def simulate_scores(
    means: FloatArray,
    effects: Effects,
    rng: np.random.Generator,
    *,
    n_listeners: int,
    n_items: int,
    n_times: int = 1,
) -> FloatArray:
    """Scores of one study, without names.

    Args:
        means: Mean score of each system.
        effects: What moves a score.
        rng: Draws everything.
        n_listeners: Number of listeners.
        n_items: Number of items.
        n_times: How often each item is met.

    Returns:
        Scores (times, listeners, items, systems), 0 to 100 in steps of 0.1.
    """
    shape = (1, n_times, n_listeners, n_items)
    scores: FloatArray = simulate_studies(means, effects, rng, shape=shape)[0]
    return scores


def simulate_studies(
    means: FloatArray, effects: Effects, rng: np.random.Generator, *, shape: tuple[int, ...]
) -> FloatArray:
    """Scores of many studies, each with listeners and items of its own.

    Args:
        means: Mean score of each system.
        effects: What moves a score.
        rng: Draws everything.
        shape: Number of studies, times, listeners and items.

    Returns:
        Scores (studies, times, listeners, items, systems), 0 to 100 in steps of 0.1.
    """
    n_studies, n_times, n_listeners, n_items = shape
    n = means.size

    def drawn(sd: float, *of: int) -> FloatArray:
        return rng.normal(0.0, sd, (n_studies, *of))

    meant = means + drawn(effects.rest_sd, n_times, n_listeners, n_items, n)
    meant += drawn(effects.listener_sd, 1, n_listeners, 1, 1)
    meant += drawn(effects.item_sd, 1, 1, n_items, 1)
    meant += drawn(effects.taste_sd, 1, n_listeners, 1, n)
    meant += drawn(effects.item_system_sd, 1, 1, n_items, n)
    meant += drawn(effects.page_sd, n_times, n_listeners, n_items, 1)
    stretch = np.exp(drawn(effects.scale_use_sd, 1, n_listeners, 1, 1))
    scores: FloatArray = np.clip(MIDDLE + stretch * (meant - MIDDLE), 0.0, 100.0).round(1)
    return scores


def simulate_ratings(simulation: Simulation, rng: np.random.Generator) -> tuple[Rating, ...]:
    """The tidy table of a simulated study; its `state` says `simulated` on every row.

    Items come in an order of their own for each listener, repeated ones after all others, systems
    in another order on each page.
    """
    means = np.array([system.mean for system in simulation.systems])
    scores = simulate_scores(
        means,
        simulation.effects,
        rng,
        n_listeners=simulation.n_listeners,
        n_items=simulation.n_items,
        n_times=2 if simulation.n_repeated else 1,
    )
    return tuple(
        rating
        for listener in range(simulation.n_listeners)
        for rating in _session(simulation, scores[:, listener], listener, rng)
    )


def _session(
    simulation: Simulation, scores: FloatArray, listener: int, rng: np.random.Generator
) -> Iterator[Rating]:
    pages = [(0, int(item)) for item in rng.permutation(simulation.n_items)]
    repeated = rng.permutation(simulation.n_items)[: simulation.n_repeated]
    pages += [(1, int(item)) for item in repeated]
    for position, (repeat, item) in enumerate(pages, start=1):
        heard_s = rng.gamma(4.0, 5.0, len(simulation.systems)).round(1)
        page_s = round(float(heard_s.sum()) + 10.0, 1)
        for slot, system in enumerate(rng.permutation(len(simulation.systems)), start=1):
            yield Rating(
                study=simulation.study,
                session=f"simulated-{listener + 1:03}",
                listener=f"simulated-{listener + 1:03}",
                item=f"item-{item + 1:02}",
                system=simulation.systems[system].name,
                role=simulation.systems[system].role,
                score=float(scores[repeat, item, system]),
                page=position,
                slot=slot,
                initial=float(rng.integers(0, 101)),
                repeat=repeat,
                plays=int(rng.integers(1, 6)),
                listen_s=float(heard_s[system]),
                moved=True,
                volume_db=0.0,
                page_s=page_s,
                comment="",
                state=SIMULATED,
            )


def effects_of(components: Mapping[str, float]) -> Effects:
    """Effects with the standard deviations that a mixed model found in real ratings."""
    found: dict[str, Any] = {
        "listener_sd": components["listener"],
        "item_sd": components["item"],
        "taste_sd": components["listener:system"],
        "item_system_sd": components["item:system"],
        "page_sd": components["listener:item"],
        "rest_sd": components["rest"],
        # What the listeners' use of the scale adds is in their tastes already.
        "scale_use_sd": 0.0,
    }
    return Effects(**{name: min(value, 100.0) for name, value in found.items()})
