"""One paragraph that says what was found, for people who do not read tables.

It never takes a large p for sameness: what no test has shown is called open.
"""

from __future__ import annotations

import math

from drummix.listening.statistics.analysis import Analysis, Pair, Verdict
from drummix.listening.statistics.power import Power
from drummix.listening.statistics.scores import Scores

_MAX_PAIRS_TOLD = 4


def conclusion(analysis: Analysis) -> str:
    """The paragraph."""
    sentences = [_who(analysis)]
    if analysis.n_simulated:
        sentences.insert(0, "These ratings are simulated: nobody has listened.")
    if analysis.scores is None:
        sentences.append("Screening left nothing to compare.")
        return " ".join(sentences)
    sentences += _overall(analysis, analysis.scores)
    sentences += _counts(analysis)
    sentences += [_pair_sentence(pair, analysis) for pair in _telling_pairs(analysis)]
    sentences += _next_study(analysis.power)
    return " ".join(sentences)


def _who(analysis: Analysis) -> str:
    screened, scores = analysis.screened, analysis.scores or analysis.all_scores
    n_out = len(screened.excluded)
    left_out = f", after {_n(n_out, 'listener')} were left out by the declared rules"
    if n_out == 1:
        left_out = ", after 1 listener was left out by the declared rules"
    return (
        f"{_n(len(scores.listeners), 'listener')} rated {_n(len(scores.systems), 'system')} on "
        f"{_n(len(scores.items), 'item')}{left_out if n_out else ''}."
    )


def _overall(analysis: Analysis, scores: Scores) -> list[str]:
    found = analysis.friedman
    if isinstance(found, str):
        return [f"No test over all systems was made: {found}."]
    p = f"Friedman's test on the listeners' means, p {p_text(found.p)}"
    if found.p >= analysis.declared.alpha:
        return [
            f"Over all systems no difference was shown ({p}); that is no evidence that there is "
            "none."
        ]
    means = scores.listener_means().mean(axis=0)
    best, worst = int(means.argmax()), int(means.argmin())
    return [
        f"The systems are not all rated alike ({p}): the highest mean is {means[best]:.0f} "
        f"({scores.systems[best]}), the lowest {means[worst]:.0f} ({scores.systems[worst]})."
    ]


def _counts(analysis: Analysis) -> list[str]:
    pairs = analysis.pairs
    n_different = sum(pair.verdict.is_different for pair in pairs)
    n_same = sum(pair.verdict.is_within_margin for pair in pairs)
    n_open = sum(pair.verdict is Verdict.OPEN for pair in pairs)
    margin = analysis.declared.equivalence_margin
    sentence = f"Of {_n(len(pairs), 'pair')}, {n_different} are shown to differ"
    if margin is not None:
        sentence += f", {n_same} to be the same within the declared {margin:g} points"
    sentence += f", and {n_open} remain open: neither was shown."
    if margin is None and n_open:
        sentence += (
            " No margin was declared beforehand, so this study cannot show that systems are the "
            "same."
        )
    return [sentence]


def _telling_pairs(analysis: Analysis) -> list[Pair]:
    """Tested systems against references where there are both; else all pairs, if they are few."""
    scores = analysis.scores
    assert scores is not None
    role = dict(zip(scores.systems, scores.roles, strict=True))
    telling = [pair for pair in analysis.pairs if {role[pair.first], role[pair.second]} == _FACED]
    telling = telling or list(analysis.pairs)
    # The closest are what such a study is about.
    telling.sort(key=lambda pair: abs(pair.difference.value))
    return [pair for pair in telling if pair.n_listeners][:_MAX_PAIRS_TOLD]


_FACED = {"test", "reference"}


def _pair_sentence(pair: Pair, analysis: Analysis) -> str:
    found = pair.difference
    interval = ""
    if math.isfinite(found.low):
        interval = f" (95% interval {_signed(found.low)} to {_signed(found.high)})"
    margin = analysis.declared.equivalence_margin
    said = {
        Verdict.DIFFERENT: "a difference is shown",
        Verdict.DIFFERENT_WITHIN_MARGIN: (
            f"a difference is shown, and that it is smaller than {margin or 0:g} points"
        ),
        Verdict.SAME_WITHIN_MARGIN: f"they are shown to be the same within {margin or 0:g} points",
        Verdict.OPEN: "whether they differ remains open",
    }[pair.verdict]
    return f"{pair.first} minus {pair.second}: {_signed(found.value)} points{interval}; {said}."


def _signed(points: float) -> str:
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(points, 1) + 0.0:+.1f}"


def _next_study(power: Power | str) -> list[str]:
    if isinstance(power, str):
        return []
    sentences = []
    for difference, values in power.differences.items():
        if difference != 5.0:
            continue
        n_listeners = power.enough_for(values)
        n_text = f"about {n_listeners}" if n_listeners else f"more than {power.listeners[-1]}"
        sentences.append(
            f"To find a difference of {difference:g} points between two of them four times in "
            f"five, the next study of this kind needs {n_text} listeners."
        )
    return sentences


def p_text(p: float) -> str:
    """A p to read in a sentence.

    >>> p_text(0.034), p_text(0.00001), p_text(float("nan"))
    ('= 0.034', '< 0.0001', 'unknown')
    """
    if math.isnan(p):
        return "unknown"
    return "< 0.0001" if p < 0.0001 else f"= {p:.2g}"


def _n(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
