"""A mixed model with listeners and items crossed: what holds for other listeners and other items.

    score = system + listener + item + listener:system + item:system + listener:item + rest

All but `system` is random. `listener:system` is taste: a listener likes one system more than
others do. `item:system` is how a system fares on an item, `listener:item` one page of one
listener. With repeats, the rest is what a listener does differently the second time.

Variance components are those of REML; the test of the systems is a quasi-F with Satterthwaite's
degrees of freedom.

Source: Clark, J. Verbal Learn. Verbal Behav. 12(4), 1973.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize, stats

from drummix.listening.statistics.scores import FloatArray, IntArray, Scores

MIN_LISTENERS = 5
MIN_ITEMS = 3
# A matrix of this size is solved some fifty times: about a minute at the limit.
MAX_EFFECTS = 3_000


@dataclass(frozen=True)
class MixedModel:
    """What the model found.

    Args:
        systems: The systems, in the order of `means`.
        means: Mean score of each system.
        errors: Standard error of each mean, for other listeners and items.
        components: Random effect -> its standard deviation, in points.
        f: Quasi-F of the systems.
        df: Its degrees of freedom, above and below.
        p: Its p.
        difference_error: Standard error of a difference of two systems, the mean over pairs.
        converged: Whether the fit came to an end.
    """

    systems: tuple[str, ...]
    means: FloatArray
    errors: FloatArray
    components: dict[str, float]
    f: float
    df: tuple[int, float]
    p: float
    difference_error: float
    converged: bool


def fit_mixed_model(scores: Scores) -> MixedModel | str:
    """Fit the model to every rating.

    Returns:
        The model, or why there is none.
    """
    n_listeners, n_items = len(scores.listeners), len(scores.items)
    if n_listeners < MIN_LISTENERS or n_items < MIN_ITEMS:
        return (
            f"the mixed model needs {MIN_LISTENERS} listeners and {MIN_ITEMS} items, to tell their "
            f"variances apart; there are {n_listeners} and {n_items}"
        )
    groups = _groups(scores)
    n_effects = sum(np.unique(group).size for group in groups.values())
    if n_effects > MAX_EFFECTS:
        return (
            f"the mixed model takes up to {MAX_EFFECTS} effects; {n_listeners} listeners, "
            f"{n_items} items and {len(scores.systems)} systems make {n_effects}"
        )
    if np.ptp(scores.score) == 0:
        return "the mixed model has no variance to share out: all scores are alike"
    dummies = _indicators(scores.system)
    covariance, means, variances, converged = _fit(scores.score, dummies, groups)
    df = _difference_df(scores, variances)
    contrasts = np.eye(len(scores.systems))[1:] - np.eye(len(scores.systems))[:1]
    spread = contrasts @ covariance @ contrasts.T
    effect = contrasts @ means
    f = float(effect @ np.linalg.solve(spread, effect)) / effect.size
    errors_of_pairs = [
        math.sqrt(covariance[a, a] + covariance[b, b] - 2 * covariance[a, b])
        for a, b in scores.pairs
    ]
    return MixedModel(
        systems=scores.systems,
        means=means,
        errors=np.sqrt(np.diag(covariance)),
        components={name: math.sqrt(value) for name, value in variances.items()},
        f=f,
        df=(effect.size, df),
        p=float(stats.f.sf(f, effect.size, df)),
        difference_error=float(np.mean(errors_of_pairs)),
        converged=converged,
    )


def _groups(scores: Scores) -> dict[str, IntArray]:
    n_items, n_systems = len(scores.items), len(scores.systems)
    return {
        "listener": scores.listener,
        "item": scores.item,
        "listener:system": scores.listener * n_systems + scores.system,
        "item:system": scores.item * n_systems + scores.system,
        "listener:item": scores.listener * n_items + scores.item,
    }


def _fit(
    score: FloatArray, dummies: FloatArray, groups: dict[str, IntArray]
) -> tuple[FloatArray, FloatArray, dict[str, float], bool]:
    """Covariance of the means, means, variance of each effect and of the rest, converged."""
    likelihood = _Likelihood(score, dummies, list(groups.values()))
    found = optimize.minimize(
        likelihood.value_and_slope,
        np.full(len(groups), 0.3),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1e4)] * len(groups),
        options={"maxiter": 300, "ftol": 1e-11, "gtol": 1e-5},
    )
    means, covariance, rest = likelihood.means(found.x)
    variances = dict(zip(groups, (rest * found.x).tolist(), strict=True))
    return covariance, means, {**variances, "rest": rest}, bool(found.success)


class _Likelihood:
    """Restricted likelihood of variance ratios, from cross-products alone.

    With H = I + Z diag(ratios) Z', minus twice the log of it is
    (N - p) log s2 + log |H| + log |X'H^-1 X| and a constant, s2 the residual variance. H is never
    made: by Woodbury's identity everything follows from a matrix of the size of the effects, so
    that more ratings cost nothing once they are summed up.

    Source: Harville, J. Am. Stat. Assoc. 72(358), 1977.
    """

    def __init__(self, y: FloatArray, x: FloatArray, groups: Sequence[IntArray]) -> None:
        matrices = [_indicators(group) for group in groups]
        z = np.hstack(matrices)
        sizes = [matrix.shape[1] for matrix in matrices]
        self._block = np.repeat(np.arange(len(matrices)), sizes)
        self._starts = np.cumsum([0, *sizes[:-1]])
        self._zz, self._zx, self._zy = z.T @ z, z.T @ x, z.T @ y
        self._xx, self._xy, self._yy = x.T @ x, x.T @ y, float(y @ y)
        self._n_free = y.size - x.shape[1]

    def value_and_slope(self, ratios: FloatArray) -> tuple[float, FloatArray]:
        """Minus twice the log likelihood, and its slope in each ratio."""
        inner, root_zz, root_zx, root_zy = self._roots(ratios)
        means, outer, rest = self._solved(root_zx, root_zy)
        value = self._n_free * math.log(rest) + 2.0 * (
            np.log(np.diag(inner)).sum() + np.log(np.diag(outer)).sum()
        )
        zhx = self._zx - root_zz.T @ root_zx
        zpy = self._zy - root_zz.T @ root_zy - zhx @ means
        trace = np.diag(self._zz) - (root_zz**2).sum(axis=0)
        trace -= (linalg.solve_triangular(outer, zhx.T, lower=True) ** 2).sum(axis=0)
        slope = np.add.reduceat(trace - zpy**2 / rest, self._starts)
        return value, slope

    def means(self, ratios: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        """Means of the systems, their covariance, and the residual variance."""
        _, _, root_zx, root_zy = self._roots(ratios)
        means, outer, rest = self._solved(root_zx, root_zy)
        return means, rest * linalg.cho_solve((outer, True), np.eye(means.size)), rest

    def _roots(self, ratios: FloatArray) -> tuple[FloatArray, ...]:
        weight = np.sqrt(np.maximum(ratios, 0.0))[self._block]
        inner = weight[:, np.newaxis] * self._zz * weight
        inner[np.diag_indices_from(inner)] += 1.0
        lower = linalg.cholesky(inner, lower=True)
        right = weight[:, np.newaxis] * np.column_stack([self._zz, self._zx, self._zy])
        root = linalg.solve_triangular(lower, right, lower=True)
        q = weight.size
        return lower, root[:, :q], root[:, q:-1], root[:, -1]

    def _solved(
        self, root_zx: FloatArray, root_zy: FloatArray
    ) -> tuple[FloatArray, FloatArray, float]:
        """Means, Cholesky factor of X'H^-1 X, and the residual variance."""
        outer = linalg.cholesky(self._xx - root_zx.T @ root_zx, lower=True)
        xhy = self._xy - root_zx.T @ root_zy
        means = linalg.cho_solve((outer, True), xhy)
        rest = (self._yy - root_zy @ root_zy - xhy @ means) / self._n_free
        # Ratings without any rest, as made up ones can be, leave rounding here.
        return means, outer, max(float(rest), 1e-9)


def _difference_df(scores: Scores, variances: dict[str, float]) -> float:
    """Satterthwaite's degrees of freedom of half the variance of a difference of two means.

    In a balanced design that is the sum of three mean squares with known degrees of freedom:
    tastes + items - rest. Here each mean square is put together from the fitted components.
    """
    n_listeners, n_items = len(scores.listeners), len(scores.items)
    n_systems = len(scores.systems)
    n_repeats = scores.score.size / (n_listeners * n_items * n_systems)
    rest = variances["rest"] / n_repeats
    n_cells = n_listeners * n_items
    squares = (
        (n_items * variances["listener:system"] + rest, (n_listeners - 1) * (n_systems - 1)),
        (n_listeners * variances["item:system"] + rest, (n_items - 1) * (n_systems - 1)),
        (-rest, (n_listeners - 1) * (n_items - 1) * (n_systems - 1)),
    )
    total = sum(square for square, _ in squares) / n_cells
    below = sum((square / n_cells) ** 2 / df for square, df in squares)
    return total**2 / below


def _indicators(group: IntArray) -> FloatArray:
    _, column = np.unique(group, return_inverse=True)
    matrix = np.zeros((group.size, int(column.max()) + 1))
    matrix[np.arange(group.size), column] = 1.0
    return matrix
