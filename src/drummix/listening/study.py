"""The study file: what is compared, how it is presented, what is asked and declared beforehand.

In: a TOML file. Out: a `Study`, every key known and every value checked.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from drummix.errors import SettingError
from drummix.listening.events import Rules
from drummix.listening.screening import Screening
from drummix.listening.tables import from_table

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
    "your answers and how you used the page are stored under a number, without your name."
)


@dataclass(frozen=True)
class System:
    """One of the things compared.

    Args:
        role: ``reference``, ``test`` or ``anchor``.
        source: File name, without suffix, in the item's folder; the system's own name if empty.
        low_pass: Filter of an anchor: ``bs1534`` meets the standard's mask, ``paper`` is gentler,
            ``none`` takes the file as it is. Other roles have none.
    """

    role: Role = "test"
    source: str = ""
    low_pass: LowPass | None = None

    def __post_init__(self) -> None:
        if self.role != "anchor" and self.low_pass not in (None, "none"):
            raise SettingError(
                f"low_pass is {self.low_pass!r} for a {self.role}; only an anchor is filtered"
            )
        if self.role == "anchor" and self.low_pass is None:
            object.__setattr__(self, "low_pass", "bs1534")


@dataclass(frozen=True)
class Item:
    """One piece of music, mixed by every system.

    Args:
        start_s: Where the excerpt starts; None finds the most active place.
        files: System -> its file, where it is not in the folder of mixes.
    """

    start_s: float | None = None
    files: Mapping[str, str] = field(default_factory=dict)


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
                f"question {self.name!r} is a {self.kind} with {len(self.options)} options; "
                "a choice has options, no other kind does"
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

    name: str
    title: str = "Listening test"
    preset: Literal["paper"] | None = None
    seed: int = 0
    mixes: str = "mixes"
    systems: Mapping[str, System] = field(default_factory=dict)
    items: Mapping[str, Item] = field(default_factory=dict)
    rate_hz: int = 44_100
    bits: Literal[16, 24] = 16
    lufs: float = -28.0
    max_true_peak_dbtp: float = -1.0
    too_loud: Literal["trim", "refuse"] = "trim"
    excerpt_s: float = 12.0
    question: str = QUESTION_TEXT
    scale: tuple[str, ...] = SCALE
    introduction: str = INTRODUCTION
    consent: str = CONSENT
    questions: tuple[Question, ...] = QUESTIONS
    training: str = ""
    repeats: int = 0
    initial: float | Literal["random"] = "random"
    comments: bool = True
    open_enrolment: bool = False
    max_listeners: int = 1000
    rules: Rules = field(default_factory=Rules)
    screening: Screening = field(default_factory=Screening)

    def __post_init__(self) -> None:
        if self.preset == "paper" and not self.systems:
            object.__setattr__(self, "systems", dict(PAPER_SYSTEMS))
        self._check_names()
        self._check_numbers()

    def _check_names(self) -> None:
        for what, names in (("name", [self.name]), ("system", self.systems), ("item", self.items)):
            for name in names:
                if not re.fullmatch(r"[^\W_][\w .+-]{0,99}", name):
                    raise SettingError(
                        f"{what} is {name!r}; use letters, digits, space and . + - _, 100 at most"
                    )
        if not 2 <= len(self.systems) <= MAX_SYSTEMS:
            raise SettingError(
                f"systems names {len(self.systems)}; compare 2 to {MAX_SYSTEMS} on a page "
                "(BS.1534 allows no more), or give preset = 'paper'"
            )
        for name, item in self.items.items():
            if unknown := sorted(set(item.files) - set(self.systems)):
                raise SettingError(
                    f"items.{name}.files names {unknown[0]!r}, which is none of the systems: "
                    f"{', '.join(self.systems)}"
                )
        asked = [question.name for question in self.questions]
        if twice := sorted({name for name in asked if asked.count(name) > 1}):
            raise SettingError(f"question {twice[0]!r} is asked twice; give each its own name")
        if unknown := sorted(set(self.screening.exclude_answers) - set(asked)):
            raise SettingError(
                f"screening.exclude_answers names {unknown[0]!r}, which is none of the questions: "
                f"{', '.join(asked)}"
            )

    def _check_numbers(self) -> None:
        checks = (
            ("rate_hz", 8000, 192_000),
            ("lufs", -60, -6),
            ("max_true_peak_dbtp", -60, 0),
            ("excerpt_s", 0.5, 600),
            ("repeats", 0, 100),
            ("max_listeners", 1, 1_000_000),
            ("seed", 0, 2**63 - 1),
        )
        for name, low, high in checks:
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingError(f"{name} is {value}; give {low} to {high}")
        if self.initial != "random" and not 0.0 <= self.initial <= 100.0:
            raise SettingError(f"initial is {self.initial}; give 0 to 100, or 'random'")
        if len(self.scale) != 5:
            raise SettingError(f"scale has {len(self.scale)} words; give five, from the bottom up")


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


def read_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        SettingError: If the file is missing, is not TOML, or has an unknown or wrong value.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(f"{path} does not exist; give a study file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"{path} is not a TOML file ({error})") from None
    return study_from_mapping(values, str(path))


def study_from_mapping(values: Mapping[str, Any], where: str) -> Study:
    """A study out of plain data, as a study file holds it.

    Raises:
        SettingError: If a key is unknown or a value wrong; the message starts with `where`.
    """
    try:
        return from_table(Study, _with_named_items(values), "")
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from None


def _with_named_items(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let `items = ["a", "b"]` stand for two empty tables."""
    items = values.get("items")
    if not isinstance(items, list) or not all(isinstance(name, str) for name in items):
        return values
    if twice := sorted({name for name in items if items.count(name) > 1}):
        raise SettingError(f"items names {twice[0]!r} twice")
    return {**values, "items": {name: {} for name in items}}
