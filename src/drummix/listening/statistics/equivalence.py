"""Are two systems the same, within a margin that was fixed beforehand?

A test that finds no difference has not shown that there is none: it may have been too small. This
one turns the burden around: it shows sameness, or nothing.

Source: Schuirmann, J. Pharmacokinet. Biopharm. 15(6), 1987: two one-sided tests (TOST).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from drummix.listening.statistics.scores import FloatArray

MIN_LISTENERS = 5


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided paired t-tests on the listeners' mean differences.

    Args:
        n_listeners: Listeners who rated both.
        low: Lower end of the 90% interval (for alpha 0.05) of the mean difference, in points.
        high: Its upper end.
        p: The larger p of the two tests; NaN without a margin or with too few listeners.
    """

    n_listeners: int
    low: float
    high: float
    p: float


def equivalence(
    differences: FloatArray, *, margin: float | None, alpha: float = 0.05
) -> Equivalence:
    """Test whether a mean difference lies within -margin to +margin.

    Args:
        differences: One mean difference a listener, (listeners,); NaN where it is not known.
        margin: In points of the scale; None where none was declared.
        alpha: Level of each test; the interval is that of 1 - 2 alpha.
    """
    known = differences[~np.isnan(differences)]
    n = known.size
    if n < MIN_LISTENERS:
        return Equivalence(n, math.nan, math.nan, math.nan)
    mean, error = float(known.mean()), float(known.std(ddof=1) / math.sqrt(n))
    reach = float(stats.t.ppf(1 - alpha, n - 1)) * error
    p = math.nan
    if margin is not None:
        if error > 0:
            p_below = float(stats.t.sf((mean + margin) / error, n - 1))
            p_above = float(stats.t.cdf((mean - margin) / error, n - 1))
            p = max(p_below, p_above)
        else:
            p = 0.0 if abs(mean) < margin else 1.0
    return Equivalence(n, mean - reach, mean + reach, p)
