"""Reverse engineering of a mix: which gains and filters made it from its stems, by least squares.

In: stems and the mix they became, side by side in blocks. Out: gains or filters, how much of the
mix they explain, and how far each microphone's can be trusted.
Source: Barchiesi and Reiss, "Reverse engineering of a mix", JAES 58(7/8), 2010. Where we differ:
one pass over the audio keeps only sums of products, exact at the ends, so that length costs no
memory and parts of a song can be fitted and tested against each other.

Belongs here: the equations, their solution, and filters running over a stream.
Does not belong here: finding which mix belongs to which stems, files, sessions.
"""

from drummix.effects.reverse.envelopes import GainEnvelopes, fit_gain_envelopes
from drummix.effects.reverse.equations import Equations, EquationStream
from drummix.effects.reverse.filtering import filter_blocks
from drummix.effects.reverse.fitting import fit_filters, fit_gains
from drummix.effects.reverse.solving import (
    MixFit,
    Score,
    StemFit,
    score,
    si_sdr_of_products,
    solve,
    solve_filters,
)

__all__ = [
    "EquationStream",
    "Equations",
    "GainEnvelopes",
    "MixFit",
    "Score",
    "StemFit",
    "filter_blocks",
    "fit_filters",
    "fit_gain_envelopes",
    "fit_gains",
    "score",
    "si_sdr_of_products",
    "solve",
    "solve_filters",
]
