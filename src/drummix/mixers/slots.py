"""From a session's microphones to a network's inputs: which stem feeds which, and how loud.

A network has one input for each of a few microphones; a session may have more, fewer or others.
In: the stems' roles. Out: one matrix of gains (inputs, stems), the same for every sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drummix.levels import db_to_gain
from drummix.notices import Code, Notice
from drummix.roles import Role
from drummix.session import Stem

FloatArray = NDArray[np.float32]

_OVERHEADS = (Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT)


@dataclass(frozen=True)
class Feed:
    """Where a microphone goes that has no input of its own.

    Args:
        inputs: The inputs it feeds.
        gain_db: Its gain beside that input's own microphone.
        lone_gain_db: Its gain where it takes the place of a microphone that is missing.
        is_inverted: Whether its polarity is turned.
    """

    inputs: tuple[Role, ...]
    gain_db: float
    lone_gain_db: float = 0.0
    is_inverted: bool = False


FEEDS: Mapping[Role, Feed] = {
    Role.KICK_OUT: Feed((Role.KICK,), -6.0),
    Role.KICK_2: Feed((Role.KICK,), -3.0),
    Role.KICK_SUB: Feed((Role.KICK,), -9.0),
    Role.SNARE_2: Feed((Role.SNARE,), -3.0),
    # It looks up at the wires: the head moves towards it when it moves away from the top one.
    Role.SNARE_BOTTOM: Feed((Role.SNARE,), -9.0, is_inverted=True),
    Role.HIHAT_2: Feed((Role.HIHAT,), -3.0),
    Role.TOM_HIGH: Feed((Role.TOM_MID,), 0.0),
    Role.TOM_EXTRA: Feed((Role.TOM_MID,), 0.0),
    Role.OVERHEAD_MONO: Feed(_OVERHEADS, -3.0, lone_gain_db=-3.0),
    Role.ROOM_LEFT: Feed((Role.OVERHEAD_LEFT,), -9.0),
    Role.ROOM_RIGHT: Feed((Role.OVERHEAD_RIGHT,), -9.0),
    Role.ROOM_MONO: Feed(_OVERHEADS, -12.0, lone_gain_db=-3.0),
    Role.CYMBAL: Feed(_OVERHEADS, -9.0, lone_gain_db=-3.0),
    Role.CRASH: Feed(_OVERHEADS, -9.0, lone_gain_db=-3.0),
    Role.RIDE: Feed(_OVERHEADS, -9.0, lone_gain_db=-3.0),
    Role.PERCUSSION: Feed(_OVERHEADS, -6.0, lone_gain_db=-6.0),
}
"""The rule; where an input has no microphone of its own, the first of these present stands in."""


@dataclass(frozen=True)
class Route:
    """One stem on its way to one input."""

    stem: Stem
    input: Role
    gain_db: float
    is_inverted: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain data; the channel only where the file has two."""
        return {
            "input": self.input.value,
            "source": self.stem.source,
            "channel": self.stem.channel if self.stem.info.n_channels == 2 else None,
            "role": self.stem.role.value,
            "gain_db": self.gain_db,
            "is_inverted": self.is_inverted,
        }


@dataclass(frozen=True, eq=False)
class Routing:
    """How a session's stems reach a network's inputs.

    Args:
        matrix: Gains (inputs, stems), linear.
        routes: The same, one by one, inputs in order.
        silent: Inputs that no stem feeds: the network hears zeros there.
        unheard: Stems that feed no input.
    """

    matrix: FloatArray
    routes: tuple[Route, ...]
    silent: tuple[Role, ...]
    unheard: tuple[Stem, ...]

    def notices(self) -> tuple[Notice, ...]:
        """What a person should know: combined and silent inputs, and stems without one."""
        combined = []
        for role in dict.fromkeys(route.input for route in self.routes):
            routes = [route for route in self.routes if route.input is role]
            if len(routes) > 1 or routes[0].stem.role is not role:
                joined = [route.to_dict() for route in routes]
                combined.append(Notice.of(Code.INPUT_COMBINED, role, routes=joined))
        return (
            *combined,
            *(Notice.of(Code.INPUT_SILENT, role) for role in self.silent),
            *(
                Notice.of(Code.STEM_UNHEARD, stem.source, role=stem.role.value)
                for stem in self.unheard
            ),
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for `Mix.settings`."""
        return {
            "routes": [route.to_dict() for route in self.routes],
            "silent_inputs": [role.value for role in self.silent],
            "unheard": [stem.source for stem in self.unheard],
        }


def route_stems(stems: Sequence[Stem], inputs: Sequence[Role]) -> Routing:
    """Decide which stems feed which of a network's inputs, by `FEEDS`.

    A stem whose role is an input goes there as it is. Any other joins the inputs that `FEEDS`
    names, or stands in where an input has no microphone of its own.

    Args:
        stems: The session's stems.
        inputs: The microphone of each input, in the network's order.
    """
    leaders = {role: _leader(role, [stem.role for stem in stems]) for role in inputs}
    matrix = np.zeros((len(inputs), len(stems)), dtype=np.float32)
    routes = []
    for row, role in zip(matrix, inputs, strict=True):
        for column, stem in enumerate(stems):
            route = _route(stem, role, leaders)
            if route is not None:
                row[column] = db_to_gain(route.gain_db) * (-1.0 if route.is_inverted else 1.0)
                routes.append(route)
    fed = {route.input for route in routes}
    heard = np.any(matrix != 0.0, axis=0)
    return Routing(
        matrix=matrix,
        routes=tuple(routes),
        silent=tuple(role for role in inputs if role not in fed),
        unheard=tuple(stem for stem, is_heard in zip(stems, heard, strict=True) if not is_heard),
    )


def _leader(role: Role, present: Sequence[Role]) -> Role | None:
    """The role that an input is mainly fed by: its own, or the first that may stand in."""
    candidates = [role, *(name for name, feed in FEEDS.items() if role in feed.inputs)]
    return next((name for name in candidates if name in present), None)


def _route(stem: Stem, role: Role, leaders: Mapping[Role, Role | None]) -> Route | None:
    if stem.role is role:
        return Route(stem, role, 0.0, False)
    feed = FEEDS.get(stem.role)
    if feed is None or role not in feed.inputs or stem.role in leaders:
        return None
    gain_db = feed.lone_gain_db if leaders[role] is stem.role else feed.gain_db
    return Route(stem, role, gain_db, feed.is_inverted)
