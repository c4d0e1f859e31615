"""What looks wrong with files, from what was measured of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from drummix.inspection.measuring import Measurement
from drummix.inspection.polarity import CONFIDENT_SCORE, PolarityPair
from drummix.notices import Code, Notice
from drummix.roles import Role
from drummix.session import Stem

SILENT_DBFS = -80.0
LOW_DBFS = -40.0
"""Unplayed toms of real takes peak at about -36 dBFS from bleed alone."""
DC_OFFSET = 0.001
"""-60 dBFS; converters' own offsets are far below."""


def level_findings(name: str, measurement: Measurement, n_roles: int) -> Iterator[Notice]:
    """What its samples show of a file: silence, clipping, DC, equal channels.

    Args:
        name: Name of the file.
        measurement: What was measured of it.
        n_roles: How many microphones it stands for.
    """
    peak_dbfs = measurement.peak_dbfs
    n_channels = len(measurement.channel_digests)
    peak = {"peak_dbfs": round(peak_dbfs, 2) if math.isfinite(peak_dbfs) else None}
    if n_channels > 2:
        yield Notice.of(Code.TOO_MANY_CHANNELS, name, n_channels=n_channels)
    if peak_dbfs < SILENT_DBFS:
        yield Notice(Code.FILE_SILENT, name, peak)
    elif peak_dbfs < LOW_DBFS:
        yield Notice(Code.FILE_LOW_LEVEL, name, peak)
    if measurement.n_clipped_runs and measurement.first_clipped_s is not None:
        yield Notice.of(
            Code.FILE_CLIPPED,
            name,
            n_places=measurement.n_clipped_runs,
            first_s=round(measurement.first_clipped_s, 3),
        )
    if abs(measurement.dc_offset) > max(DC_OFFSET, measurement.dc_by_chance):
        yield Notice.of(Code.DC_OFFSET, name, mean=round(measurement.dc_offset, 6))
    if measurement.channels_are_equal and peak_dbfs >= SILENT_DBFS:
        yield Notice.of(Code.MONO_AS_STEREO, name, is_pair=n_roles == 2)


def twin_findings(measurements: Mapping[str, Measurement]) -> Iterator[Notice]:
    """Files that hold the same samples: a notice about each, in the order of the files."""
    same: defaultdict[tuple[bytes, ...], list[str]] = defaultdict(list)
    for name, measurement in measurements.items():
        if measurement.peak_dbfs >= SILENT_DBFS:
            # A mono file and a stereo file of twice the same are twins too.
            same[tuple(dict.fromkeys(measurement.channel_digests))].append(name)
    for names in same.values():
        for name in names:
            if others := [other for other in names if other != name]:
                yield Notice.of(Code.IDENTICAL_TWINS, name, others=others)


def polarity_findings(
    stems: Sequence[Stem], pairs: Sequence[PolarityPair], scores: Sequence[float]
) -> Iterator[Notice]:
    """Microphones whose polarity is opposite to what it should be beside their partners.

    Args:
        stems: The session's stems.
        pairs: Which of them were compared.
        scores: +1.0 (same) to -1.0 (opposite) for each pair.
    """
    for pair, score in zip(pairs, scores, strict=True):
        stem = stems[pair.stem]
        # A bottom microphone is opposite to the top one by nature, and mixers turn it.
        surprise = score if stem.role is Role.SNARE_BOTTOM else -score
        if surprise >= CONFIDENT_SCORE:
            values = {
                "role": stem.role.value,
                "partners": [stems[index].role.value for index in pair.partners],
                "partner_files": [stems[index].source for index in pair.partners],
                "confidence": round(surprise, 3),
            }
            yield Notice(Code.POLARITY_INVERTED, stem.source, values)
