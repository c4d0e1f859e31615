"""The tables of a report, and everything as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from drummix.listening.report_page import Table
from drummix.listening.statistics.analysis import Analysis
from drummix.listening.statistics.conclusion import conclusion
from drummix.listening.statistics.mixed import MixedModel
from drummix.listening.statistics.paired import Interval
from drummix.listening.statistics.power import Power
from drummix.listening.statistics.published import BETWEEN, Published
from drummix.listening.statistics.reliability import Reliability

_EFFECTS = {
    "listener": "listener: rates high or low in general",
    "item": "item: is liked or not",
    "listener:system": "listener x system: taste",
    "item:system": "item x system",
    "listener:item": "listener x item: the page",
    "rest": "rest: chance, and the listener's own error",
}


def heard_table(analysis: Analysis) -> Table:
    """How many rows there are, and where they went."""
    screened = analysis.screened
    rows = [
        ("rows in the table", str(screened.n_rows)),
        ("of training pages, left out", str(screened.n_training)),
        ("of pages not submitted, left out", str(screened.n_open)),
        ("sliders not moved, left out", str(screened.n_unscored)),
        ("listeners", str(len(screened.listeners))),
        ("listeners left out by declared rules", str(len(screened.excluded))),
        ("ratings analysed", str(len(screened.ratings))),
    ]
    if analysis.n_simulated:
        rows.insert(1, ("SIMULATED rows", str(analysis.n_simulated)))
    return Table(("", "number"), tuple(rows))


def rule_table(analysis: Analysis) -> Table:
    """What each screening rule did."""
    rows = tuple(
        (rule.rule, str(rule.n_checked), str(len(rule.excluded)), _names(rule.excluded))
        for rule in analysis.screened.rules
    )
    caption = (
        "A listener can break several rules. Checked: listeners whose ratings tell what the rule "
        "asks."
    )
    return Table(("rule", "checked", "left out", "who"), rows, caption)


def means_table(analysis: Analysis) -> Table:
    """Each system after screening."""
    scores, model = analysis.scores, analysis.mixed
    assert scores is not None
    rows = []
    for number, name in enumerate(scores.systems):
        group = scores.score[scores.system == number]
        q1, median, q3 = np.quantile(group, [0.25, 0.5, 0.75])
        cells = [name, scores.roles[number], str(group.size), f"{median:.1f}"]
        cells += [f"{q1:.1f} to {q3:.1f}", f"{group.mean():.1f}"]
        if not isinstance(model, str):
            cells.append(f"{model.means[number]:.1f} ± {model.errors[number]:.1f}")
        rows.append(tuple(cells))
    heading = ["system", "role", "ratings", "median", "IQR", "mean"]
    if not isinstance(model, str):
        heading.append("mixed model")
    return Table(
        tuple(heading), tuple(rows), "Mixed model: mean and standard error for other listeners."
    )


def component_table(model: MixedModel) -> Table:
    """What moves a score."""
    rows = tuple((_EFFECTS[name], f"{sd:.1f}") for name, sd in model.components.items())
    return Table(("what moves a score", "SD, points"), rows)


def pair_table(analysis: Analysis) -> Table:
    """Paired tests and effect sizes."""
    rows = tuple(
        (
            f"{pair.first} - {pair.second}",
            str(pair.n_listeners),
            _interval(pair.difference, 1),
            _interval(pair.d_z, 2),
            _interval(pair.superiority, 2),
            _p(pair.p),
            _p(pair.p_holm),
            "yes" if pair.verdict.is_different else "not shown",
        )
        for pair in analysis.pairs
    )
    heading = (
        "pair",
        "listeners",
        "first minus second, points [95%]",
        "d_z [95%]",
        "scored higher [95%]",
        "p",
        "p, Holm",
        "differ?",
    )
    caption = (
        "p: paired permutation test on the listeners' mean differences. d_z: difference in "
        "standard deviations between listeners. Scored higher: share of pages, ties half. "
        "'Not shown' does not mean that there is none."
    )
    return Table(heading, rows, caption)


def equivalence_table(analysis: Analysis) -> Table:
    """Equivalence tests."""
    rows = tuple(
        (
            f"{pair.first} - {pair.second}",
            f"{_number(pair.equivalence.low, 1)} to {_number(pair.equivalence.high, 1)}",
            _p(pair.equivalence.p),
            _p(pair.p_equivalence_holm),
            "yes" if pair.verdict.is_within_margin else "not shown",
        )
        for pair in analysis.pairs
    )
    level = f"{1 - 2 * analysis.declared.alpha:.0%}"
    return Table(("pair", f"{level} interval", "p", "p, Holm", "same within the margin?"), rows)


def power_table(power: Power) -> Table:
    """Power by number of listeners."""
    heading = ["listeners", *(f"{difference:g} points apart" for difference in power.differences)]
    columns = list(power.differences.values())
    if power.equivalence:
        heading.append(f"equal, shown within {power.margin:g}")
        columns.append(power.equivalence)
    rows = [
        (str(n), *(f"{values[row]:.0%}" for values in columns))
        for row, n in enumerate(power.listeners)
    ]
    enough = [power.enough_for(values) for values in columns]
    rows.append(("for 80%", *(str(n) if n else f"> {power.listeners[-1]}" for n in enough)))
    caption = (
        f"With {power.n_items} items a listener and {power.n_pairs} pairs, each difference and "
        f"each sameness at the level {power.alpha / power.n_pairs:.2g}: that of the first step of "
        "the correction for all pairs."
    )
    return Table(tuple(heading), tuple(rows), caption)


def reliability_paragraph(found: Reliability) -> str:
    """What repeats tell."""
    return (
        f"{found.n_pairs} ratings were given twice, by {found.n_listeners} listeners. ICC(A,1) "
        f"{found.icc.value:.2f} (95% interval {found.icc.low:.2f} to {found.icc.high:.2f}), "
        f"test-retest correlation {_number(found.correlation, 2)}. A single rating strays from "
        f"what the listener means by {found.error_sd:.1f} points (SD); the second rating was "
        f"{abs(found.mean_shift):.1f} points {'higher' if found.mean_shift >= 0 else 'lower'}."
    )


def published_table(found: Published) -> Table:
    """The paper's table 3, and what describes each system."""
    rows = tuple(
        (
            row.system,
            str(row.n),
            _p(row.p),
            _number(row.w, 3),
            _number(row.median, 1),
            f"{_number(row.q1, 1)} to {_number(row.q3, 1)}",
            _number(row.mean, 1),
            _number(row.sd, 1),
        )
        for row in found.normality
    )
    caption = (
        "Shapiro-Wilk asks whether scores are normally distributed; it says nothing of their "
        "variances."
    )
    return Table(("mix", "n", "p", "W", "median", "IQR", "mean", "SD"), rows, caption)


def published_pair_table(analysis: Analysis) -> Table:
    """The paper's table 4."""
    systems = analysis.all_scores.systems
    sign = {frozenset((p.first, p.second)): p.symbol for p in analysis.published.pairs}
    rows = tuple(
        (row, *("." if row == column else sign[frozenset((row, column))] for column in systems))
        for row in systems
    )
    caption = (
        "o p >= .05, * < .01, *** < .0001, . no comparison, as in the paper; its legend has no "
        f"sign for p from .01 to .05, written {BETWEEN} here."
    )
    return Table(("mix", *systems), rows, caption)


def to_mapping(analysis: Analysis) -> dict[str, Any]:
    """Everything as plain data that JSON can hold; None for what has no value."""
    plain: dict[str, Any] = {
        "studies": list(analysis.studies),
        "simulated_rows": analysis.n_simulated,
        "summary": conclusion(analysis),
        "declared": {
            "source": analysis.declared.source,
            "is_changed_by_options": analysis.declared.is_changed_by_options,
            "screening": analysis.declared.screening.to_mapping(),
            "equivalence_margin": analysis.declared.equivalence_margin,
            "alpha": analysis.declared.alpha,
        },
        "screening": {
            "rows": analysis.screened.n_rows,
            "training_rows": analysis.screened.n_training,
            "open_rows": analysis.screened.n_open,
            "unscored_rows": analysis.screened.n_unscored,
            "ratings": len(analysis.screened.ratings),
            "listeners": list(analysis.screened.listeners),
            "excluded": list(analysis.screened.excluded),
            "rules": _plain(analysis.screened.rules),
        },
        "notes": list(analysis.notes),
    }
    for name in ("published", "friedman", "pairs", "mixed", "reliability", "power"):
        plain[name] = _plain(getattr(analysis, name))
    return plain


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value


def _names(names: tuple[str, ...], n: int = 6) -> str:
    shown = ", ".join(names[:n])
    return f"{shown} and {len(names) - n} more" if len(names) > n else shown


def _number(value: float, digits: int) -> str:
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(value, digits) + 0.0:.{digits}f}" if math.isfinite(value) else "-"


def _interval(found: Interval, digits: int) -> str:
    if not math.isfinite(found.low):
        return _number(found.value, digits)
    low, high = _number(found.low, digits), _number(found.high, digits)
    return f"{_number(found.value, digits)} [{low}, {high}]"


def _p(p: float) -> str:
    if math.isnan(p):
        return "-"
    return f"{p:.2e}" if p < 0.001 else f"{p:.3f}"
