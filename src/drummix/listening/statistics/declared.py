"""What was fixed before the results were seen: screening rules, level and equivalence margin.

In: a JSON or TOML file, as `drummix listen export` writes it beside the ratings, or the study file
itself. Anything decided after looking at the ratings would make every p too small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from drummix.errors import TextFileError
from drummix.listening.screening import Screening
from drummix.plain_data import Limits, Within, check_fields, read_json, read_toml

NO_SCREENING = Screening(require_finished=False, max_anchor_share=None, max_volume_change_db=None)
_HINT = "see docs/listening-analysis.md"
_LIMITS = Limits(any_text=True)
_Margin = Annotated[float, Within(0.0, 50.0, is_above=True)]
_Alpha = Annotated[float, Within(0.0, 0.2, is_above=True)]
SUFFIXES = (".study.json", ".study.toml")


@dataclass(frozen=True)
class Declared:
    """What was declared.

    Args:
        screening: Whom to leave out.
        equivalence_margin: Points within which two systems count as the same; None where none
            was declared.
        alpha: Level of all tests together.
        answers: Listener -> question -> answer, for rules about them.
        source: Where it was declared; empty where nothing was.
        is_changed_by_options: Whether the margin or the level was given when the analysis was run.
    """

    screening: Screening = NO_SCREENING
    equivalence_margin: _Margin | None = None
    alpha: _Alpha = 0.05
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    source: str = ""
    is_changed_by_options: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    def with_options(self, *, margin: float | None, alpha: float | None) -> Declared:
        """The same with a margin or level from the command line in place of the declared one."""
        if margin is None and alpha is None:
            return self
        return replace(
            self,
            equivalence_margin=self.equivalence_margin if margin is None else margin,
            alpha=self.alpha if alpha is None else alpha,
            is_changed_by_options=True,
        )


@dataclass(frozen=True)
class _AnalysisTable:
    """The table `analysis` of a declaration."""

    equivalence_margin: _Margin | None = None
    alpha: _Alpha = 0.05


@dataclass(frozen=True)
class _Declaration:
    takes_other_keys: ClassVar[bool] = True

    screening: Screening | None = None
    analysis: _AnalysisTable | None = None
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def declared_beside(ratings: Path) -> Path | None:
    """The declaration that lies beside a file of ratings: `ratings.study.json` or `.toml`."""
    places = [ratings.with_name(ratings.stem + suffix) for suffix in SUFFIXES]
    return next((place for place in places if place.is_file()), None)


def read_declared(path: Path) -> Declared:
    """Read a declaration: the tables `screening`, `analysis` and `answers`, all optional.

    Raises:
        TextFileError: If it cannot be read, or names a rule that there is not.
    """
    if path.suffix == ".json":
        found = read_json(path, _Declaration, error=TextFileError, hint=_HINT, limits=_LIMITS)
    else:
        found = read_toml(path, _Declaration, error=TextFileError, hint=_HINT)
    if found.screening is None and found.analysis is None:
        raise TextFileError(
            f"{path} declares nothing; expected a table screening or analysis; {_HINT}"
        )
    analysis = found.analysis or _AnalysisTable()
    return Declared(
        screening=found.screening or NO_SCREENING,
        equivalence_margin=analysis.equivalence_margin,
        alpha=analysis.alpha,
        answers=found.answers,
        source=path.name,
    )
