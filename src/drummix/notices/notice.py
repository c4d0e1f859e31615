"""What a person should know about a result, as data: a code, how grave it is, about what, values.

In: what a room found out. Out: plain data that a program can rely on. The sentences that people
read are made of it in `drummix.notices.wording`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from drummix.errors import Spelling, in_python


class Severity(StrEnum):
    """How grave a notice is."""

    INFO = "info"
    """Something was decided or assumed; the result is as it should be."""
    WARNING = "warning"
    """Something is probably wrong, or not as it was asked for."""


class Code(StrEnum):
    """What a notice says. Codes stay what they are from one version to the next."""

    # Files and roles.
    FILE_OF_OTHER_FORMAT = "file_of_other_format"
    FILE_LEFT_OUT = "file_left_out"
    FILE_IGNORED = "file_ignored"
    FILE_RESAMPLED = "file_resampled"
    FILE_PADDED = "file_padded"
    FILE_SUMMED_TO_MONO = "file_summed_to_mono"
    SIDES_ASSUMED = "sides_assumed"
    TOMS_AS_IN_ENST = "toms_as_in_enst"
    ROLE_UNKNOWN = "role_unknown"
    ROLE_CLAIMED_TWICE = "role_claimed_twice"
    # What looks wrong with a file.
    FILE_UNREADABLE = "file_unreadable"
    TOO_MANY_CHANNELS = "too_many_channels"
    FILE_SILENT = "file_silent"
    FILE_LOW_LEVEL = "file_low_level"
    FILE_CLIPPED = "file_clipped"
    DC_OFFSET = "dc_offset"
    RATE_TOO_LOW = "rate_too_low"
    MONO_AS_STEREO = "mono_as_stereo"
    IDENTICAL_TWINS = "identical_twins"
    POLARITY_INVERTED = "polarity_inverted"
    # The level of a mix.
    TURNED_DOWN = "turned_down"
    LOUDNESS_UNKNOWN = "loudness_unknown"
    LOUDNESS_LIMITED = "loudness_limited"
    # A mixer and its inputs.
    INPUT_COMBINED = "input_combined"
    INPUT_SILENT = "input_silent"
    STEM_UNHEARD = "stem_unheard"
    LEVEL_SET = "level_set"
    ONLY_BLEED = "only_bleed"
    MIXED_AT_OTHER_RATE = "mixed_at_other_rate"
    WEIGHTS_FOR_OTHER_TARGET = "weights_for_other_target"
    TEST_SIGNAL = "test_signal"
    # A style beside the session it mixes.
    STYLE_MICROPHONE_NEW = "style_microphone_new"
    STYLE_MICROPHONE_UNKNOWN = "style_microphone_unknown"
    STYLE_MICROPHONE_MISSING = "style_microphone_missing"
    # A mix beside its stems, for a style or for fine-tuning.
    MIX_IS_MONO = "mix_is_mono"
    MIX_RESAMPLED = "mix_resampled"
    MIX_STARTS_APART = "mix_starts_apart"
    MIX_MATCHES_IN_PART = "mix_matches_in_part"
    MIX_CLIPPED = "mix_clipped"
    MIX_DOUBTFUL = "mix_doubtful"
    MIX_POLARITY_INVERTED = "mix_polarity_inverted"
    PLATE_SENDS_FOUND = "plate_sends_found"
    MICROPHONE_NOT_LEARNED = "microphone_not_learned"
    # A corpus.
    SESSIONS_LEFT_OUT = "sessions_left_out"
    KIT_CHANNEL_UNKNOWN = "kit_channel_unknown"
    KIT_INSTRUMENT_UNKNOWN = "kit_instrument_unknown"
    NOTE_UNPLAYED = "note_unplayed"
    ITEMS_LIMITED = "items_limited"
    # Work on many items.
    TRIED_AGAIN = "tried_again"
    # Files that are compared.
    COMPARED_RESAMPLED = "compared_resampled"
    COMPARED_MONO = "compared_mono"
    COMPARED_SILENT = "compared_silent"
    COMPARED_LATE = "compared_late"
    COMPARED_ALIGNED = "compared_aligned"
    COMPARED_LONGER = "compared_longer"
    # An evaluation and its report.
    RESULTS_MADE_ANEW = "results_made_anew"
    ITEMS_NOT_ON_PAGE = "items_not_on_page"
    ITEM_NOT_ON_PAGE = "item_not_on_page"
    # Listening tests.
    CHARACTERS_REPLACED = "characters_replaced"
    SWITCHES_CROSS_FADE = "switches_cross_fade"
    REFERENCE_IS_GIVEN = "reference_is_given"
    REPEATS_LEFT_OUT = "repeats_left_out"


@dataclass(frozen=True, eq=True)
class Notice:
    """Something that a person should know about a result.

    Args:
        code: What it says.
        about: The file, microphone, item or parameter that it is about; empty for the whole.
        values: What is to be known of it, plain data that JSON can hold, units in the names.
        within: The session or corpus that it was found in, where there are several.
    """

    code: Code
    about: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    within: str = ""

    @classmethod
    def of(cls, code: Code, about: str = "", **values: Any) -> Self:
        """A notice with its values as keywords."""
        return cls(code, str(about), values)

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return Severity.WARNING if self.code in WARNINGS else Severity.INFO

    def sentence(self, spelling: Spelling = in_python) -> str:
        """What it says, with parameters as `spelling` writes them."""
        from drummix.notices.wording import sentence  # the sentences stand on this module

        return sentence(self, spelling)

    def __str__(self) -> str:
        return self.sentence()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without a sentence."""
        return {
            "code": self.code.value,
            "severity": self.severity.value,
            "about": self.about,
            "values": dict(self.values),
            **({"within": self.within} if self.within else {}),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """A notice out of what `to_dict` gave."""
        values = dict(plain["values"])
        return cls(Code(plain["code"]), plain["about"], values, plain.get("within", ""))


WARNINGS: frozenset[Code] = frozenset(
    {
        Code.FILE_OF_OTHER_FORMAT,
        Code.ROLE_UNKNOWN,
        Code.ROLE_CLAIMED_TWICE,
        Code.FILE_UNREADABLE,
        Code.TOO_MANY_CHANNELS,
        Code.FILE_SILENT,
        Code.FILE_LOW_LEVEL,
        Code.FILE_CLIPPED,
        Code.DC_OFFSET,
        Code.RATE_TOO_LOW,
        Code.MONO_AS_STEREO,
        Code.IDENTICAL_TWINS,
        Code.POLARITY_INVERTED,
        Code.SESSIONS_LEFT_OUT,
        Code.KIT_CHANNEL_UNKNOWN,
        Code.NOTE_UNPLAYED,
        Code.TRIED_AGAIN,
        Code.LOUDNESS_UNKNOWN,
        Code.LOUDNESS_LIMITED,
        Code.WEIGHTS_FOR_OTHER_TARGET,
        Code.STYLE_MICROPHONE_UNKNOWN,
        Code.MIX_CLIPPED,
        Code.MIX_DOUBTFUL,
        Code.MIX_POLARITY_INVERTED,
        Code.COMPARED_SILENT,
        Code.COMPARED_LATE,
        Code.ITEM_NOT_ON_PAGE,
        Code.CHARACTERS_REPLACED,
    }
)
"""The codes that are warnings; all others inform."""

OnNotice = Callable[[Notice], None]
"""What is called with a notice as soon as it is known, where work takes long."""
