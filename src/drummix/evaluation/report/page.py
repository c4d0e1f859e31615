"""The page: one HTML file that holds everything, the sound included, and needs no server.

In: the tables, the charts, the excerpts. Out: HTML text.
"""

from __future__ import annotations

import base64
import html
import importlib.resources
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from drummix.audio import Audio
from drummix.audio.encoding import encode_opus
from drummix.corpus.manifest import TARGETS, Target
from drummix.evaluation.measuring import METRICS
from drummix.evaluation.report.charts import distribution_chart
from drummix.evaluation.report.excerpts import ONSET_S, Excerpt
from drummix.evaluation.systems import mix_name, targets_of
from drummix.evaluation.table import LEADING, EvaluationTable, Grid, print_number
from drummix.notices import Notice
from drummix.notices.wording import lines


@dataclass(frozen=True)
class PageText:
    """What stands on the page beside the figures.

    Args:
        title: Heading.
        facts: Name -> text: corpus, items, machine and the like.
        grids: Tables, the most important first.
        notices: What a reader should know.
        figures: Caption -> PNG file.
        sound: How the sound on the page was made.
    """

    title: str
    facts: Mapping[str, str]
    grids: Sequence[Grid]
    notices: Sequence[Notice]
    figures: Mapping[str, Path]
    sound: str


def render_page(
    text: PageText, table: EvaluationTable, excerpts: Iterable[Excerpt], *, bits_per_s: int
) -> Iterator[str]:
    """The page, part by part, so that not all its sound is held in memory twice.

    Args:
        text: What stands on it.
        table: All numbers.
        excerpts: The items that can be heard.
        bits_per_s: Bit rate of the sound.
    """
    head, tail = _static("page.html").split("$items")
    yield Template(head).substitute(
        title=html.escape(text.title),
        css=_static("report.css"),
        facts="".join(
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(said)}</dd>"
            for name, said in text.facts.items()
        ),
        notices=_notices(text.notices, table),
        leading=f"<p class=caption>{html.escape(text.grids[0].title)}</p>{_table(text.grids[0])}",
        tables="".join(_details(grid) for grid in text.grids[1:]),
        charts=_charts(table),
        figures="".join(_figure(caption, path) for caption, path in text.figures.items()),
        metrics="".join(
            f"<tr><th scope=row>{html.escape(metric.label)}</th>"
            f"<td><code>{metric.name}</code></td><td>{metric.better}</td></tr>"
            for metric in METRICS
        ),
        sound=html.escape(text.sound),
    )
    for number, excerpt in enumerate(excerpts):
        yield from _item(number, excerpt, table, bits_per_s)
    yield tail.replace("$js", _static("report.js"))


def signal_names(systems: Sequence[str], target: Target) -> tuple[str, ...]:
    """Names of the mixes that are heard beside a target, the target first."""
    compared = (system for system in systems if target in targets_of(system))
    return (f"reference-{target}", *(mix_name(system, target) for system in compared))


def _item(number: int, excerpt: Excerpt, table: EvaluationTable, bits_per_s: int) -> Iterator[str]:
    rows = [row for row in table.measurements if row.item == excerpt.item]
    values = {(row.system, row.target, row.metric): row.value for row in rows}
    kit, style = (rows[0].kit, rows[0].style) if rows else ("", "")
    groups = []
    for target in TARGETS:
        systems = [s for s in table.systems if mix_name(s, target) in excerpt.signals]
        systems = [s for s in systems if target in targets_of(s)]
        if f"reference-{target}" in excerpt.signals:
            reference = {"label": "reference", "signal": f"reference-{target}", "values": []}
            groups.append({
                "target": target,
                "rows": [reference, *(_row(s, target, values) for s in systems)],
            })  # fmt: skip
    plain = {
        "name": excerpt.item,
        "about": ", ".join(part for part in (kit, style) if part),
        "startS": round(excerpt.start_s, 3),
        "durationS": excerpt.duration_s,
        "metrics": [metric.label for metric in LEADING],
        "groups": groups,
        "onset": _onset(excerpt),
    }
    yield (
        f'<section class="item" id="item-{number}">'
        f'<script type="application/json">{_json(plain)}</script>\n'
    )
    for name, samples in excerpt.signals.items():
        coded = encode_opus(Audio(samples, excerpt.rate_hz), bits_per_s=bits_per_s)
        yield (
            f'<script type="text/plain" data-signal="{html.escape(name)}">'
            f"{base64.b64encode(coded).decode()}</script>\n"
        )
    yield "</section>\n"


def _row(
    system: str, target: Target, values: Mapping[tuple[str, Target, str], float]
) -> dict[str, Any]:
    numbers = [
        print_number(values.get((system, target, metric.name), math.nan), metric.digits)
        for metric in LEADING
    ]
    return {"label": system, "signal": mix_name(system, target), "values": numbers}


def _onset(excerpt: Excerpt) -> dict[str, Any] | None:
    """The kick's onset as 16-bit samples: exact, where the coded sound is not."""
    if math.isnan(excerpt.onset_s):
        return None
    coded = {
        name: base64.b64encode(
            np.rint(32_767 * np.clip(excerpt.onset(name), -1.0, 1.0)).astype("<i2").tobytes()
        ).decode()
        for name in excerpt.signals
    }
    start_ms, stop_ms = (1000.0 * edge for edge in ONSET_S)
    return {"startMs": start_ms, "stopMs": stop_ms, "samples": coded}


def _notices(notices: Sequence[Notice], table: EvaluationTable) -> str:
    failures = [f"<li>{html.escape(str(failure))}</li>" for failure in table.failures]
    parts = [f"<p class=notice>{html.escape(line.text)}</p>" for line in lines(notices)]
    if failures:
        n_items = len({failure.item for failure in table.failures if failure.item})
        heading = f"Not, or not wholly, in the figures: {n_items} of {table.n_items} items"
        parts.append(f"<div class=failures><h3>{heading}</h3><ul>{''.join(failures)}</ul></div>")
    return "".join(parts)


def _charts(table: EvaluationTable) -> str:
    parts = []
    for target in TARGETS:
        for metric in LEADING:
            chart = distribution_chart(table, target, metric)
            if chart:
                caption = f"{metric.label} against the {target} target"
                parts.append(f"<figure>{chart}<figcaption>{caption}</figcaption></figure>")
    return "".join(parts)


def _figure(caption: str, path: Path) -> str:
    coded = base64.b64encode(path.read_bytes()).decode()
    said = html.escape(caption)
    return (
        f'<figure><img alt="{said}" src="data:image/png;base64,{coded}">'
        f"<figcaption>{said}</figcaption></figure>"
    )


def _details(grid: Grid) -> str:
    return f"<details><summary>{html.escape(grid.title)}</summary>{_table(grid)}</details>"


def _table(grid: Grid) -> str:
    heading = "".join(f"<th scope=col>{html.escape(cell)}</th>" for cell in grid.heading)
    rows = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in grid.rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(grid.title)}">'
        f"<table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _json(plain: Mapping[str, Any]) -> str:
    # A name must not end the script element it stands in.
    return json.dumps(plain, allow_nan=False).replace("<", "\\u003c")


def _static(name: str) -> str:
    return (importlib.resources.files(__package__) / "static" / name).read_text(encoding="utf-8")
