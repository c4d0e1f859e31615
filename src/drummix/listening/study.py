"""The study file: what is compared, how it is presented, what is asked and declared beforehand.

In: a TOML file. Out: a `Study`, every key known and every value checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from drummix.errors import Parameter, SettingError, TextFileError
from drummix.listening.events import Rules
from drummix.listening.screening import Screening
from drummix.plain_data import Matching, PathText, Within, check_fields, convert, parse_toml

Name = Annotated[
    str,
    Matching(r"[^\W_][\w .+-]{0,99}", "a name of letters, digits, space and . + - _, 100 at most"),
]
Role = Literal["reference", "test", "anchor"]
LowPass = Literal["bs1534", "paper", "none"]

MAX_SYSTEMS = 12
"""BS.1534-3 allows no more signals on one page."""

SCALE = ("Bad", "Poor", "Fair", "Good", "Excellent")

QUESTION_TEXT = "How much do you like each mix?"
INTRODUCTION = (
    "You will hear several mixes of the same drums on each page. Move each slider to say how much "
    "you like that mix, and compare the mixes with each other as often as you wish.\n\n"
    "Please use good headphones in a quiet room. Set a comfortable volume on your device now and "
    "leave it there; after that use the volume control of this page only."
)
CONSENT = (
    "Taking part is voluntary, and you may stop at any time by closing this page. Your ratings, "
    "your answers and how you used the page are stored under a number. If you were invited by "
    "name, the experimenter can tell whose number it is; your name is in no table of results."
)


@dataclass(frozen=True)
class System:
    """One of the things compared.

    Args:
        role: ``reference``, ``test`` or ``anchor``.
        source: File name, without suffix, in the item's folder; the system's own name if empty.
            For an anchor that is filtered, rather the system that it is made from.
        low_pass: Filter of an anchor: ``bs1534`` meets the standard's mask, ``paper`` is gentler,
            ``none`` takes the file as it is. Other roles have none.
    """

    role: Role = "test"
    source: str = ""
    low_pass: LowPass | None = None

    def __post_init__(self) -> None:
        if self.role != "anchor" and self.low_pass not in (None, "none"):
            raise SettingError(
                "low_pass", self.low_pass, f"only an anchor is filtered, and this is a {self.role}"
            )
        if self.role == "anchor" and self.low_pass is None:
            object.__setattr__(self, "low_pass", "bs1534")

    @property
    def is_filtered(self) -> bool:
        """Whether it is an anchor that is made here, from another mix."""
        return self.low_pass not in (None, "none")


@dataclass(frozen=True)
class Item:
    """One piece of music, mixed by every system.

    Args:
        start_s: Where the excerpt starts; None finds the most active place.
        files: System -> its file, where it is not in the folder of mixes.
    """

    start_s: float | None = None
    files: Mapping[str, PathText] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """One question of the questionnaire.

    Args:
        name: Column of the answer.
        text: What the listener reads.
        kind: ``number``, ``choice`` or ``text``.
        options: Answers to choose from.
        low: Smallest number.
        high: Largest number.
        required: Whether it must be answered.
    """

    name: str
    text: str
    kind: Literal["number", "choice", "text"] = "text"
    options: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1000.0
    required: bool = True

    def __post_init__(self) -> None:
        if (self.kind == "choice") != bool(self.options):
            raise SettingError(
                "options",
                self.options,
                "a choice has options, no other kind does",
                problem=f"has {len(self.options)} entries for {self.name!r}, a {self.kind}",
            )

    def accepts(self, answer: object) -> bool:
        """Whether an answer fits the question."""
        if answer is None:
            return not self.required
        if self.kind == "number":
            is_number = isinstance(answer, int | float) and not isinstance(answer, bool)
            return is_number and self.low <= answer <= self.high  # type: ignore[operator]
        if not isinstance(answer, str):
            return False
        if self.kind == "choice":
            return answer in self.options
        return len(answer) <= 500 and (bool(answer.strip()) or not self.required)


QUESTIONS = (
    Question("age", "How old are you?", "number", low=18.0, high=120.0),
    Question(
        "gender",
        "What is your gender?",
        "choice",
        ("female", "male", "another", "I would rather not say"),
    ),
    Question(
        "experience",
        "How much experience do you have with critical listening?",
        "choice",
        ("none", "some", "trained or professional"),
    ),
    Question(
        "headphones",
        "What do you listen on?",
        "choice",
        ("good headphones", "other headphones", "loudspeakers"),
    ),
    Question("headphones_model", "Which model is it?", "text", required=False),
)


@dataclass(frozen=True)
class Study:
    """A listening test.

    Args:
        name: Name of the study, a column of the results.
        title: What the listener reads at the top.
        preset: ``paper`` for the systems of Martinez Ramirez et al.
        seed: Seed of every order; another seed is another design.
        mixes: Folder with a folder an item and a file a system in it.
        systems: Name -> what it is.
        items: Name -> what is known of it; empty takes every folder in `mixes`.
        rate_hz: Rate of the stimuli in Hz.
        bits: Bits of a sample.
        lufs: Loudness of every stimulus.
        max_true_peak_dbtp: Highest true peak of a stimulus.
        too_loud: What to do with an item where one stimulus would go beyond it: ``trim`` lowers
            every stimulus of the item alike, ``refuse`` stops.
        excerpt_s: Longest excerpt.
        question: What is rated.
        scale: Five words for the bands of the scale, from the bottom up.
        introduction: What the listener reads at first.
        consent: What the listener agrees to.
        questions: The questionnaire.
        training: Item of the training page: its name, empty for the first, or ``none``.
        repeats: How many pages are shown a second time, to measure reliability.
        initial: Where sliders stand at first: a number, or ``random``.
        comments: Whether the listener can write about a stimulus.
        open_enrolment: Whether whoever opens the page may take part; else by invitation.
        max_listeners: Enrolment stops here.
        rules: What must be done before a page may be submitted.
        screening: Who will be left out of the analysis.
    """

    name: Name
    title: str = "Listening test"
    preset: Literal["paper"] | None = None
    seed: Annotated[int, Within(0, 2**63 - 1)] = 0
    mixes: PathText = "mixes"
    systems: Mapping[Name, System] = field(default_factory=dict)
    items: Mapping[Name, Item] = field(default_factory=dict)
    rate_hz: Annotated[int, Within(8000, 192_000)] = 44_100
    bits: Literal[16, 24] = 16
    lufs: Annotated[float, Within(-60, -6)] = -28.0
    max_true_peak_dbtp: Annotated[float, Within(-60, 0)] = -1.0
    too_loud: Literal["trim", "refuse"] = "trim"
    excerpt_s: Annotated[float, Within(0.5, 600)] = 12.0
    question: str = QUESTION_TEXT
    scale: tuple[str, str, str, str, str] = SCALE
    introduction: str = INTRODUCTION
    consent: str = CONSENT
    questions: tuple[Question, ...] = QUESTIONS
    training: str = ""
    repeats: Annotated[int, Within(0, 100)] = 0
    initial: Annotated[float, Within(0, 100)] | Literal["random"] = "random"
    comments: bool = True
    open_enrolment: bool = False
    max_listeners: Annotated[int, Within(1, 1_000_000)] = 1000
    rules: Rules = field(default_factory=Rules)
    screening: Screening = field(default_factory=Screening)

    def __post_init__(self) -> None:
        if self.preset == "paper" and not self.systems:
            object.__setattr__(self, "systems", dict(PAPER_SYSTEMS))
        check_fields(self)
        if not 2 <= len(self.systems) <= MAX_SYSTEMS:
            raise SettingError(
                "systems",
                self.systems,
                f"compare 2 to {MAX_SYSTEMS} on a page (BS.1534 allows no more), or give ",
                Parameter("preset", "paper"),
                problem=f"names {len(self.systems)}",
            )
        for name, item in self.items.items():
            if unknown := sorted(set(item.files) - set(self.systems)):
                raise SettingError(
                    "items",
                    unknown[0],
                    f"the systems are {', '.join(self.systems)}",
                    problem=f"{name}.files names {unknown[0]!r}, which is none of them",
                )
        asked = [question.name for question in self.questions]
        if twice := sorted({name for name in asked if asked.count(name) > 1}):
            raise SettingError(
                "questions", twice, "give each its own name", problem=f"asks {twice[0]!r} twice"
            )
        if unknown := sorted(set(self.screening.exclude_answers) - set(asked)):
            raise SettingError(
                "screening.exclude_answers",
                unknown,
                f"the questions are {', '.join(asked)}",
                problem=f"names {unknown[0]!r}, which is none of them",
            )


PAPER_SYSTEMS: Mapping[str, System] = {
    "reference-dry": System("reference"),
    "reference-wet": System("reference"),
    "waveunet-dry": System(),
    "waveunet-wet": System(),
    "forest-dry": System(),
    "forest-wet": System(),
    "anchor": System("anchor", low_pass="bs1534"),
}
"""The seven mixes of the paper's section 3.2."""


_HINT = "see docs/listening.md"


def read_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        TextFileError: If the file is missing, is not TOML, or has an unknown or wrong value.
    """
    values = parse_toml(path, error=TextFileError, hint=_HINT)
    return convert(
        _with_named_items(values, path), Study, error=TextFileError, name=str(path), hint=_HINT
    )


def _with_named_items(values: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Let `items = ["a", "b"]` stand for two empty tables."""
    items = values.get("items")
    if not isinstance(items, list) or not all(isinstance(name, str) for name in items):
        return values
    if twice := sorted({name for name in items if items.count(name) > 1}):
        raise TextFileError(f"{path}: items names {twice[0]!r} twice; name each once")
    return {**values, "items": {name: {} for name in items}}
