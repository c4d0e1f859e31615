"""Web Audio Evaluation Tool 1.2 (the paper's tool): results XML in, the study as its XML.

A result file is one participant: `waetresult` with a `page` each, in it an `audioelement` each
with `value` (0 to 1), `comment` and, where they were switched on, metrics: time heard, initial
position, whether it was moved, each time it was played. Volume is not recorded.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

from drummix.errors import TextFileError
from drummix.listening.build import BuiltStudy, StimulusFile
from drummix.listening.interop.rows import imported_rating, named, number
from drummix.listening.ratings import UNKNOWN_PLAYS, UNKNOWN_SLOT, read_text
from drummix.listening.results import Rating
from drummix.listening.study import Question
from drummix.notices import Code, Notice

ROOTS = ("waetresult", "browserevaluationresult")
_METRICS = (
    "testTimer",
    "elementTimer",
    "elementInitialPosition",
    "elementTracker",
    "elementFlagListenedTo",
    "elementFlagMoved",
    "elementListenTracker",
)


def is_waet(text: str) -> bool:
    """Whether the text of a file is XML."""
    return text.lstrip().startswith("<")


def read_waet(path: Path, *, study: str | None = None) -> Iterator[Rating]:
    """Read one participant's results.

    Args:
        path: The XML file.
        study: Name of the study; the tool writes none, so the folder's name if None.

    Raises:
        TextFileError: If it is no result of the tool, is damaged, or rates on several scales.
    """
    root = _parsed(path)
    if root.tag not in ROOTS:
        raise TextFileError(
            f"{path} is XML of another kind, <{root.tag[:40]}>; expected <waetresult>, as the Web "
            "Audio Evaluation Tool saves it"
        )
    session = root.get("key") or path.stem
    pages = root.findall("page") or root.findall("audioholder")
    if not pages:
        raise TextFileError(f"{path} holds no pages; this participant finished none")
    for position, page in enumerate(pages, start=1):
        item = page.get("ref") or page.get("id") or ""
        if not item:
            raise TextFileError(f"{path}: page {position} has no ref; expected the page's name")
        where = f"{path}, page {item!r}"
        item, repeat = _without_repeat(item)
        elements = page.findall("audioelement")
        if not elements:
            raise TextFileError(f"{where}: no audio elements; the file is cut or damaged")
        presented = _whole(page.get("presentedId"), position - 1) + 1
        time_s = _metric(page, where, ("testTime", "testTimer"), 1e7)
        for element in elements:
            if element.get("type") == "outside-reference":
                continue
            name = element.get("ref") or element.get("id") or ""
            if not name:
                raise TextFileError(f"{where}: an audio element has no ref; expected its name")
            yield imported_rating(
                study=named(path, study, path.resolve().parent.name),
                session=session,
                item=item,
                repeat=repeat,
                system=name,
                score=_score(element, f"{where}, {name!r}"),
                page=presented,
                slot=_whole(element.get("presentedId"), UNKNOWN_SLOT - 1) + 1,
                initial=100.0 * _metric(element, where, ("elementInitialPosition",), 1.0),
                plays=_plays(element),
                listen_s=_metric(element, where, ("elementTimer",), 1e7),
                moved=_flag(element, ("elementFlagMoved",)),
                page_s=time_s,
                comment=(element.findtext("comment/response") or "").strip(),
                is_open=page.get("state", "complete") != "complete",
            )


def _without_repeat(page: str) -> tuple[str, int]:
    """The page that a repeated page repeats, and which time it is: the tool names it so.

    >>> _without_repeat("loop-1-repeat-1"), _without_repeat("loop-1")
    (('loop-1', 1), ('loop-1', 0))
    """
    found = re.fullmatch(r"(.+)-repeat-(\d+)", page)
    return (found[1], int(found[2])) if found else (page, 0)


def _parsed(path: Path) -> Element:
    """The XML without what could make a parser open files or grow: entities, document types."""
    text = read_text(path)
    for mark in ("<!DOCTYPE", "<!ENTITY"):
        if mark in text:
            line = text[: text.index(mark)].count("\n") + 1
            raise TextFileError(
                f"{path}, line {line}: {mark}> is refused; results need no document type"
            )
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        line, _ = error.position
        raise TextFileError(
            f"{path}, line {line}: not whole XML ({error.msg}); the file is cut or damaged"
        ) from error


def _score(element: Element, where: str) -> float | None:
    values = element.findall("value")
    if len(values) > 1:
        raise TextFileError(
            f"{where}: {len(values)} values, so several scales; keep one scale's <value>"
        )
    if not values or not (values[0].text or "").strip():
        return None
    return round(100.0 * number(values[0].text, where, "value", 0.0, 1.0), 6)


def _result(element: Element, names: tuple[str, ...]) -> Element | None:
    for result in element.findall("metric/metricresult"):
        labels = (result.get("id") or "", (result.get("name") or "").removeprefix("enable"))
        known = {label.lower() for label in labels}
        if any(name.lower() in known for name in names):
            return result
    return None


def _metric(element: Element, where: str, names: tuple[str, ...], high: float) -> float:
    found = _result(element, names)
    if found is None or not (found.text or "").strip():
        return math.nan
    return number(found.text, where, names[0], 0.0, high)


def _flag(element: Element, names: tuple[str, ...]) -> bool:
    found = _result(element, names)
    return found is None or (found.text or "").strip().lower() != "false"


def _plays(element: Element) -> int:
    found = _result(element, ("elementListenTracker",))
    return UNKNOWN_PLAYS if found is None else len(found.findall("event"))


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else otherwise


def waet_xml(built: BuiltStudy, *, audio: str) -> tuple[str, list[Notice]]:
    """The study as the tool's XML, and what of it the tool cannot do.

    Args:
        built: The study.
        audio: Folder of the stimuli as the tool sees it.
    """
    study = built.study
    root = Element("waet")
    root.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    root.set("xsi:noNamespaceSchemaLocation", "test-schema.xsd")
    setup = SubElement(
        root,
        "setup",
        interface="MUSHRA",
        projectReturn="save.php",
        randomiseOrder="true",
        sampleRate=str(study.rate_hz),
        crossFade="0.005",
    )
    before = SubElement(setup, "survey", location="before")
    for name, text in (("introduction", study.introduction), ("consent", study.consent)):
        entry = SubElement(before, "surveyentry", type="statement", id=name)
        SubElement(entry, "statement").text = text
    for question in study.questions:
        _question(before, question)
    metric = SubElement(setup, "metric")
    for name in _METRICS:
        SubElement(metric, "metricenable").text = name
    checks = SubElement(setup, "interface")
    for name, is_on in (
        ("fragmentPlayed", study.rules.must_play),
        ("fragmentMoved", study.rules.must_move),
    ):
        if is_on:
            SubElement(checks, "interfaceoption", type="check", name=name)
    items: dict[str, list[StimulusFile]] = {}
    for stimulus in built.stimuli:
        items.setdefault(stimulus.item, []).append(stimulus)
    for item, stimuli in items.items():
        _page(root, built, item, stimuli, audio)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n', [Notice(Code.SWITCHES_CROSS_FADE)]


def _page(
    root: Element, built: BuiltStudy, item: str, stimuli: list[StimulusFile], audio: str
) -> None:
    study = built.study
    page = SubElement(
        root,
        "page",
        id=item,
        hostURL=f"{audio}/",
        randomiseOrder="true",
        repeatCount="1" if study.repeats else "0",
        loop="true",
    )
    interface = SubElement(page, "interface")
    SubElement(interface, "title").text = study.question
    scales = SubElement(interface, "scales")
    for number_, word in enumerate(study.scale):
        label = SubElement(scales, "scalelabel", position=str(10 + 20 * number_))
        label.text = word
    if study.comments:
        SubElement(interface, "interfaceoption", type="show", name="comments")
    for stimulus in stimuli:
        # All are `normal`: the tool treats references and anchors by rules of its own.
        url = f"{stimulus.stimulus}.wav"
        SubElement(page, "audioelement", id=stimulus.stimulus, url=url, type="normal")


def _question(survey: Element, question: Question) -> None:
    kind = {"number": "number", "choice": "radio", "text": "question"}[question.kind]
    entry = SubElement(survey, "surveyentry", type=kind, id=question.name)
    entry.set("mandatory", "true" if question.required else "false")
    if question.kind == "number":
        entry.set("min", f"{question.low:g}")
        entry.set("max", f"{question.high:g}")
    SubElement(entry, "statement").text = question.text
    for option in question.options:
        SubElement(entry, "option", name=option).text = option
