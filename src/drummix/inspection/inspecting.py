"""All files of a session measured, with what looks wrong about each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from drummix.audio import Audio, AudioInfo, resampled_length
from drummix.errors import AudioFileError
from drummix.inspection.findings import level_findings, polarity_findings, twin_findings
from drummix.inspection.measuring import Measurement, measure
from drummix.inspection.polarity import polarity_pairs, polarity_scores
from drummix.inspection.report import FileReport
from drummix.levels import MIN_RATE_HZ
from drummix.notices import Code, Notice
from drummix.roles import LEFT_OUT_ROLES, Candidate, Casting, cast
from drummix.session import Entry, Session, Stem, common_rate_hz, gather
from drummix.session.gathering import Roles, Source


def inspect_session(source: Source, *, roles: Roles | None = None) -> list[FileReport]:
    """Measure every file of a session and say what looks wrong.

    Unlike `open_session` it stops at nothing that is wrong with a file: an unreadable one, an
    unknown name and two files of one role are findings.

    Args:
        source: A folder, or role or name -> path or `Audio`, as for `open_session`.
        roles: Role -> file name, as for `open_session`.

    Returns:
        A report for every sound file, in the order of the names.

    Raises:
        SessionError: If the folder is missing or holds no sound file, or ``session.toml`` is wrong.
        RoleError: If `roles` names no role or no file.
    """
    gathered = gather(source, roles=roles)
    reports = {entry.name: FileReport(entry.name, (), "") for entry in gathered.entries}
    findings: defaultdict[str, list[Notice]] = defaultdict(list)
    measurements: dict[str, Measurement] = {}
    for entry in gathered.entries:
        try:
            measurements[entry.name] = _measure(entry)
        except AudioFileError as error:
            findings[entry.name].append(
                Notice.of(Code.FILE_UNREADABLE, entry.name, problem=str(error))
            )
    entries = {e.name: e for e in gathered.entries if e.info is not None}
    casting = cast(
        [
            Candidate(entry.name, entry.info.n_channels if entry.info else 1, entry.said)
            for entry in gathered.entries
        ]
    )
    _note_roles(casting, reports, findings)
    for name, measurement in measurements.items():
        reports[name] = _with_numbers(reports[name], _info(entries[name]), measurement)
        findings[name] += level_findings(name, measurement, len(reports[name].roles))
    sound = {name: entry for name, entry in entries.items() if name in measurements}
    stems = _stems(casting, sound)
    for twin in twin_findings(measurements):
        findings[twin.about].append(twin)
    if stems:
        rate_hz = common_rate_hz({stem.source: stem.info for stem in stems}.values())
        _note_differences(stems, rate_hz, findings)
        _note_polarity(stems, rate_hz, sound, findings)
    return [replace(report, findings=tuple(findings[name])) for name, report in reports.items()]


def _measure(entry: Entry) -> Measurement:
    if entry.error is not None:
        raise entry.error
    return measure(entry.content)


def _info(entry: Entry) -> AudioInfo:
    assert entry.info is not None
    return entry.info


def _note_roles(
    casting: Casting,
    reports: dict[str, FileReport],
    findings: Mapping[str, list[Notice]],
) -> None:
    for part in casting.parts:
        report = reports[part.name]
        why = part.why.removesuffix(", left channel").removesuffix(", right channel")
        reports[part.name] = replace(report, roles=(*report.roles, part.role.value), why=why)
        if part.role in LEFT_OUT_ROLES:
            findings[part.name].append(Notice.of(Code.FILE_LEFT_OUT, part.name, why=part.why))
    for question in casting.questions:
        for name in question.values["files"]:
            findings[name].append(replace(question, about=name))


def _with_numbers(report: FileReport, info: AudioInfo, measurement: Measurement) -> FileReport:
    return replace(
        report,
        format=info.format,
        subtype=info.subtype,
        rate_hz=info.rate_hz,
        n_channels=info.n_channels,
        n_samples=info.n_samples,
        duration_s=info.duration_s,
        peak_dbfs=measurement.peak_dbfs,
        rms_dbfs=measurement.rms_dbfs,
        lufs=measurement.lufs,
        dc_offset=measurement.dc_offset,
    )


def _stems(casting: Casting, entries: Mapping[str, Entry]) -> tuple[Stem, ...]:
    return tuple(
        Stem(part.role, part.name, part.channel, part.why, _info(entries[part.name]))
        for part in casting.parts
        if part.role not in LEFT_OUT_ROLES
        and part.name in entries
        and _info(entries[part.name]).n_channels <= 2
    )


def _note_differences(
    stems: Sequence[Stem], rate_hz: int, findings: Mapping[str, list[Notice]]
) -> None:
    infos = {stem.source: stem.info for stem in stems}
    longest_s = max(info.duration_s for info in infos.values())
    for name, info in infos.items():
        if rate_hz == info.rate_hz < MIN_RATE_HZ:
            rates = {"rate_hz": rate_hz, "min_hz": MIN_RATE_HZ}
            findings[name].append(Notice(Code.RATE_TOO_LOW, name, rates))
        if info.rate_hz != rate_hz:
            rates = {"from_hz": info.rate_hz, "to_hz": rate_hz}
            findings[name].append(Notice(Code.FILE_RESAMPLED, name, rates))
        if longest_s - info.duration_s > 1.5 / rate_hz:
            lengths = {"from_s": info.duration_s, "to_s": longest_s}
            findings[name].append(Notice(Code.FILE_PADDED, name, lengths))


def _note_polarity(
    stems: tuple[Stem, ...],
    rate_hz: int,
    entries: Mapping[str, Entry],
    findings: Mapping[str, list[Notice]],
) -> None:
    pairs = polarity_pairs(stems)
    if not pairs:
        return
    contents: dict[str, Path | Audio] = {name: entry.content for name, entry in entries.items()}
    session = _session(stems, rate_hz, contents)
    for finding in polarity_findings(stems, pairs, polarity_scores(session, pairs)):
        findings[finding.about].append(finding)


def _session(
    stems: tuple[Stem, ...], rate_hz: int, contents: Mapping[str, Path | Audio]
) -> Session:
    n_samples = max(
        resampled_length(stem.info.n_samples, stem.info.rate_hz, rate_hz) for stem in stems
    )
    return Session("", None, rate_hz, n_samples, stems, (), (), contents)
