"""The names of one session together: every file gets its role, or becomes a question.

In: candidates (name, channel count, what the user said). Out: a `Casting`.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from drummix.errors import RoleError
from drummix.notices import Code, Notice
from drummix.roles.naming import Guess, identify, identify_all, stem_of
from drummix.roles.role import LEFT_OUT_ROLES, REPEATED_ROLES, Role
from drummix.roles.rules import Family
from drummix.roles.toms import order_toms

_SIDES = {
    Family.OVERHEAD: (Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT, Role.OVERHEAD_MONO),
    Family.ROOM: (Role.ROOM_LEFT, Role.ROOM_RIGHT, Role.ROOM_MONO),
}
_TOM_ROLES = frozenset({Role.TOM_HIGH, Role.TOM_MID, Role.TOM_MID_LOW, Role.TOM_LOW})
_ENST_TOMS = {"tom_1": Role.TOM_MID, "tom_2": Role.TOM_LOW, "tom_3": Role.TOM_MID_LOW}
_SPARE_ROLES: dict[str, Role] = {
    Role.KICK: Role.KICK_OUT,
    Role.KICK_OUT: Role.KICK_2,
    Role.SNARE: Role.SNARE_BOTTOM,
    Role.SNARE_BOTTOM: Role.SNARE_2,
    Role.HIHAT: Role.HIHAT_2,
    Role.OVERHEAD_MONO: Role.ROOM_MONO,
    Role.OVERHEAD_LEFT: Role.ROOM_LEFT,
    Role.OVERHEAD_RIGHT: Role.ROOM_RIGHT,
}


@dataclass(frozen=True)
class Candidate:
    """A file (or array) that wants a role.

    Args:
        name: Its name in the session.
        n_channels: 1 or 2.
        said: What the user called it, as `parse_role` reads it; None to go by the name.
    """

    name: str
    n_channels: int
    said: Guess | None = None


@dataclass(frozen=True)
class Part:
    """One microphone: all of a file, or one channel of a stereo file.

    Args:
        name: The candidate's name.
        role: Its role.
        why: The reason, for a person to read.
        channel: Channel of the file from 0; None for all channels as one mono signal.
    """

    name: str
    role: Role
    why: str
    channel: int | None = None


@dataclass(frozen=True)
class Casting:
    """Roles for a session.

    Args:
        parts: The microphones, in the order of the roles; the left-out ones come last.
        questions: What is open; a session may not start while there is any.
        notices: What was assumed.
    """

    parts: tuple[Part, ...]
    questions: tuple[Notice, ...]
    notices: tuple[Notice, ...]


def parse_role(text: str) -> Guess:
    """Read a role as a user writes it: a role's value or any name that the rules know.

    Args:
        text: For example ``snare``, ``snare_top``, ``overhead`` (both channels of a stereo file).

    Raises:
        RoleError: If it is no role.
    """
    plain = re.sub(r"[\s-]+", "_", text.strip().lower())
    guess = identify(plain)
    if guess.part is None or (guess.part in LEFT_OUT_ROLES and not guess.is_literal):
        close = difflib.get_close_matches(plain, list(Role), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise RoleError(f'"{text}" is no role; {hint}use one of {", ".join(Role)}')
    return replace(guess, is_said=True, why=f'called "{text}" by you')


def cast(candidates: Sequence[Candidate]) -> Casting:
    """Give every candidate its role, or ask.

    Args:
        candidates: The files of one session, names all different.

    Returns:
        Parts, questions and notices.
    """
    names = [candidate.name for candidate in candidates]
    guesses = {
        candidate.name: guess if candidate.said is None else candidate.said
        for candidate, guess in zip(candidates, identify_all(names), strict=True)
    }
    guesses = _settle_literal_toms(_settle_cymbals(guesses))
    n_channels = {candidate.name: candidate.n_channels for candidate in candidates}

    parts = [
        Part(name, guess.part, guess.why)
        for name, guess in guesses.items()
        if isinstance(guess.part, Role)
    ]
    notices: list[Notice] = []
    for family in _SIDES:
        members = {name: guess for name, guess in guesses.items() if guess.part is family}
        family_parts, family_notices = _settle_sides(family, members, n_channels)
        parts += family_parts
        notices += family_notices
    tom_parts, same_toms, tom_notices = _settle_toms(guesses)
    parts += tom_parts
    notices += tom_notices

    unknown = {name: guess for name, guess in guesses.items() if guess.part is None}
    questions = [_unknown_question(unknown)] if unknown else []
    questions += [_same_question(names, None) for names in same_toms]
    questions += _claimed_twice(parts, guesses)
    order = {role: position for position, role in enumerate(Role)}
    parts.sort(key=lambda part: order[part.role])
    return Casting(tuple(parts), tuple(questions), tuple(notices))


def _settle_cymbals(guesses: dict[str, Guess]) -> dict[str, Guess]:
    """Microphones on all cymbals are the overheads of a session that has no others."""
    has_overheads = any(
        guess.part is Family.OVERHEAD or guess.part in _SIDES[Family.OVERHEAD]
        for guess in guesses.values()
    )
    part = Role.CYMBAL if has_overheads else Family.OVERHEAD
    return {
        name: replace(guess, part=part) if guess.part is Family.CYMBALS else guess
        for name, guess in guesses.items()
    }


def _settle_literal_toms(guesses: dict[str, Guess]) -> dict[str, Guess]:
    """``tom_low.wav`` is that role, unless other toms show that it is only a name."""
    if all(guess.part is not Family.TOM for guess in guesses.values()):
        return guesses
    ordered = (Role.TOM_HIGH, Role.TOM_MID, Role.TOM_MID_LOW, Role.TOM_LOW)
    return {
        name: replace(guess, part=Family.TOM, why=f'tom: "{name}"')
        if guess.part in ordered and guess.is_literal and not guess.is_said
        else guess
        for name, guess in guesses.items()
    }


def _settle_sides(
    family: Family, members: dict[str, Guess], n_channels: dict[str, int]
) -> tuple[list[Part], list[Notice]]:
    """Left, right or mono for overheads or rooms."""
    left, right, mono = _SIDES[family]
    parts: list[Part] = []
    unsided: list[str] = []
    for name, guess in members.items():
        if guess.side in ("left", "right"):
            parts.append(Part(name, left if guess.side == "left" else right, guess.why))
        elif n_channels[name] == 2 and guess.side != "mono":
            parts.append(Part(name, left, f"{guess.why}, left channel", channel=0))
            parts.append(Part(name, right, f"{guess.why}, right channel", channel=1))
        else:
            unsided.append(name)
    numbers = {name: members[name].number or members[name].track_number for name in unsided}
    is_pair = len(unsided) == 2 and not parts and None not in numbers.values()
    if is_pair and len(set(numbers.values())) == 2:
        first, second = sorted(unsided, key=lambda name: numbers[name] or 0)
        parts = [
            Part(first, left, f"{members[first].why}, the first of two"),
            Part(second, right, f"{members[second].why}, the second of two"),
        ]
        files = {left.value: first, right.value: second}
        return parts, [Notice.of(Code.SIDES_ASSUMED, family, roles=files)]
    parts += [Part(name, mono, members[name].why) for name in unsided]
    return parts, []


def _settle_toms(
    guesses: dict[str, Guess],
) -> tuple[list[Part], list[tuple[str, ...]], list[Notice]]:
    toms = {name: guess for name, guess in guesses.items() if guess.part is Family.TOM}
    taken = {
        guess.part
        for guess in guesses.values()
        if isinstance(guess.part, Role) and guess.part in _TOM_ROLES
    }
    if not toms:
        return [], [], []
    if _is_enst(guesses, toms):
        parts = [
            Part(name, _ENST_TOMS[stem_of(name)], f"{guess.why}, as ENST-Drums numbers its toms")
            for name, guess in toms.items()
        ]
        return parts, [], [Notice.of(Code.TOMS_AS_IN_ENST)]
    roles, same_toms = order_toms(toms, taken)
    parts = [
        Part(name, role, f"{toms[name].why}, number {place} of {len(roles)} from high to low")
        for place, (name, role) in enumerate(roles.items(), start=1)
    ]
    return parts, same_toms, []


def _is_enst(guesses: dict[str, Guess], toms: dict[str, Guess]) -> bool:
    stems = {stem_of(name) for name in guesses}
    return {"hi-hat", "overhead_L"} <= stems and {stem_of(name) for name in toms} <= set(_ENST_TOMS)


def _unknown_question(unknown: dict[str, Guess]) -> Notice:
    why = {name: guess.why for name, guess in unknown.items()}
    return Notice.of(Code.ROLE_UNKNOWN, files=why)


def _claimed_twice(parts: Sequence[Part], guesses: dict[str, Guess]) -> list[Notice]:
    claims: defaultdict[tuple[Role, tuple[str, ...]], list[str]] = defaultdict(list)
    for part in parts:
        if part.role not in LEFT_OUT_ROLES and not guesses[part.name].is_said:
            meaning = guesses[part.name].meaning if part.role in REPEATED_ROLES else ()
            claims[part.role, meaning].append(part.name)
        elif part.role not in REPEATED_ROLES:
            claims[part.role, ()].append(part.name)
    asked: dict[tuple[str, ...], Notice] = {}
    for (role, _), names in claims.items():
        if len(names) > 1:
            asked.setdefault(tuple(names), _same_question(tuple(names), role))
    return list(asked.values())


def _same_question(names: tuple[str, ...], role: Role | None) -> Notice:
    """Which of several files is which, with a role that another could have; None for toms."""
    chosen, spare = (
        (Role.TOM_MID, Role.TOM_EXTRA) if role is None else (role, _SPARE_ROLES.get(role))
    )
    return Notice.of(
        Code.ROLE_CLAIMED_TWICE,
        files=list(names),
        claimed="toms" if role is None else role.value,
        roles={chosen.value: names[0], spare.value if spare else "ROLE": names[1]},
    )
