"""What was fixed before the results were seen: screening rules, level and equivalence margin.

In: a JSON or TOML file, as `drummix listen export` writes it beside the ratings, or the study file
itself. Anything decided after looking at the ratings would make every p too small.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from drummix.errors import SettingError
from drummix.listening.ratings import read_text
from drummix.listening.screening import Screening
from drummix.listening.tables import from_table

NO_SCREENING = Screening(require_finished=False, max_anchor_share=None, max_volume_change_db=None)
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
    equivalence_margin: float | None = None
    alpha: float = 0.05
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    source: str = ""
    is_changed_by_options: bool = False

    def __post_init__(self) -> None:
        margin = self.equivalence_margin
        if margin is not None and not 0.0 < margin <= 50.0:
            raise SettingError(f"equivalence_margin is {margin}; give points, above 0 up to 50")
        if not 0.0 < self.alpha <= 0.2:
            raise SettingError(f"alpha is {self.alpha}; give a level above 0 up to 0.2")

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

    equivalence_margin: float | None = None
    alpha: float = 0.05


def declared_beside(ratings: Path) -> Path | None:
    """The declaration that lies beside a file of ratings: `ratings.study.json` or `.toml`."""
    places = [ratings.with_name(ratings.stem + suffix) for suffix in SUFFIXES]
    return next((place for place in places if place.is_file()), None)


def read_declared(path: Path) -> Declared:
    """Read a declaration: the tables `screening`, `analysis` and `answers`, all optional.

    Raises:
        SettingError: If it cannot be read, or names a rule that there is not.
    """
    text = read_text(path)
    try:
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise SettingError(f"{path} is not {kind}: {error}") from error
    if not isinstance(found, dict) or not {"screening", "analysis"} & set(found):
        raise SettingError(
            f"{path} declares nothing; expected a table screening or analysis: see "
            "docs/listening-analysis.md"
        )
    try:
        analysis = from_table(_AnalysisTable, found.get("analysis", {}), "analysis")
        screening = NO_SCREENING
        if "screening" in found:
            screening = from_table(Screening, found["screening"], "screening")
        answers = found.get("answers", {})
        if not isinstance(answers, dict) or not all(isinstance(a, dict) for a in answers.values()):
            raise SettingError("answers: give each listener a table of answers")
        return Declared(
            screening=screening,
            equivalence_margin=analysis.equivalence_margin,
            alpha=analysis.alpha,
            answers=answers,
            source=path.name,
        )
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from error
