"""Was a mix made of these stems: its offset, the part that matches, what filters explain of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from drummix.audio import Audio
from drummix.errors import SessionError
from drummix.gain_staging import StagedStem
from drummix.matching.alignment import aligned, matching_part
from drummix.matching.example import Example, MixFacts, look_through, open_mix
from drummix.matching.learning import (
    TAPS,
    LearnedFilters,
    choose_taps,
    gather_halves,
    learn_filters,
)
from drummix.mixers.base import stage_session
from drummix.notices import Code, Notice
from drummix.session import open_session
from drummix.session.gathering import Roles, Source

LEAST_EXPLAINED = 0.6
"""Share of a mix that filters must explain on the half they were not fitted to: mixes of the same
stems reach 0.9 and more even with heavy processing, those of another take of the same beat and
kit stay below 0.5."""

_MANY_CLIPPED_S = 0.0001

Purpose = Literal["match", "finetune"]
"""What a mix beside its stems is used for."""


@dataclass(frozen=True, eq=False)
class Examined:
    """A session and its mix, found to belong together.

    Args:
        example: Both, laid over each other.
        part: First sample of the stems from which the mix is theirs, and the one after the last.
        facts: The mix's peak and where it is clipped.
        staged: Level and gain of every stem.
        learned: Filters that make the mix of the stems, and how much of it they explain.
    """

    example: Example
    part: tuple[int, int]
    facts: MixFacts
    staged: tuple[StagedStem, ...]
    learned: LearnedFilters

    @property
    def is_clipped(self) -> bool:
        """Whether more of the mix is clipped than a stray peak."""
        return self.facts.n_clipped > _MANY_CLIPPED_S * self.example.mix.rate_hz

    def notices(self, purpose: Purpose = "match") -> Iterator[Notice]:
        """What a person should know of how the mix lies beside its stems.

        Args:
            purpose: What the part that matches is used for.
        """
        example, (start, stop) = self.example, self.part
        mix, rate_hz = example.mix, example.session.rate_hz
        if mix.n_channels == 1:
            yield Notice.of(Code.MIX_IS_MONO, mix.name)
        if mix.rate_hz != rate_hz:
            rates = {"mix_rate_hz": mix.rate_hz, "session_rate_hz": rate_hz}
            yield Notice(Code.MIX_RESAMPLED, mix.name, rates)
        if example.offset:
            late_ms = -1000.0 * example.offset / rate_hz
            yield Notice.of(Code.MIX_STARTS_APART, mix.name, mix_late_ms=round(late_ms, 3))
        if stop - start < example.session.n_samples - 2 * rate_hz:
            yield Notice.of(
                Code.MIX_MATCHES_IN_PART,
                mix.name,
                purpose=purpose,
                start_s=round(start / rate_hz, 3),
                stop_s=round(stop / rate_hz, 3),
                session_s=round(example.session.duration_s, 3),
            )


def examine(
    stems: Source,
    mix: Path | str | Audio,
    *,
    roles: Roles | None = None,
    max_taps: int,
    tell: Callable[[int], None] = lambda n_done: None,
) -> Examined:
    """Lay a mix over its stems and check that it was made of them.

    Args:
        stems: A folder of microphone tracks, or role or name -> path or `Audio`.
        mix: A file or `Audio`; mono or stereo, at any rate, cut anywhere at its ends.
        roles: Role -> file name, for files whose name does not tell.
        max_taps: Longest filter to try.
        tell: Called with the number of steps done, of 4.

    Raises:
        SessionError: If the mix is not one of these stems, is silent or is too short.
        DrummixError: If a file is wrong.
    """
    opened = open_mix(mix)
    session = open_session(stems, roles=roles)
    tell(0)
    facts = look_through(opened)
    staged = stage_session(session)
    tell(1)
    example = aligned(Example(session, opened))
    part = _checked_part(example)
    tell(2)
    halves = gather_halves(example, part, max(taps for taps in TAPS if taps <= max_taps))
    tell(3)
    learned = learn_filters(halves, staged, choose_taps(halves, max_taps=max_taps))
    _check_belongs(example, learned)
    tell(4)
    return Examined(example, part, facts, staged, learned)


def _checked_part(example: Example) -> tuple[int, int]:
    rate_hz = example.session.rate_hz
    start, stop = example.overlap
    if stop - start >= rate_hz:
        start, stop = matching_part(example)
    if stop - start < rate_hz:
        raise _does_not_belong(example, f"only {(stop - start) / rate_hz:.2f} s of it match")
    return start, stop


def _check_belongs(example: Example, learned: LearnedFilters) -> None:
    explained = 1.0 - learned.held_out_residual
    if not explained >= LEAST_EXPLAINED:
        raise _does_not_belong(
            example, f"they explain {max(0.0, explained):.0%} of it, expected {LEAST_EXPLAINED:.0%}"
        )


def _does_not_belong(example: Example, why: str) -> SessionError:
    return SessionError(
        f"{example.mix.name} is no mix of the stems in {example.session.name}: {why}; give the mix "
        "of exactly this take"
    )
