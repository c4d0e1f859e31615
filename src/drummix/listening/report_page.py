"""A report as one HTML page that needs nothing else, and as Markdown.

In: sections of paragraphs, tables and figures. What came from a listener or a file name is text
in both, never markup.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table: a heading, rows of text, and what must be known to read it."""

    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure by its name, and what it shows."""

    name: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Args:
        title: Its heading.
        blocks: Paragraphs, tables and pictures, in order.
        level: 2 or 3.
    """

    title: str
    blocks: tuple[str | Table | Picture, ...]
    level: int = 2


@dataclass(frozen=True)
class Report:
    """Everything to be shown.

    Args:
        title: The heading.
        warning: What must not be overlooked; empty for nothing.
        summary: The paragraph in plain language.
        sections: The parts.
    """

    title: str
    warning: str
    summary: str
    sections: tuple[Section, ...]


_LONG_CHARS = 32
_WIDE_COLUMNS = 5
_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff;
  max-width: 66rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }
p, figcaption { max-width: 54rem; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.25rem; margin-top: 2.2rem;
  border-bottom: 1px solid #d8dce2; padding-bottom: .2rem; } h3 { font-size: 1.05rem; }
.warning { background: #c0392b; color: #fff; font-weight: 700; padding: .8rem 1rem;
  border-radius: .4rem; position: sticky; top: 0; z-index: 1; }
.summary { background: #eef3f8; border-left: .3rem solid #4c6a92; padding: .8rem 1rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
.note { color: #545c68; font-size: .86rem; margin-top: -.5rem; }
th, td { padding: .25rem .5rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #e4e6ea; }
th { white-space: normal; vertical-align: bottom; }
td.long { white-space: normal; min-width: 14rem; text-align: left; }
th { background: #f5f6f8; } th:first-child, td:first-child { text-align: left; }
td:first-child { white-space: normal; min-width: 10rem; }
figure { margin: 1rem 0; max-width: 40rem; } figure svg { width: 100%; height: auto; }
figcaption { color: #545c68; font-size: .86rem; }
@media (max-width: 64rem) {
  .wide thead { display: none; }
  .wide, .wide tbody, .wide tr { display: block; }
  .wide tr { padding: .5rem 0; border-bottom: 1px solid #b8bec8; }
  .wide td { display: flex; justify-content: space-between; gap: 1rem; border: 0;
    white-space: normal; }
  .wide td::before { content: attr(data-label); color: #545c68; text-align: left; }
  .wide td:first-child { font-weight: 700; } .wide td:first-child::before { content: none; }
}
@media print { .warning { position: static; } .scroll { overflow: visible; } }
"""


def to_html(report: Report, figures: Mapping[str, str]) -> str:
    """The page, with every figure in it.

    Args:
        report: What to show.
        figures: Name of each picture -> its SVG.
    """
    parts = [f"<h1>{_escaped(report.title)}</h1>"]
    if report.warning:
        parts.append(f'<p class="warning" role="alert">{_escaped(report.warning)}</p>')
    parts.append(f'<p class="summary">{_escaped(report.summary)}</p>')
    for section in report.sections:
        parts.append(f"<h{section.level}>{_escaped(section.title)}</h{section.level}>")
        parts += [_block_html(block, figures) for block in section.blocks]
    title = f"{'SIMULATED: ' if report.warning else ''}{report.title}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_escaped(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def to_markdown(report: Report, files: Mapping[str, str]) -> str:
    """The same as Markdown.

    Args:
        report: What to show.
        files: Name of each picture -> its file.
    """
    parts = [f"# {_plain(report.title)}"]
    if report.warning:
        parts.append(f"> **{_plain(report.warning)}**")
    parts.append(_plain(report.summary))
    for section in report.sections:
        parts.append(f"{'#' * section.level} {_plain(section.title)}")
        parts += [_block_markdown(block, files) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _block_html(block: str | Table | Picture, figures: Mapping[str, str]) -> str:
    if isinstance(block, str):
        return f"<p>{_escaped(block)}</p>"
    if isinstance(block, Picture):
        picture = _inline_svg(figures[block.name], block.caption, block.name)
        return f"<figure>{picture}<figcaption>{_escaped(block.caption)}</figcaption></figure>"
    # Outside of what scrolls: a note as wide as its table would run off a phone.
    note = f'\n<p class="note">{_escaped(block.caption)}</p>' if block.caption else ""
    heading = "".join(f'<th scope="col">{_escaped(cell)}</th>' for cell in block.heading)
    rows = "".join(
        f"<tr>{''.join(map(_cell_html, row, block.heading))}</tr>\n" for row in block.rows
    )
    # On a phone each row of many columns is a list of its own.
    kind = ' class="wide"' if len(block.heading) >= _WIDE_COLUMNS else ""
    return (
        f'<div class="scroll" tabindex="0"><table{kind}><thead><tr>{heading}</tr></thead>'
        f"<tbody>\n{rows}</tbody></table></div>{note}"
    )


def _cell_html(cell: str, column: str) -> str:
    is_long = len(cell) > _LONG_CHARS
    kind = ' class="long"' if is_long else ""
    return f'<td{kind} data-label="{_escaped(column)}">{_escaped(cell)}</td>'


def _inline_svg(svg: str, caption: str, name: str) -> str:
    """An SVG file as part of a page; ids of several must not meet."""
    svg = svg[svg.index("<svg") :]
    for attribute in ('id="', 'href="#', "url(#"):
        svg = svg.replace(attribute, f"{attribute}{name}-")
    label = f'<svg role="img" aria-label="{_escaped(caption)}"'
    return re.sub(r"<metadata>.*?</metadata>", "", svg.replace("<svg", label, 1), flags=re.DOTALL)


def _block_markdown(block: str | Table | Picture, files: Mapping[str, str]) -> str:
    if isinstance(block, str):
        return _plain(block)
    if isinstance(block, Picture):
        return f"![{_plain(block.caption)}]({files[block.name]})"
    cells = [[_plain(cell) for cell in row] for row in (block.heading, *block.rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(cells[0]))]
    lines = [_markdown_row(row, widths) for row in cells]
    lines.insert(1, _markdown_row(["-" * width for width in widths], widths))
    caption = [_plain(block.caption)] if block.caption else []
    return "\n\n".join(["\n".join(lines), *caption])


def _markdown_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"| {' | '.join(c.ljust(w) for c, w in zip(cells, widths, strict=True))} |"


def _escaped(text: str) -> str:
    return html.escape(_printable(text))


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", _printable(text))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
