"""Screening by declared rules: who is left out, by which rule, and what nobody could check."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drummix.listening.results import Rating
from drummix.listening.screening import Screening
from drummix.listening.statistics.declared import Declared

Sessions = Mapping[str, Sequence[Rating]]
# A state that says nothing about whether the listener came to the end.
_OPEN_ENDED = ("imported", "simulated")


@dataclass(frozen=True)
class RuleCount:
    """What one rule did.

    Args:
        rule: The rule, in words.
        n_checked: Listeners of whom the ratings tell what the rule asks.
        excluded: Listeners it leaves out.
    """

    rule: str
    n_checked: int
    excluded: tuple[str, ...]


@dataclass(frozen=True)
class Screened:
    """The ratings that are analysed, and what became of the others.

    Args:
        ratings: Ratings of submitted test pages by the listeners who are left.
        all_ratings: The same by all listeners: what the paper's own statistics take.
        n_rows: Rows of the table.
        n_training: Rows of training pages.
        n_open: Rows of pages that were not submitted.
        n_unscored: Rows of submitted pages with sliders that were not moved.
        rules: What each declared rule did.
        listeners: All listeners with a rating.
        excluded: Listeners whom one rule or more leaves out.
    """

    ratings: tuple[Rating, ...]
    all_ratings: tuple[Rating, ...]
    n_rows: int
    n_training: int
    n_open: int
    n_unscored: int
    rules: tuple[RuleCount, ...]
    listeners: tuple[str, ...]
    excluded: tuple[str, ...]


def screen(ratings: Sequence[Rating], declared: Declared) -> Screened:
    """Apply the declared rules; every rule sees every listener."""
    training = [row for row in ratings if row.page == 0]
    is_open = [row for row in ratings if row.page and row.state == "open"]
    submitted = [row for row in ratings if row.page and row.state != "open"]
    scored = tuple(row for row in submitted if row.score is not None)
    by_listener: dict[str, list[Rating]] = defaultdict(list)
    for row in ratings:
        if row.page:
            by_listener[row.listener].append(row)
    rules = tuple(_rule_counts(by_listener, declared.screening, declared.answers))
    excluded = {name for rule in rules for name in rule.excluded}
    return Screened(
        ratings=tuple(row for row in scored if row.listener not in excluded),
        all_ratings=scored,
        n_rows=len(ratings),
        n_training=len(training),
        n_open=len(is_open),
        n_unscored=len(submitted) - len(scored),
        rules=rules,
        listeners=tuple(sorted(by_listener)),
        excluded=tuple(sorted(excluded)),
    )


def _rule_counts(
    sessions: Sessions, rules: Screening, answers: Mapping[str, Mapping[str, Any]]
) -> Iterable[RuleCount]:
    if rules.require_finished:
        yield _count("did not come to the end", sessions, _unfinished, 0.5)
    limits: list[tuple[str, Callable[[Sequence[Rating]], float], float | None]] = [
        (
            "gave the anchor as much as the best reference on more than {:.0%} of the pages",
            _anchor_share,
            rules.max_anchor_share,
        ),
        (
            "repeated ratings differ by more than {:g} points in the mean",
            _repeat_difference,
            rules.max_repeat_difference,
        ),
        ("moved the volume by more than {:g} dB", _volume_change_db, rules.max_volume_change_db),
        ("spent less than {:g} s on a page in the median", _page_s, rules.min_page_s),
        ("heard less than {:g} s of a mix in the median", _listen_s, rules.min_listen_s),
    ]
    for words, measure, limit in limits:
        if limit is not None:
            is_least = words.startswith(("spent", "heard"))
            yield _count(words.format(limit), sessions, measure, limit, is_least=is_least)
    for question, refused in rules.exclude_answers.items():
        given = {
            name: answers[name][question] for name in sessions if question in _of(answers, name)
        }
        yield RuleCount(
            f"answered {question!r} with {' or '.join(refused)}",
            len(given),
            tuple(sorted(name for name, answer in given.items() if str(answer) in refused)),
        )


def _of(answers: Mapping[str, Mapping[str, Any]], listener: str) -> Mapping[str, Any]:
    found = answers.get(listener, {})
    return found if isinstance(found, Mapping) else {}


def _count(
    rule: str,
    sessions: Sessions,
    measure: Callable[[Sequence[Rating]], float],
    limit: float,
    *,
    is_least: bool = False,
) -> RuleCount:
    values = {name: measure(rows) for name, rows in sessions.items()}
    known = {name: value for name, value in values.items() if not math.isnan(value)}
    out = [name for name, v in known.items() if (v < limit if is_least else v > limit)]
    return RuleCount(rule, len(known), tuple(sorted(out)))


def _unfinished(rows: Sequence[Rating]) -> float:
    if all(row.state in _OPEN_ENDED for row in rows):
        return math.nan
    return float(any(row.state in ("open", "submitted") for row in rows))


def _anchor_share(rows: Sequence[Rating]) -> float:
    best: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row.score is not None:
            page = best[row.item, row.repeat]
            page[row.role] = max(row.score, page.get(row.role, -1.0))
    pages = [page for page in best.values() if "anchor" in page and "reference" in page]
    if not pages:
        return math.nan
    return sum(page["anchor"] >= page["reference"] for page in pages) / len(pages)


def _repeat_difference(rows: Sequence[Rating]) -> float:
    scores = {(row.item, row.system, row.repeat): row.score for row in rows}
    differences = []
    for (item, system, repeat), second in scores.items():
        first = scores.get((item, system, 0))
        if repeat == 1 and first is not None and second is not None:
            differences.append(abs(second - first))
    return statistics.fmean(differences) if differences else math.nan


def _volume_change_db(rows: Sequence[Rating]) -> float:
    known = [row.volume_db for row in rows if not math.isnan(row.volume_db)]
    return max(known) - min(known) if known else math.nan


def _page_s(rows: Sequence[Rating]) -> float:
    pages = {row.page: row.page_s for row in rows if not math.isnan(row.page_s)}
    return statistics.median(pages.values()) if pages else math.nan


def _listen_s(rows: Sequence[Rating]) -> float:
    known = [row.listen_s for row in rows if not math.isnan(row.listen_s)]
    return statistics.median(known) if known else math.nan
