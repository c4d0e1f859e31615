"""Toms from high to low: which of the roles each tom of a session takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from drummix.roles.naming import Guess
from drummix.roles.role import Role

_FLOOR_HEIGHT = 6.0
_FOUR_TOMS = (Role.TOM_HIGH, Role.TOM_MID, Role.TOM_MID_LOW, Role.TOM_LOW)


def tom_slots(n_toms: int, *, is_lone_low: bool = False) -> tuple[Role, ...]:
    """The roles of `n_toms` toms from high to low.

    Args:
        n_toms: Number of toms in the session.
        is_lone_low: Whether the only tom says that it is a floor or low one.

    >>> [role.value for role in tom_slots(3)]
    ['tom_mid', 'tom_mid_low', 'tom_low']
    """
    if n_toms <= 1:
        return ((Role.TOM_LOW if is_lone_low else Role.TOM_MID),)[:n_toms]
    if n_toms == 2:
        return Role.TOM_MID, Role.TOM_LOW
    if n_toms == 3:
        return _FOUR_TOMS[1:]
    return (_FOUR_TOMS[0], *(Role.TOM_EXTRA,) * (n_toms - 4), *_FOUR_TOMS[1:])


def order_toms(
    toms: Mapping[str, Guess], taken: Collection[Role]
) -> tuple[dict[str, Role], list[tuple[str, ...]]]:
    """Give toms their roles by height, then drum size, then number.

    Args:
        toms: Name -> guess of every tom without a role.
        taken: Roles of the toms that have theirs already.

    Returns:
        Name -> role, from high to low, and the sets of names that cannot be told apart.
    """
    is_left_low = _left_means_low(toms)
    places = {name: _height(guess, is_left_low=is_left_low) for name, guess in toms.items()}
    same: defaultdict[tuple[float, ...], list[str]] = defaultdict(list)
    for name, place in places.items():
        same[place].append(name)
    ordered = sorted(toms, key=lambda name: (places[name], name))
    is_lone_low = len(toms) == 1 and places[ordered[0]][0] >= 4.0
    slots = tom_slots(len(toms), is_lone_low=is_lone_low)
    if not set(slots).isdisjoint(taken):
        all_slots = tom_slots(len(toms) + len(taken))
        slots = tuple(role for role in all_slots if role not in taken)[: len(toms)]
    slots += (Role.TOM_EXTRA,) * (len(toms) - len(slots))
    questions = [tuple(names) for names in same.values() if len(names) > 1]
    return dict(zip(ordered, slots, strict=True)), questions


def _left_means_low(toms: Mapping[str, Guess]) -> bool:
    """Whether "Tom L" stands beside "Tom H" or "Tom M", and not beside "Tom R"."""
    words = frozenset().union(*(guess.words for guess in toms.values()))
    return "left" in words and "right" not in words and bool(words & {"high", "mid", "floor"})


def _height(guess: Guess, *, is_left_low: bool) -> tuple[float, float, float]:
    """Sorts toms from high to low: place in the kit, size or number, track number."""
    words = guess.words | ({"low"} if is_left_low and "left" in guess.words else set())
    if "floor" in words:
        place = _FLOOR_HEIGHT
    elif "low" in words:
        place = 4.0 if "mid" in words else 5.0
    elif "mid" in words:
        place = 1.0 if "high" in words else 3.0
    else:
        place = 0.0 if "high" in words else 2.0
    index = guess.size_in or guess.number
    if index is not None:
        return place, float(index), 0.0
    side = 0.5 * (("right" in words) - ("left" in words)) if not is_left_low else 0.0
    return place, side, float(guess.track_number or 0)
