"""What is said of a mix beside its stems, by `match` and by fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence

from drummix.errors import Spelling
from drummix.notices import Code, Notice
from drummix.notices.wording.book import each, listed, together


@each(Code.MIX_IS_MONO)
def _mix_is_mono(notice: Notice, spelling: Spelling) -> str:
    return f"{notice.about} is mono: every microphone is mixed to the centre"


@each(Code.MIX_RESAMPLED)
def _mix_resampled(notice: Notice, spelling: Spelling) -> str:
    mix_hz, stems_hz = notice.values["mix_rate_hz"], notice.values["session_rate_hz"]
    return f"{notice.about} is {mix_hz} Hz: resampled to the stems' {stems_hz} Hz"


@each(Code.MIX_STARTS_APART)
def _mix_starts_apart(notice: Notice, spelling: Spelling) -> str:
    late_ms = notice.values["mix_late_ms"]
    late, early = ("mix", "stems") if late_ms > 0.0 else ("stems", "mix")
    return f"start of the {late}: {abs(late_ms):.2f} ms after that of the {early}"


@each(Code.MIX_MATCHES_IN_PART)
def _mix_matches_in_part(notice: Notice, spelling: Spelling) -> str:
    of = notice.values
    used = {"match": "learned from", "finetune": "used from"}[of["purpose"]]
    return (
        f"{used} {of['start_s']:.1f} s to {of['stop_s']:.1f} s of the stems' "
        f"{of['session_s']:.1f} s: the mix has no more, or differs there"
    )


@each(Code.MIX_CLIPPED)
def _mix_clipped(notice: Notice, spelling: Spelling) -> str:
    done = {
        "bounded": "taken for at least as loud as they are, not for what they are",
        "kept": "they disturb the filters a little, for it is not at the stems' rate",
        "learned": "the network learns that too",
    }[notice.values["treatment"]]
    return f"{notice.about} is clipped ({notice.values['n_samples']} samples): {done}"


@each(Code.MIX_DOUBTFUL)
def _mix_doubtful(notice: Notice, spelling: Spelling) -> str:
    explained, usual = notice.values["explained_share"], notice.values["usual_share"]
    return (
        f"doubtful: the stems explain {explained:.0%} of {notice.about}, most mixes of their own "
        f"stems more than {usual:.0%}; is it of exactly this take, with no other instruments in it?"
    )


@each(Code.MIX_POLARITY_INVERTED)
def _mix_polarity_inverted(notice: Notice, spelling: Spelling) -> str:
    return (
        "the mixes have the opposite polarity to the stems: they are learned with their polarity "
        "inverted"
    )


@each(Code.PLATE_SENDS_FOUND)
def _plate_sends_found(notice: Notice, spelling: Spelling) -> str:
    return f"the plate hears {listed(notice.values['microphones'])}"


@together(Code.MICROPHONE_NOT_LEARNED)
def _microphone_not_learned(notices: Sequence[Notice], spelling: Spelling) -> str:
    return (
        f"not learned, for it is never played here: {listed(one.about for one in notices)}; where "
        "another song plays it, it is mixed as the nearest tom that is known"
    )
