"""Gains or filters of a mix in one call."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from drummix.effects.reverse.equations import Equations, EquationStream
from drummix.effects.reverse.solving import RIDGE, MixFit, solve
from drummix.errors import SettingError

Pairs = Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]]
"""Blocks of stems (stems, samples) with the mix's (channels, samples) beside them."""


def fit_gains(
    pairs: Pairs,
    *,
    is_mono: bool = False,
    is_non_negative: bool = False,
    ridge: float = RIDGE,
) -> MixFit:
    """Fit one gain a stem and channel, in one pass and in memory that does not grow.

    Args:
        pairs: Stems and mix side by side, in blocks of any size.
        is_mono: Fit one gain a stem to the mean of the mix's channels, instead of one a channel.
        is_non_negative: Allow no gain below zero.
        ridge: Weight of the gains' own size, for stems scaled to unit energy.

    Returns:
        The fit, filters of one tap.

    Raises:
        SettingError: If there is no audio, or a block and its mix differ in length.

    >>> stems = np.eye(2, 8)
    >>> fit_gains([(stems, 0.5 * stems)]).gains.round(6)
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    return solve(
        _gather(pairs, 1, 0, is_mono=is_mono), ridge=ridge, is_non_negative=is_non_negative
    )


def fit_filters(
    pairs: Pairs, *, n_taps: int, n_lead: int = 0, is_mono: bool = False, ridge: float = RIDGE
) -> MixFit:
    """Fit one FIR filter a stem and channel, in one pass.

    Memory does not grow with the audio; it does with the square of stems times taps (half a
    gigabyte for eight stems and 1,024 taps).

    Args:
        pairs: Stems and mix side by side, in blocks of any size.
        n_taps: Taps of each filter, 1 to 1,024.
        n_lead: How many of them look ahead.
        is_mono: Fit to the mean of the mix's channels.
        ridge: Weight of the filters' own size, for stems scaled to unit energy.

    Raises:
        SettingError: If there is no audio, an option is out of range, or a block and its mix
            differ in length.
    """
    return solve(_gather(pairs, n_taps, n_lead, is_mono=is_mono), ridge=ridge)


def _gather(pairs: Pairs, n_taps: int, n_lead: int, *, is_mono: bool) -> Equations:
    stream: EquationStream | None = None
    for stems, target in pairs:
        heard = target.mean(axis=0, keepdims=True, dtype=np.float64) if is_mono else target
        if stream is None:
            stream = EquationStream(stems.shape[0], heard.shape[0], n_taps=n_taps, n_lead=n_lead)
        stream.add(stems, heard)
    if stream is None:
        raise SettingError(
            "pairs", (), "give at least one block", problem="hold no audio to fit gains to"
        )
    [equations] = stream.finish()
    return equations
