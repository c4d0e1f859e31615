"""Settings of sessions that are rendered as training needs them, with no corpus on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from drummix.corpus.plan import CorpusSettings, kit_label, synthkit_seed
from drummix.plain_data import PathText, Within, check_fields


@dataclass(frozen=True)
class LiveSettings:
    """What is rendered, and how much of it is held in memory.

    Args:
        kits: DrumGizmo kit folders, or ``synthkit`` for the built-in kit.
        groove: Folder of the Groove MIDI Dataset.
        engineer: Seed of the reference engineer's taste.
        seed: Seed of the choice of sessions beside that of the run: for validation, those of a
            corpus rendered with this seed.
        min_item_s: Shorter performances are left out.
        max_item_s: Longer ones are cut to an excerpt of this length, another one each time.
        tuning: Tune the kit of each training session by -3 to +3 semitones.
        validation_hours: Hours of validation sessions.
        sessions: Sessions that a pool holds at a time; each clip comes from one of them.
        clips_per_session: Clips that a session serves, on average, before another takes its place.
        pools: Pools of sessions. The batches of an epoch take turns with them, so that each worker
            has to hold and render only its own; a multiple of the number of workers.

    Raises:
        SettingError: If a value is out of range or a kit is named twice.
    """

    kits: tuple[PathText, ...]
    groove: PathText
    engineer: Annotated[int, Within(0)] = 1
    seed: Annotated[int, Within(0)] = 0
    min_item_s: float = 8.0
    max_item_s: float = 40.0
    tuning: bool = False
    validation_hours: float = 0.2
    sessions: Annotated[int, Within(1, 10_000)] = 12
    clips_per_session: Annotated[int, Within(1, 1_000_000)] = 48
    pools: Annotated[int, Within(1, 1024)] = 2

    def __post_init__(self) -> None:
        check_fields(self)
        self.corpus_settings("validation")

    def corpus_settings(self, part: str) -> CorpusSettings:
        """Settings of the corpus that one part would be: ``train`` or ``validation``."""
        return CorpusSettings(
            kits=self.kits,
            groove=self.groove,
            hours={part: None if part == "train" else self.validation_hours},
            engineer=self.engineer,
            seed=self.seed,
            min_item_s=self.min_item_s,
            max_item_s=self.max_item_s,
            disturb=("tuning",) if self.tuning and part == "train" else (),
        )

    def beside(self, folder: Path) -> LiveSettings:
        """The same with relative paths taken from a folder."""
        kits = tuple(str(folder / kit) if synthkit_seed(kit) is None else kit for kit in self.kits)
        return replace(self, kits=kits, groove=str(folder / self.groove))

    def without_paths(self) -> LiveSettings:
        """The same with names where folders were: those of one machine tell nobody anything."""
        kits = tuple(kit_label(kit) for kit in self.kits)
        return replace(self, kits=kits, groove=Path(self.groove).name)
