"""Who sees what in which order: balanced Latin squares, seeded.

In: the stimuli of each item and the number of a listener. Out: their `SessionPlan`. The same seed
and number always give the same plan; no two listeners depend on each other.
Source: Williams, Australian Journal of Scientific Research 2, 1949: squares in which every
treatment stands at every place, and follows every other, equally often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from drummix.listening.plan import Page, PageKind, SessionPlan, Slot


@dataclass(frozen=True)
class Design:
    """What every plan of a study is drawn from.

    Args:
        stimuli: Item -> its stimuli by their opaque names.
        seed: Seed of every order.
        training: Item of the training page, if there is one.
        repeats: How many pages are shown a second time.
        initial: Where sliders stand at first: 0 to 100, or ``random``.
    """

    stimuli: Mapping[str, Sequence[str]]
    seed: int
    training: str | None = None
    repeats: int = 0
    initial: float | Literal["random"] = "random"


def balanced_square(n_treatments: int) -> list[list[int]]:
    """Rows in which every treatment stands at every place equally often.

    Every treatment also follows every other equally often. An odd number of treatments needs
    twice as many rows as treatments.

    >>> balanced_square(4)
    [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]]
    """
    first = [0]
    for step in range(1, n_treatments):
        first.append((step + 1) // 2 if step % 2 else n_treatments - step // 2)
    rows = [[(entry + shift) % n_treatments for entry in first] for shift in range(n_treatments)]
    return rows if n_treatments % 2 == 0 else rows + [row[::-1] for row in rows]


def session_plan(design: Design, number: int) -> SessionPlan:
    """The pages of one listener.

    Over as many listeners in a row as the square has rows, every item stands at every place of
    the session and every stimulus at every place of its page equally often.

    Args:
        design: The design.
        number: Order of enrolment, from 0 up.
    """
    items = list(design.stimuli)
    order = [items[n] for n in _row(len(items), number, [design.seed, 0])]
    # Another row of the square: who repeats what does not hang on what came first.
    again = _row(len(items), number + len(items) // 2, [design.seed, 1])[: design.repeats]
    pages = []
    if design.training is not None:
        pages.append(_page(design, number, design.training, "training", 0))
    pages += [_page(design, number, item, "test", 0) for item in order]
    # A repeat follows all first times, so that none is answered from a fresh memory.
    pages += [_page(design, number, items[n], "test", 1) for n in again]
    return SessionPlan(tuple(pages))


def _page(design: Design, number: int, item: str, kind: PageKind, repeat: int) -> Page:
    stimuli = design.stimuli[item]
    which = list(design.stimuli).index(item)
    # Repeats and training use another row: the order of the first time gives nothing away.
    shift = (repeat + (kind == "training")) * len(stimuli) // 2
    row = _row(len(stimuli), number + shift, [design.seed, 2, which])
    rng = np.random.default_rng([design.seed, 3, number, which, repeat, int(kind == "training")])
    slots = [
        Slot(
            stimulus=stimuli[entry],
            initial=float(rng.integers(0, 101)) if design.initial == "random" else design.initial,
        )
        for entry in row
    ]
    return Page(item=item, kind=kind, repeat=repeat, slots=tuple(slots))


def _row(n_treatments: int, number: int, seed: list[int]) -> list[int]:
    """One row of a square whose treatments and rows are shuffled by the seed."""
    square = balanced_square(n_treatments)
    rng = np.random.default_rng(seed)
    names = rng.permutation(n_treatments)
    rows = rng.permutation(len(square))
    return [int(names[entry]) for entry in square[rows[number % len(square)]]]
