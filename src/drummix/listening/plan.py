"""What one listener will see: pages of slots, fixed when they enrol.

Positions in a plan are all that a listener's browser knows of a stimulus; which item and system
lies behind one is in the store alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

PageKind = Literal["training", "test"]


@dataclass(frozen=True)
class Slot:
    """One slider of a page.

    Args:
        stimulus: Opaque name of the stimulus.
        initial: Where the slider stands at first, 0 to 100.
    """

    stimulus: str
    initial: float


@dataclass(frozen=True)
class Page:
    """One page: every system's version of an item.

    Args:
        item: The item.
        kind: ``training`` pages are not analysed.
        repeat: 0 where the listener meets the item for the first time, 1 for the second.
        slots: The sliders, from left to right.
    """

    item: str
    kind: PageKind
    repeat: int
    slots: tuple[Slot, ...]


@dataclass(frozen=True)
class SessionPlan:
    """The pages of one listener, in their order."""

    pages: tuple[Page, ...]

    def to_json(self) -> str:
        """The plan as the store keeps it."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> SessionPlan:
        """The plan of `to_json`."""
        pages = json.loads(text)["pages"]
        return cls(
            tuple(
                Page(
                    item=page["item"],
                    kind=page["kind"],
                    repeat=page["repeat"],
                    slots=tuple(Slot(**slot) for slot in page["slots"]),
                )
                for page in pages
            )
        )
