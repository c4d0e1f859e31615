"""From stems and their mix to a style."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from drummix.audio import Audio
from drummix.errors import SettingError
from drummix.gain_staging import StagedStem
from drummix.matching.bus import LearnedBus, learn_bus, no_bus
from drummix.matching.describing import describe_mics
from drummix.matching.examining import Examined, examine
from drummix.matching.example import Example, MixFacts
from drummix.matching.learning import (
    TAPS,
    LearnedFilters,
    Repair,
    gather_halves,
    learn_filters,
)
from drummix.matching.repair import unclipped
from drummix.mixers.base import Progress
from drummix.mixers.style import Style
from drummix.notices import Code, Notice
from drummix.pool import on_one_blas_thread
from drummix.session.gathering import Roles, Source

DEFAULT_MAX_TAPS = 128
"""Longer filters come nearer to the example and, where its mix is more than filters, bring other
songs less near (see docs/match.md)."""

_REPAIRS = 4
"""Each fit raises the clipped peaks further, and less each time."""


@dataclass(frozen=True, eq=False)
class Match:
    """A style, and what was found while it was learned.

    Args:
        style: The style.
        notices: What a person should know.
    """

    style: Style
    notices: tuple[Notice, ...]

    def table(self) -> tuple[tuple[str, ...], ...]:
        """Microphone, gain in dB, pan, tilt in dB an octave and confidence, a row each."""
        heading = ("microphone", "gain dB", "pan", "tilt dB/oct", "confidence")
        rows = []
        for mic in self.style.microphones:
            numbers = (
                f"{mic.gain_db:+.1f}",
                f"{round(mic.pan, 2) + 0.0:+.2f}",
                f"{mic.facts['tilt_db_per_octave']:+.1f}",
                f"{mic.facts['confidence']:.2f}" if mic.is_learned else "not learned",
            )
            rows.append((mic.role.value, *numbers))
        return (heading, *rows)


@on_one_blas_thread
def match(
    stems: Source,
    mix: Path | str | Audio,
    *,
    roles: Roles | None = None,
    max_taps: int = DEFAULT_MAX_TAPS,
    with_bus: bool = True,
    progress: Progress | None = None,
) -> Match:
    """Learn from one song how it was mixed.

    Args:
        stems: A folder of microphone tracks, or role or name -> path or `Audio`.
        mix: The mix that was made of them, a file or `Audio`; mono or stereo, at any rate, longer
            or shorter, cut anywhere at its ends.
        roles: Role -> file name, for files whose name does not tell.
        max_taps: Longest filter to try, 1 to 1,024; fewer are taken where they do as well.
        with_bus: Look for a plate, a compressor and a tonal balance on the sum too.
        progress: Called with what is being done, samples done, and samples in all.

    Returns:
        The style, ready to mix with or to save.

    Raises:
        SessionError: If the mix is not one of these stems, is silent or is too short.
        DrummixError: If a file or a setting is wrong.
    """
    if not 1 <= max_taps <= TAPS[-1]:
        raise SettingError("max_taps", max_taps, f"use 1 to {TAPS[-1]}")
    tell = progress or _say_nothing
    steps = 5 + with_bus
    found = examine(
        stems,
        mix,
        roles=roles,
        max_taps=max_taps,
        tell=lambda n_done: tell("listening", min(n_done, 3), steps),
    )
    example, part, facts = found.example, found.part, found.facts
    staged, learned = found.staged, found.learned
    session = example.session
    notices = tuple(_notices(found))
    if facts.n_clipped and example.mix.rate_hz == session.rate_hz:
        for _ in range(_REPAIRS):
            repair = unclipped(learned.fit, facts.ceiling)
            learned = _learn_again(example, part, learned, staged, repair)
    tell("listening", 4, steps)
    bus = no_bus(len(staged))
    if with_bus:
        learned, bus = learn_bus(example, part, learned, staged)
        tell("listening", 5, steps)
    style = _style(example, part, learned, staged, bus, facts)
    tell("listening", steps, steps)
    return Match(style, (*session.notices, *notices, *_learning_notices(style)))


def _learn_again(
    example: Example,
    part: tuple[int, int],
    learned: LearnedFilters,
    staged: tuple[StagedStem, ...],
    repair: Repair,
) -> LearnedFilters:
    """The same number of taps for a mix that was repaired with what is known now."""
    n_taps = learned.fit.n_taps
    halves = gather_halves(example, part, n_taps, repair)
    return learn_filters(halves, staged, (n_taps, learned.ridge, learned.held_out))


def _notices(found: Examined) -> Iterator[Notice]:
    yield from found.notices()
    if found.is_clipped:
        mix = found.example.mix
        is_bounded = mix.rate_hz == found.example.session.rate_hz
        yield Notice.of(
            Code.MIX_CLIPPED,
            mix.name,
            n_samples=found.facts.n_clipped,
            treatment="bounded" if is_bounded else "kept",
        )


def _learning_notices(style: Style) -> Iterator[Notice]:
    if style.has_plate and any(mic.plate_send_db != 0.0 for mic in style.microphones):
        sending = [m.role.value for m in style.microphones if m.plate_send_db is not None]
        yield Notice.of(Code.PLATE_SENDS_FOUND, microphones=sending)
    for mic in style.microphones:
        if not mic.is_learned:
            yield Notice.of(Code.MICROPHONE_NOT_LEARNED, mic.role)


def _style(
    example: Example,
    part: tuple[int, int],
    learned: LearnedFilters,
    staged: tuple[StagedStem, ...],
    bus: LearnedBus,
    facts: MixFacts,
) -> Style:
    session, rate_hz = example.session, example.session.rate_hz
    held_out = [found.si_sdr_db for found in learned.held_out]
    return Style(
        name=session.name[:100],
        rate_hz=rate_hz,
        n_lead=learned.fit.n_lead,
        microphones=tuple(
            replace(mic, plate_send_db=send_db)
            for mic, send_db in zip(
                describe_mics(session, learned, staged), bus.sends_db, strict=True
            )
        ),
        bus=bus.chain,
        plate_is_mirrored=bus.is_mirrored,
        learned={
            "drummix": importlib.metadata.version("drummix"),
            "mix": Path(example.mix.name).name,
            "mix_rate_hz": example.mix.rate_hz,
            "mix_channels": example.mix.n_channels,
            "offset_samples": example.offset,
            "from_s": round(part[0] / rate_hz, 4),
            "to_s": round(part[1] / rate_hz, 4),
            "clipped_samples": facts.n_clipped,
            "taps": learned.fit.n_taps,
            "ridge": learned.ridge,
            "condition": float(f"{learned.fit.condition:.3g}"),
            "explained_share": round(learned.fit.score.explained_share, 6),
            "si_sdr_db": round(learned.fit.score.si_sdr_db, 2),
            "held_out_si_sdr_db": round(float(np.mean(held_out)), 2),
            "static_si_sdr_db": round(learned.static.si_sdr_db, 2),
        },
    )


def _say_nothing(step: str, n_done: int, n_all: int) -> None:
    """Nobody asked for progress."""
