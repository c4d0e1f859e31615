"""webMUSHRA 1.4: `mushra.csv` in and out, and the study as its YAML.

`mushra.csv` has a row a rating: `session_test_id`, a column a question, `session_uuid` (not in
older versions), `trial_id`, `rating_stimulus` (`reference`, `anchor35`, `anchor70`, or a name of
the YAML), `rating_score` (0 to 100), `rating_time` (of the page, in ms) and `rating_comment`. It
tells no order of presentation, plays, volume or initial positions.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from drummix.errors import TextFileError
from drummix.listening.build import BuiltStudy, StimulusFile
from drummix.listening.characters import cell_of, storable, text_of
from drummix.listening.interop.rows import imported_rating, named, number
from drummix.listening.ratings import csv_line, read_text
from drummix.listening.results import Rating
from drummix.listening.study import Question
from drummix.notices import Code, Notice

COLUMNS = (
    "session_test_id",
    "session_uuid",
    "trial_id",
    "rating_stimulus",
    "rating_score",
    "rating_time",
    "rating_comment",
)
_SESSION = "session_uuid"
_REPEAT = "__repeat"


def is_webmushra(text: str) -> bool:
    """Whether the text of a file starts as webMUSHRA's results do."""
    return "session_test_id" in text[:2000].partition("\n")[0]


def read_webmushra(path: Path, *, study: str | None = None) -> Iterator[Rating]:
    """Read `mushra.csv`.

    Args:
        path: The file.
        study: Name of the study; the file's own if None.

    Raises:
        TextFileError: If it is damaged, or another of webMUSHRA's files.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    pages: dict[str, dict[str, int]] = {}
    try:
        heading = reader.fieldnames or ()
        missing = [name for name in COLUMNS if name not in heading and name != _SESSION]
        if missing:
            raise TextFileError(
                f"{path}, line 1: no column {', '.join(missing)}; expected webMUSHRA's mushra.csv"
            )
        sessions = _Sessions()
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise TextFileError(
                    f"{where}: not {len(heading)} cells; the line is cut or damaged"
                )
            row = {column: text_of(cell) for column, cell in row.items()}
            if _SESSION not in heading:
                row[_SESSION] = sessions.name(row)
            yield _rating(row, where, named(path, study, row["session_test_id"]), pages)
    except csv.Error as error:
        raise TextFileError(f"{path}, line {reader.line_num}: not CSV ({error})") from error


class _Sessions:
    """Tells sessions apart where the file has no column for them.

    A session's rows are written together when it ends, and no mix is rated twice on a page: what
    was answered about oneself changes, or a mix comes again, where the next session begins.
    """

    def __init__(self) -> None:
        self._count = 0
        self._person: list[str] = []
        self._rated: set[tuple[str, str]] = set()

    def name(self, row: dict[str, Any]) -> str:
        """The session of the next row: test and number, for answers may be names or addresses."""
        person = [cell for column, cell in row.items() if column not in COLUMNS]
        mix = (row["trial_id"], row["rating_stimulus"])
        if not self._count or person != self._person or mix in self._rated:
            self._count, self._person, self._rated = self._count + 1, person, set()
        self._rated.add(mix)
        return f"{row['session_test_id']} {self._count}"


def _rating(
    row: dict[str, Any], where: str, study: str, pages: dict[str, dict[str, int]]
) -> Rating:
    for name in (_SESSION, "trial_id", "rating_stimulus"):
        if not row[name].strip():
            raise TextFileError(f"{where}: {name} is empty; expected a name")
    session, trial = row[_SESSION].strip(), row["trial_id"].strip()
    item, mark, repeat = trial.rpartition(_REPEAT)
    if not (mark and repeat.isdecimal()):
        item, repeat = trial, "0"
    seen = pages.setdefault(session, {})
    page_s = math.nan
    if row["rating_time"].strip():
        page_s = number(row["rating_time"], where, "rating_time", 0.0, 1e10) / 1000.0
    return imported_rating(
        study=study,
        session=session,
        item=item,
        system=row["rating_stimulus"].strip(),
        score=number(row["rating_score"], where, "rating_score", 0.0, 100.0),
        page=seen.setdefault(trial, len(seen) + 1),
        repeat=int(repeat),
        page_s=page_s,
        comment=row["rating_comment"],
    )


def webmushra_csv(ratings: Iterable[Rating]) -> str:
    """Ratings as `mushra.csv`; a repeated item is a trial of its own, `ITEM__repeat1`.

    Only pages that were submitted, as webMUSHRA knows no others.
    """
    lines = [csv_line(COLUMNS)]
    for row in ratings:
        if row.score is None or row.page == 0 or row.state == "open":
            continue
        trial = f"{row.item}{_REPEAT}{row.repeat}" if row.repeat else row.item
        time_ms = "" if math.isnan(row.page_s) else str(round(row.page_s * 1000))
        names = [cell_of(name) for name in (row.study, row.session, trial, row.system)]
        comment = cell_of(storable(row.comment))
        lines.append(csv_line([*names, f"{row.score:.10g}", time_ms, comment]))
    return "".join(lines)


def webmushra_yaml(built: BuiltStudy, *, audio: str) -> tuple[str, list[Notice]]:
    """The study as webMUSHRA's YAML, and what of it webMUSHRA cannot do.

    Args:
        built: The study.
        audio: Folder of the stimuli as webMUSHRA sees it.
    """
    from yaml import safe_dump  # an optional part

    study = built.study
    items: dict[str, list[StimulusFile]] = {}
    for stimulus in built.stimuli:
        items.setdefault(stimulus.item, []).append(stimulus)
    notices = []
    trials = [_trial(name, found, study.question, audio) for name, found in items.items()]
    if any(sum(s.role == "reference" for s in found) != 1 for found in items.values()):
        notices.append(Notice(Code.REFERENCE_IS_GIVEN))
    if study.repeats:
        notices.append(Notice.of(Code.REPEATS_LEFT_OUT, n_pages=study.repeats))
    pages: list[Any] = [
        {"type": "generic", "id": "welcome", "name": study.title, "content": study.introduction},
        {"type": "generic", "id": "consent", "name": "Consent", "content": study.consent},
        {
            "type": "volume",
            "id": "volume",
            "name": "Volume",
            "content": "Set a comfortable volume and leave it there.",
            "stimulus": _file(built.stimuli[0], audio),
            "defaultVolume": 0.5,
        },
        ["random", *trials],
        {
            "type": "finish",
            "name": "Thank you",
            "content": "Please answer these questions, then send the results.",
            "showResults": False,
            "writeResults": True,
            "questionnaire": [_question(question) for question in study.questions],
        },
    ]
    config = {
        "testname": study.title,
        "testId": study.name,
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": False,
        "remoteService": "service/write.php",
        "pages": pages,
    }
    return safe_dump(config, sort_keys=False, allow_unicode=True), notices


def _trial(item: str, stimuli: list[StimulusFile], question: str, audio: str) -> dict[str, Any]:
    reference = next((s for s in stimuli if s.role == "reference"), stimuli[0])
    return {
        "type": "mushra",
        "id": item,
        "name": "",
        "content": question,
        "showWaveform": False,
        "enableLooping": True,
        "reference": _file(reference, audio),
        "createAnchor35": False,
        "createAnchor70": False,
        "randomize": True,
        "showConditionNames": False,
        "stimuli": {s.stimulus: _file(s, audio) for s in stimuli if s is not reference},
    }


def _file(stimulus: StimulusFile, audio: str) -> str:
    return f"{audio}/{stimulus.stimulus}.wav"


def _question(question: Question) -> dict[str, Any]:
    named_so = {"label": question.text, "name": question.name, "optional": not question.required}
    if question.kind == "number":
        # webMUSHRA wants a value to start from.
        middle = round((question.low + question.high) / 2)
        limits = {"min": question.low, "max": question.high, "default": middle}
        return {"type": "number", **named_so, **limits}
    if question.kind == "choice":
        options = [{"value": option, "label": option} for option in question.options]
        return {"type": "likert", **named_so, "response": options}
    return {"type": "text", **named_so}
