"""The report of a listening test: what is in it, and the files it is written to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from drummix.audio import atomic_path, make_folder
from drummix.listening.characters import count_unstorable
from drummix.listening.ratings import read_ratings_csv, read_text
from drummix.listening.report_page import Picture, Report, Section, Table, to_html, to_markdown
from drummix.listening.report_tables import (
    component_table,
    equivalence_table,
    heard_table,
    means_table,
    pair_table,
    power_table,
    published_pair_table,
    published_table,
    reliability_paragraph,
    rule_table,
    to_mapping,
)
from drummix.listening.statistics.analysis import Analysis, analyse
from drummix.listening.statistics.conclusion import conclusion, p_text
from drummix.listening.statistics.declared import Declared, declared_beside, read_declared
from drummix.notices import Code, Notice

_CAPTIONS = {
    "violins": (
        "As the paper's Fig. 3: how often each score was given; bar: quartiles, circle: median."
    ),
    "listeners": "A line a listener: lines that cross are tastes that differ.",
    "differences": "Mean difference of each pair with its 95% cluster-bootstrap interval.",
    "repeats": "First against second rating of the same mix by the same listener.",
    "power": "Share of simulated studies that find what is there, by number of listeners.",
}


def write_report(
    ratings: Path,
    folder: Path,
    rng: np.random.Generator,
    *,
    rules: Path | None = None,
    margin: float | None = None,
    alpha: float | None = None,
) -> Analysis:
    """Analyse a tidy table and write `report.html`, `report.md`, figures and `results.json`.

    Args:
        ratings: The tidy table.
        folder: Where the report goes; made if it is not there.
        rng: Draws everything random.
        rules: What was declared beforehand; if None, `NAME.study.json` or `.toml` beside
            `NAME.csv`, where there is one.
        margin: Equivalence margin in points, in place of the declared one.
        alpha: Level of all tests together, in place of the declared one.

    Returns:
        What was found.

    Raises:
        SettingError: If the ratings or the rules are damaged, or there is nothing to compare.
        OutputError: If the folder cannot be written.
    """
    rows = read_ratings_csv(ratings)
    place = rules or declared_beside(ratings)
    declared = (Declared() if place is None else read_declared(place)).with_options(
        margin=margin, alpha=alpha
    )
    make_folder(folder)
    analysis = analyse(rows, declared, rng)
    if n_replaced := count_unstorable(read_text(ratings, may_hold_zeros=True)):
        notice = Notice.of(Code.CHARACTERS_REPLACED, ratings.name, n_characters=n_replaced)
        analysis = replace(analysis, notes=(*analysis.notes, notice.sentence()))
    from drummix.listening.figures import draw_figures, rendered  # loads matplotlib

    figures = draw_figures(analysis)
    report = report_of(analysis)
    inline = {name: rendered(figure, "svg").decode() for name, figure in figures.items()}
    for name, figure in figures.items():
        _write(folder / f"{name}.png", rendered(figure, "png"))
        _write(folder / f"{name}.pdf", rendered(figure, "pdf"))
    names = {name: f"{name}.png" for name in figures}
    _write(folder / "report.html", to_html(report, inline).encode())
    _write(folder / "report.md", to_markdown(report, names).encode())
    _write(folder / "results.json", json.dumps(to_mapping(analysis), indent=2).encode())
    return analysis


def report_of(analysis: Analysis) -> Report:
    """What the report says."""
    warning = ""
    if analysis.n_simulated:
        share = "All" if analysis.n_simulated == analysis.screened.n_rows else "Some"
        warning = (
            f"SIMULATED RATINGS. {share} of these ratings ({analysis.n_simulated} of "
            f"{analysis.screened.n_rows}) were made by a program. Nobody has listened; nothing "
            "here is a result."
        )
    return Report(
        title=f"Listening test: {', '.join(analysis.studies)}",
        warning=warning,
        summary=conclusion(analysis),
        sections=(
            _heard(analysis),
            *_as_it_should_be(analysis),
            *_as_published(analysis),
            _how(analysis),
        ),
    )


def _heard(analysis: Analysis) -> Section:
    declared = analysis.declared
    if declared.is_changed_by_options:
        place = f"{declared.source}, changed by options" if declared.source else "options"
        source = (
            f"Rules, margin and level come from: {place}. What is given as an option may "
            "have been chosen after the ratings were seen; only what was declared before counts."
        )
    elif declared.source:
        source = f"Declared beforehand in: {declared.source}."
    else:
        source = (
            "No screening rules, margin or level were declared beforehand: nobody is left out, "
            "and the level is 0.05."
        )
    blocks: list[str | Table | Picture] = [heard_table(analysis), source]
    if analysis.screened.rules:
        blocks.append(rule_table(analysis))
    if analysis.notes:
        blocks.append("What could not be done, or must be known:")
        blocks += [f"{note[0].upper()}{note[1:]}." for note in analysis.notes]
    return Section("Who and what was heard", tuple(blocks))


def _as_it_should_be(analysis: Analysis) -> list[Section]:
    sections = [
        Section(
            "With the listener as what was sampled",
            (
                "Scores of one listener are alike, so everything here is computed from one value a "
                "listener, or with the listener as a random effect. p are corrected by Holm's "
                "method over all pairs.",
            ),
        ),
        Section("All systems", tuple(_overall(analysis)), level=3),
    ]
    if analysis.pairs:
        pairs: list[str | Table | Picture] = [
            Picture("differences", _CAPTIONS["differences"]),
            pair_table(analysis),
        ]
        sections.append(Section("Pairs: is there a difference, and how large?", tuple(pairs), 3))
        sections.append(
            Section("Pairs: are they the same?", tuple(_same(analysis)), level=3),
        )
    if not isinstance(analysis.reliability, str):
        repeats = (
            Picture("repeats", _CAPTIONS["repeats"]),
            reliability_paragraph(analysis.reliability),
        )
        sections.append(Section("How well listeners repeat themselves", repeats, 3))
    if not isinstance(analysis.power, str):
        power = (Picture("power", _CAPTIONS["power"]), power_table(analysis.power))
        sections.append(Section("The next study", power, 3))
    return sections


def _overall(analysis: Analysis) -> list[str | Table | Picture]:
    blocks: list[str | Table | Picture] = []
    if analysis.scores is not None:
        blocks += [Picture("listeners", _CAPTIONS["listeners"]), means_table(analysis)]
    found = analysis.friedman
    if not isinstance(found, str):
        blocks.append(
            f"Friedman's test on the means of {found.n_listeners} listeners: chi-square "
            f"{found.statistic:.2f}, df {found.df}, p {p_text(found.p)}; Kendall's W, the "
            f"agreement of their rankings, {found.kendall_w:.2f}. It holds for these items."
        )
    model = analysis.mixed
    if not isinstance(model, str):
        blocks.append(
            f"Mixed model, for other listeners and other items too: quasi-F({model.df[0]}, "
            f"{model.df[1]:.1f}) = {model.f:.2f}, p {p_text(model.p)}. Standard error of a "
            f"difference of two systems: {model.difference_error:.2f} points."
        )
        if not model.converged:
            blocks.append("The fit of the mixed model did not come to an end; mistrust it.")
        blocks.append(component_table(model))
    return blocks


def _same(analysis: Analysis) -> list[str | Table | Picture]:
    margin = analysis.declared.equivalence_margin
    if margin is None:
        return [
            "No margin was declared beforehand, so no test can show that two systems are the same. "
            "A large p in the table above does not: a small or noisy study finds nothing either."
        ]
    return [
        f"Two one-sided tests against the declared margin of {margin:g} points. The margin holds "
        "where the interval lies within it.",
        equivalence_table(analysis),
    ]


def _as_published(analysis: Analysis) -> list[Section]:
    found = analysis.published
    h = "no difference to test" if np.isnan(found.h) else f"H = {found.h:.2f}, df {found.df}"
    return [
        Section(
            "As published: every rating as if independent",
            (
                "The paper's own statistics, to compare with its tables. They take all listeners, "
                "first ratings only, and treat the ratings of one listener as if each came from "
                "another. Where listeners differ in taste, they find differences that are not "
                "there: do not conclude from them.",
            ),
        ),
        Section(
            "Table 3: Shapiro-Wilk",
            (Picture("violins", _CAPTIONS["violins"]), published_table(found)),
            level=3,
        ),
        Section("Kruskal-Wallis", (f"{h}, p {p_text(found.p)}.",), level=3),
        Section("Table 4: Mann-Whitney, Bonferroni", (published_pair_table(analysis),), level=3),
    ]


def _how(analysis: Analysis) -> Section:
    return Section(
        "How it was computed",
        (
            "Paired permutation test: signs of the listeners' mean differences flipped, all "
            "patterns up to 14 listeners, else 20,000. Intervals: whole listeners resampled 4,000 "
            "times, expanded percentiles. Equivalence: two one-sided paired t-tests. Mixed model: "
            "listeners and items crossed and random, with tastes (listener by system), items by "
            "system and pages; REML; Satterthwaite's degrees of freedom. Power: 1,000 simulated "
            "studies a point with the variances of the mixed model, at the level of Holm's first "
            "step.",
        ),
    )


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
