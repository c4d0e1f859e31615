"""Which microphone of a session a style mixes how, and what it does with those it does not know."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from drummix.levels import gain_to_db
from drummix.mixers.style import Style, StyleMic
from drummix.notices import Code, Notice
from drummix.roles import Role
from drummix.session import Stem

_TOMS = (Role.TOM_HIGH, Role.TOM_MID, Role.TOM_MID_LOW, Role.TOM_LOW, Role.TOM_EXTRA)
_DRUMS: tuple[tuple[Role, ...], ...] = (
    (Role.KICK, Role.KICK_OUT, Role.KICK_2, Role.KICK_SUB),
    (Role.SNARE, Role.SNARE_2, Role.SNARE_BOTTOM),
    (Role.HIHAT, Role.HIHAT_2),
    (Role.RIDE, Role.CRASH, Role.CYMBAL),
)
_FADER_DRUMS = (Role.KICK, Role.SNARE)
_SIDES: tuple[tuple[Role, Role, Role], ...] = (
    (Role.OVERHEAD_LEFT, Role.OVERHEAD_RIGHT, Role.OVERHEAD_MONO),
    (Role.ROOM_LEFT, Role.ROOM_RIGHT, Role.ROOM_MONO),
)


class How(StrEnum):
    """How a stem is mixed, where the style has no microphone of its role."""

    OWN = "own"
    OTHER = "other"
    MIRRORED = "mirrored"
    MONO_TO_SIDE = "mono_to_side"
    MEAN = "mean"
    FLAT = "flat"
    LEFT_OUT_BESIDE = "left_out_beside"
    LEFT_OUT_UNLIKE = "left_out_unlike"
    LEFT_OUT_LONE_TOM = "left_out_lone_tom"


@dataclass(frozen=True, eq=False)
class CastMic:
    """How one stem is mixed.

    Args:
        stem: The stem.
        mic: The style's microphone that it is mixed as; None where it is left out.
        how: Whose it is, or why it is left out.
        others: The style's microphones that stand in for its own, or that it is heard beside.
    """

    stem: Stem
    mic: StyleMic | None
    how: How = How.OWN
    others: tuple[Role, ...] = ()


def cast_stems(
    stems: Sequence[Stem], style: Style, is_bleed: Sequence[bool]
) -> tuple[CastMic, ...]:
    """Find the style's microphone for every stem.

    Rules, the first that applies: a learned microphone of the same role (several: in order, the
    last for all that follow). A tom that is not struck here as one that was not struck there. A
    tom as the nearest tom, or where none was struck flat, in the centre, at the fader of kick and
    snare. An overhead or room of one side as the other side mirrored, or as the mono one, panned;
    a mono one as the mean of both sides. The first microphone of a drum (kick, snare, hi-hat,
    cymbals) as another on the same drum, where none of the session's own on it is known. All else
    is left out.

    Args:
        stems: Stems of a session.
        style: The style.
        is_bleed: For each stem, whether it is a tom's that is never struck.

    Returns:
        One entry for each stem, in order.
    """
    learned: defaultdict[Role, list[StyleMic]] = defaultdict(list)
    for known_mic in style.microphones:
        if known_mic.is_learned:
            learned[known_mic.role].append(known_mic)
    n_seen: Counter[Role] = Counter()
    known = {stem.role for stem in stems} & set(learned)
    cast: list[CastMic] = []
    unstruck = {mic.role: mic for mic in style.microphones if not mic.is_learned}
    for stem, bleeds in zip(stems, is_bleed, strict=True):
        number = n_seen[stem.role]
        n_seen[stem.role] += 1
        if learned[stem.role]:
            own = learned[stem.role]
            cast.append(CastMic(stem, own[min(number, len(own) - 1)]))
            continue
        if bleeds and stem.role in unstruck:
            cast.append(CastMic(stem, unstruck[stem.role]))
            continue
        first = {role: mics[0] for role, mics in learned.items() if mics}
        mic, how, others = _borrowed(stem.role, first, style.n_lead)
        if mic is None:
            mic, how, others = _of_the_same_drum(stem.role, learned, known)
            if mic is not None:
                known.add(stem.role)
        cast.append(CastMic(stem, mic, how, others))
    return tuple(cast)


def cast_notices(cast: Sequence[CastMic], style: Style) -> Iterator[Notice]:
    """What a person should know about it."""
    for entry in cast:
        if entry.how is not How.OWN:
            is_mixed = entry.mic is not None
            yield Notice.of(
                Code.STYLE_MICROPHONE_NEW if is_mixed else Code.STYLE_MICROPHONE_UNKNOWN,
                entry.stem.source,
                role=entry.stem.role.value,
                how=entry.how.value,
                others=[other.value for other in entry.others],
            )
    used = {id(entry.mic) for entry in cast if entry.how is How.OWN}
    roles = {entry.stem.role for entry in cast}
    for mic in style.microphones:
        if mic.is_learned and id(mic) not in used and mic.role not in roles:
            yield Notice.of(Code.STYLE_MICROPHONE_MISSING, mic.role)


_Borrowed = tuple[StyleMic | None, How, tuple[Role, ...]]


def _borrowed(role: Role, learned: dict[Role, StyleMic], n_lead: int) -> _Borrowed:
    if role in _TOMS:
        place = _TOMS.index(role)
        near = sorted(
            (other for other in _TOMS if other in learned),
            key=lambda other: abs(_TOMS.index(other) - place),
        )
        if near:
            return learned[near[0]], How.OTHER, (near[0],)
        return _flat(role, [learned[drum] for drum in _FADER_DRUMS if drum in learned], n_lead)
    for left, right, mono in _SIDES:
        if role in (left, right):
            other = right if role is left else left
            if other in learned:
                return _mirrored(learned[other]), How.MIRRORED, (other,)
            if mono in learned:
                side = -1.0 if role is left else 1.0
                return replace(learned[mono], pan=side), How.MONO_TO_SIDE, (mono,)
        if role is mono and left in learned and right in learned:
            return _mean(learned[left], learned[right]), How.MEAN, (left, right)
    return None, How.LEFT_OUT_UNLIKE, ()


def _of_the_same_drum(
    role: Role, learned: dict[Role, list[StyleMic]], known: set[Role]
) -> _Borrowed:
    for drum in _DRUMS:
        if role not in drum:
            continue
        if mixed := [other for other in drum if other in known]:
            return None, How.LEFT_OUT_BESIDE, (mixed[0],)
        for other in drum:
            if learned.get(other):
                return learned[other][0], How.OTHER, (other,)
    return None, How.LEFT_OUT_UNLIKE, ()


def _flat(role: Role, drums: Sequence[StyleMic], n_lead: int) -> _Borrowed:
    """A drum that nothing is known of: unfiltered, in the centre, as loud as the others."""
    if not drums:
        return None, How.LEFT_OUT_LONE_TOM, ()
    taps = np.zeros(drums[0].left.size)
    taps[n_lead] = 1.0
    gain_db = float(np.mean([drum.gain_db for drum in drums]))
    send_db = _mean_send_db(*drums)
    flat = replace(drums[0], role=role, gain_db=gain_db, pan=0.0, left=taps, right=taps)
    return replace(flat, plate_send_db=send_db), How.FLAT, ()


def _mirrored(mic: StyleMic) -> StyleMic:
    return replace(mic, pan=-mic.pan, left=mic.right, right=mic.left)


def _mean(left: StyleMic, right: StyleMic) -> StyleMic:
    """One microphone for two: half of what both would be given of the same sound."""
    both = 0.5 * (left.filters() + right.filters())
    root_two = float(np.sqrt(2.0))
    taps = {"left": both[0] * root_two, "right": both[1] * root_two}
    return replace(left, gain_db=0.0, pan=0.0, **taps, plate_send_db=_mean_send_db(left, right))


def _mean_send_db(*mics: StyleMic) -> float | None:
    send = sum(mic.plate_send for mic in mics) / len(mics)
    return float(gain_to_db(send)) if send > 0.0 else None
