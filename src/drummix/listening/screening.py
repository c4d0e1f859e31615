"""Which listeners will be left out of the analysis: declared before the study, kept with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from drummix.plain_data import Within, check_fields

_Limit = Annotated[float, Within(0.0, 1e6, is_below=True)]


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
    max_anchor_share: Annotated[float, Within(0.0, 1.0)] | None = 0.15
    max_repeat_difference: _Limit | None = None
    min_page_s: _Limit | None = None
    min_listen_s: _Limit | None = None
    max_volume_change_db: _Limit | None = 6.0
    exclude_answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as the store keeps it."""
        excluded = {question: list(answers) for question, answers in self.exclude_answers.items()}
        return {**asdict(self), "exclude_answers": excluded}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Screening:
        """The rules of `to_mapping`."""
        excluded = {q: tuple(answers) for q, answers in values["exclude_answers"].items()}
        return cls(**{**values, "exclude_answers": excluded})
