"""Which listeners will be left out of the analysis: declared before the study, kept with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from drummix.errors import SettingError


@dataclass(frozen=True)
class Screening:
    """Rules by which listeners are left out; a rule that is None, or empty, leaves nobody out.

    Source: BS.1534-3 (post-screening), without a given reference; the paper, section 3.1, for the
    volume and the headphones.

    Args:
        require_finished: Leave out who did not come to the end.
        max_anchor_share: Leave out who gave the anchor as much as the best reference, or more, on
            more than this share of the pages that hold both.
        max_repeat_difference: Leave out whose ratings of repeated items differ by more points,
            in mean absolute difference.
        min_page_s: Leave out whose median page took less time.
        min_listen_s: Leave out who heard the stimuli for less, in the median.
        max_volume_change_db: Leave out who moved the in-test volume by more between test pages.
        exclude_answers: Question -> answers that leave a listener out.
    """

    require_finished: bool = True
    max_anchor_share: float | None = 0.15
    max_repeat_difference: float | None = None
    min_page_s: float | None = None
    min_listen_s: float | None = None
    max_volume_change_db: float | None = 6.0
    exclude_answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_anchor_share is not None and not 0.0 <= self.max_anchor_share <= 1.0:
            raise SettingError(
                f"screening.max_anchor_share is {self.max_anchor_share}; give a share, 0.0 to 1.0"
            )
        for name in _LIMITS:
            limit = getattr(self, name)
            if limit is not None and not 0.0 <= limit < 1e6:
                raise SettingError(f"screening.{name} is {limit}; give 0 or more")

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as the store keeps it."""
        excluded = {question: list(answers) for question, answers in self.exclude_answers.items()}
        return {**asdict(self), "exclude_answers": excluded}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Screening:
        """The rules of `to_mapping`."""
        excluded = {q: tuple(answers) for q, answers in values["exclude_answers"].items()}
        return cls(**{**values, "exclude_answers": excluded})


_LIMITS = ("max_repeat_difference", "min_page_s", "min_listen_s", "max_volume_change_db")
