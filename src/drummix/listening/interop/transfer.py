"""Results from other tools into the tidy table, and studies and results out of a study's folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from drummix.audio import atomic_path
from drummix.errors import TextFileError
from drummix.listening.build import BuiltStudy, read_built
from drummix.listening.interop.beaqle import is_beaqle, read_beaqle
from drummix.listening.interop.waet import is_waet, read_waet, waet_xml
from drummix.listening.interop.webmushra import (
    is_webmushra,
    read_webmushra,
    webmushra_csv,
    webmushra_yaml,
)
from drummix.listening.ratings import ratings_to_csv, read_text
from drummix.listening.results import (
    Rating,
    count_replaced,
    read_answers,
    read_final_comments,
    read_meta,
    read_ratings,
)
from drummix.notices import Code, Notice

ExportFormat = Literal["tidy", "webmushra", "webmushra-study", "waet-study"]


def import_results(
    files: Sequence[Path],
    *,
    name: str | None = None,
    study: Path | None = None,
    references: Sequence[str] = (),
    anchors: Sequence[str] = (),
) -> tuple[Rating, ...]:
    """Read results of the Web Audio Evaluation Tool, webMUSHRA or BeaqleJS.

    Args:
        files: The files; what each is, is told from its content.
        name: Name of the study in the table; the files' own if None.
        study: Folder of the study that was exported to the tool: gives opaque names back their
            items, systems and roles.
        references: Systems with the role reference, beside those whose name says so.
        anchors: Systems with the role anchor, beside those whose name says so.

    Returns:
        Rows of the tidy table. Who rates a mix again on another page has repeated it.

    Raises:
        TextFileError: If a file is damaged or of no known tool, or a session is there twice.
    """
    built = None if study is None else read_built(study)
    ratings: list[Rating] = []
    sessions: dict[str, Path] = {}
    for path in files:
        rows = list(_reader(path)(path, study=name))
        if built is not None:
            rows = [_named_as(built, row, path) for row in rows]
        for session in {row.session for row in rows}:
            if session in sessions:
                raise TextFileError(
                    f"{path}: session {session!r} is in {sessions[session]} too; leave one of them "
                    "out, or rename the participant"
                )
            sessions[session] = path
        ratings += _with_repeats(rows, path)
    roles = {**dict.fromkeys(references, "reference"), **dict.fromkeys(anchors, "anchor")}
    unknown = sorted(set(roles) - {row.system for row in ratings})
    if unknown:
        found = ", ".join(sorted({row.system for row in ratings}))
        raise TextFileError(f"there are no ratings of {unknown[0]!r}; there are: {found}")
    return tuple(replace(row, role=roles.get(row.system, row.role)) for row in ratings)


def _reader(path: Path) -> Any:
    text = read_text(path)
    for is_kind, reader in (
        (is_waet, read_waet),
        (is_beaqle, read_beaqle),
        (is_webmushra, read_webmushra),
    ):
        if is_kind(text):
            return reader
    raise TextFileError(
        f"{path} is of no known tool; expected XML of the Web Audio Evaluation Tool, webMUSHRA's "
        "mushra.csv, or JSON of BeaqleJS"
    )


def _named_as(built: BuiltStudy, row: Rating, path: Path) -> Rating:
    """A row with the study's names in place of opaque ones."""
    by_name = {one.stimulus: one for one in built.stimuli}
    # What drummix itself exported to the tool's format has the names of systems already.
    own = (one for one in built.stimuli if (one.item, one.system) == (row.item, row.system))
    found = by_name.get(row.system) or next(own, None)
    if found is None and row.role == "reference":
        # webMUSHRA calls what the page names as its reference so.
        of_item = [one for one in built.stimuli if one.item == row.item]
        found = next((one for one in of_item if one.role == "reference"), None) or next(
            iter(of_item), None
        )
    if found is None:
        raise TextFileError(
            f"{path}: {built.folder} has no stimulus {row.system!r}; give the folder of the study "
            "that was exported"
        )
    return replace(row, item=found.item, system=found.system, role=found.role)


def _with_repeats(rows: Sequence[Rating], path: Path) -> Iterator[Rating]:
    """Number the times that a session meets an item: a page of its own is a repeat."""
    pages: dict[tuple[str, str], list[int]] = {}
    seen: set[tuple[str, str, str, int]] = set()
    for row in rows:
        met = pages.setdefault((row.session, row.item), [])
        if row.page not in met:
            met.append(row.page)
        repeat = max(row.repeat, met.index(row.page))
        key = (row.session, row.item, row.system, repeat)
        if key in seen:
            raise TextFileError(
                f"{path}: session {row.session!r} rates {row.system!r} on {row.item!r} twice on "
                "one page; take one of them out"
            )
        seen.add(key)
        yield replace(row, repeat=repeat)


def export_study(
    study: Path,
    out: Path,
    *,
    format: ExportFormat = "tidy",
    audio: str = "audio",
) -> tuple[Path, tuple[Notice, ...]]:
    """Write a study's ratings, or the study itself for another tool.

    Args:
        study: Folder of the study; it may be served meanwhile.
        out: The file to write. With `tidy`, what was declared and answered goes beside it, to
            `NAME.study.json`, where the analysis finds it.
        format: ``tidy`` or ``webmushra`` for ratings, ``webmushra-study`` (YAML) or ``waet-study``
            (XML) for the study.
        audio: Folder of the stimuli as the other tool sees it.

    Returns:
        `out`, and what a person should know.

    Raises:
        SettingError: If the study cannot be read, or nobody has rated yet.
        OutputError: If the file cannot be written.
    """
    notices: Sequence[Notice] = ()
    if format == "webmushra-study":
        text, notices = webmushra_yaml(read_built(study), audio=audio.rstrip("/"))
    elif format == "waet-study":
        text, notices = waet_xml(read_built(study), audio=audio.rstrip("/"))
    else:
        ratings = list(read_ratings(study))
        if not ratings:
            raise TextFileError(
                f"{study}: nobody has opened a page yet; there is nothing to export"
            )
        text = ratings_to_csv(ratings) if format == "tidy" else webmushra_csv(ratings)
        if n_replaced := count_replaced(study):
            notices = [Notice.of(Code.CHARACTERS_REPLACED, study.name, n_characters=n_replaced)]
        if format == "tidy":
            beside = out.with_name(f"{out.stem}.study.json")
            _write(beside, json.dumps(_declaration(study), indent=2, ensure_ascii=False))
    _write(out, text)
    return out, tuple(notices)


def _declaration(study: Path) -> Mapping[str, Any]:
    meta = read_meta(study)
    return {
        "study": meta["study"],
        "screening": meta["screening"],
        "analysis": meta.get("analysis", {}),
        "questions": meta["questions"],
        "answers": read_answers(study),
        "final_comments": read_final_comments(study),
    }


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
