"""The best mixes that fixed gains and fixed filters can make: oracles that saw the target.

In: the stems of a session and the mix they should become. Out: one filter from every stem to every
channel of the target, by least squares, and the mix they make. Filters of one tap are gains: no
static mixer, whatever it knows, comes closer in SDR or SI-SDR, and no mixer with faders, pans and
equalisers as long as the longer filters comes closer than those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drummix.effects.reverse import EquationStream, filter_blocks, solve_filters
from drummix.errors import SettingError

FloatArray = NDArray[np.float32]

STATIC = "static"
FILTERS = "filters"
ORACLES: Mapping[str, int] = {STATIC: 1, FILTERS: 512}
"""Name of each oracle -> taps of its filters; all are causal."""


@dataclass(frozen=True, eq=False)
class Oracle:
    """Fixed filters from stems to the channels of a mix.

    Args:
        filters: (channels, stems, taps), float64; a silent stem has zeros.
    """

    filters: NDArray[np.float64]

    def mix(self, stems: NDArray[np.floating]) -> FloatArray:
        """Mix stems (stems, samples) into (channels, samples)."""
        return np.concatenate(list(filter_blocks([stems], self.filters)), axis=1)


def fit_oracle(
    pairs: Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]], *, n_taps: int = 1
) -> Oracle:
    """Fit the filters that bring stems closest to a target, in one pass over the audio.

    Only the sums of the normal equations are kept, so memory does not grow with the audio.

    Args:
        pairs: Blocks of the stems (stems, samples) with the target's (channels, samples) beside
            them, in any block size.
        n_taps: Taps of each filter, 1 to 1,024.

    Returns:
        The filters with the smallest squared error over all channels, but for a ridge of 1e-9 of
        each stem's energy that keeps them finite where two stems are equal.

    Raises:
        SettingError: If there is no block, a block and its target differ in length, or `n_taps`
            is out of range.
    """
    stream: EquationStream | None = None
    for stems, target in pairs:
        if stream is None:
            stream = EquationStream(stems.shape[0], target.shape[0], n_taps=n_taps, n_lead=0)
        stream.add(stems, target)
    if stream is None:
        empty = "holds no audio to fit to"
        raise SettingError("pairs", (), "give at least one block", problem=empty)
    [equations] = stream.finish()
    return Oracle(solve_filters(equations, n_taps=n_taps, n_lead=0))
