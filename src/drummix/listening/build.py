"""A study file and its mixes as a folder that can be served.

    STUDY/study.json       everything declared, which file is which, and the study's secrets
    STUDY/audio/*.wav      the stimuli, under opaque names
    STUDY/results.sqlite   everything the listeners do

`study.json` tells systems from names and holds the experimenter's token: it is readable by its
owner alone, and the server never sends it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, Literal

from drummix.audio import AUDIO_SUFFIXES, Audio, atomic_path, make_folder, write
from drummix.errors import AudioFileError, OutputError, TextFileError
from drummix.listening.design import Design
from drummix.listening.store import DATABASE_NAME, ResultStore, Stimulus, create_store
from drummix.listening.study import Item, Study, read_study
from drummix.plain_data import Matching, Sized, read_json

if TYPE_CHECKING:
    from drummix.listening.stimuli import PreparedItem

STUDY_NAME = "study.json"
AUDIO_FOLDER = "audio"
_SCHEMA = 1

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class StimulusFile:
    """A stimulus on the disk.

    Args:
        stimulus: Opaque name; its file is `stimulus`.wav.
        item: What was mixed.
        system: What mixed it.
        role: ``reference``, ``test`` or ``anchor``.
        source: The file it was made from.
        start_s: Where the excerpt starts in it.
        duration_s: Length of the excerpt.
        gain_db: Gain that was applied.
        lufs: Loudness.
        true_peak_dbtp: True peak.
    """

    stimulus: str
    item: str
    system: str
    role: str
    source: str
    start_s: float
    duration_s: float
    gain_db: float
    lufs: float
    true_peak_dbtp: float


@dataclass(frozen=True)
class BuiltStudy:
    """A study that can be served.

    Args:
        folder: Where it is.
        study: Everything declared.
        stimuli: The stimuli, item by item.
        secret: Key of every opaque name.
        admin_token: What opens the experimenter's page.
        notices: What a person should know.
    """

    folder: Path
    study: Study
    stimuli: tuple[StimulusFile, ...]
    secret: str
    admin_token: str
    notices: tuple[str, ...]

    @property
    def design(self) -> Design:
        """What every listener's plan is drawn from."""
        items: dict[str, list[str]] = {}
        for one in self.stimuli:
            items.setdefault(one.item, []).append(one.stimulus)
        training = (
            None if self.study.training == "none" else self.study.training or next(iter(items))
        )
        return Design(items, self.study.seed, training, self.study.repeats, self.study.initial)

    def audio_path(self, stimulus: str) -> Path:
        """The file of a stimulus."""
        return self.folder / AUDIO_FOLDER / f"{stimulus}.wav"


@dataclass(frozen=True)
class _Card:
    """What `study.json` holds."""

    schema: Literal[1]
    study: Study
    stimuli: tuple[StimulusFile, ...]
    secret: Annotated[str, Matching("[0-9a-f]{64}", "64 hexadecimal digits")]
    admin_token: Annotated[str, Sized(16, 100)]
    notices: tuple[str, ...]


def build_study(study_file: Path, out: Path, *, progress: Progress | None = None) -> BuiltStudy:
    """Make a study's stimuli and an empty store for its results.

    Args:
        study_file: The TOML file; relative paths in it start from its folder.
        out: Folder of the study; made if missing. An older build without results is replaced.
        progress: Called with what is being done, what is done of it, and all of it.

    Raises:
        TextFileError: If the study file is wrong.
        SettingError: If it does not fit its mixes, or two systems sound the same.
        AudioFileError: If a mix is missing, silent, or not as long as the others.
        OutputError: If the folder holds results, or something else.
    """
    # Not above: a server reads studies too, and needs none of the signal processing.
    from drummix.listening.stimuli import prepare_item

    study = read_study(study_file)
    base = study_file.resolve().parent
    items = _items(study, base)
    sources = {
        name: {system: _source(study, base, name, item, system) for system in study.systems}
        for name, item in items.items()
    }
    _check_design(study, list(items))
    _make_room(out)
    secret = secrets.token_hex(32)
    stimuli: list[StimulusFile] = []
    notices: list[str] = []
    for number, (name, item) in enumerate(items.items()):
        if progress is not None:
            progress("stimuli", number, len(items))
        prepared = prepare_item(study, name, sources[name], start_s=item.start_s)
        notices += prepared.notices
        stimuli += _write_item(study, out, secret, name, prepared)
    if progress is not None:
        progress("stimuli", len(items), len(items))
    # In the order of their names: the order of systems in the study file leaves no trace.
    stimuli.sort(key=lambda one: (list(items).index(one.item), one.stimulus))
    built = BuiltStudy(
        out, study, tuple(stimuli), secret, secrets.token_urlsafe(24), tuple(notices)
    )
    create_store(
        out / DATABASE_NAME,
        study=study.name,
        rules=study.rules,
        stimuli=[Stimulus(s.stimulus, s.item, s.system, s.role) for s in stimuli],
        screening=study.screening.to_mapping(),
        questions=[asdict(question) for question in study.questions],
    )
    _write_card(built)
    return built


def read_built(folder: Path) -> BuiltStudy:
    """Read a study that was built.

    Raises:
        SettingError: If the folder is no study.
        TextFileError: If its card is damaged.
    """
    path = folder / STUDY_NAME
    if not path.is_file():
        raise TextFileError(
            f"{path} does not exist; make the study: drummix listen build STUDY.toml -o {folder}"
        )
    card = read_json(path, _Card, error=TextFileError, hint="build the study again")
    return BuiltStudy(folder, card.study, card.stimuli, card.secret, card.admin_token, card.notices)


def opaque(secret: str, *what: object) -> str:
    """A name that tells nothing of what it names to whoever lacks the secret."""
    message = "\0".join(str(part) for part in what).encode()
    return hmac.new(bytes.fromhex(secret), message, hashlib.sha256).hexdigest()[:24]


def _items(study: Study, base: Path) -> dict[str, Item]:
    if study.items:
        return dict(study.items)
    mixes = base / study.mixes
    found = sorted(path.name for path in mixes.iterdir() if path.is_dir()) if mixes.is_dir() else []
    if not found:
        raise TextFileError(
            f"{mixes} holds no folder; put the mixes there as ITEM/SYSTEM.wav, name another "
            "folder by mixes, or name each item's files"
        )
    return {name: Item() for name in found if not name.startswith(".")}


def _source(study: Study, base: Path, name: str, item: Item, system: str) -> Path:
    """The file of a system, for one item."""
    if system in item.files:
        path = base / item.files[system]
        if not path.is_file():
            raise AudioFileError(f"{path} does not exist; items.{name}.files names it")
        return path
    kind = study.systems[system]
    filtered = study.systems.get(kind.source)
    if kind.is_filtered and filtered is not None and not filtered.is_filtered:
        # An anchor is made from the mix of another system, wherever that lies.
        return _source(study, base, name, item, kind.source)
    folder, stem = base / study.mixes / name, kind.source or system
    here = sorted(folder.iterdir()) if folder.is_dir() else []
    matches = [
        p for p in here if p.stem == stem and p.suffix.lower() in AUDIO_SUFFIXES and p.is_file()
    ]
    if len(matches) != 1:
        others = ", ".join(p.name for p in matches or here) or "nothing"
        raise AudioFileError(
            f"{folder} holds {len(matches)} sound files called {stem} ({system}; found: "
            f"{others}); expected one, such as {stem}.wav"
        )
    return matches[0]


def _check_design(study: Study, items: list[str]) -> None:
    if study.training not in ("", "none", *items):
        raise TextFileError(
            f"training is {study.training!r}, which is none of the items: {', '.join(items)}"
        )
    if study.repeats > len(items):
        raise TextFileError(f"repeats is {study.repeats}, but there are {len(items)} items")


def _make_room(out: Path) -> None:
    """Make the folder, or clear an older build out of it; never results, never other files."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; name another folder for the study: -o FOLDER")
    database = out / DATABASE_NAME
    if database.exists():
        with ResultStore(database, is_read_only=True) as store:
            if n_sessions := len(store.sessions()):
                raise OutputError(
                    f"{out} holds the results of {n_sessions} listeners, which a new build would "
                    "orphan; build into another folder: -o FOLDER"
                )
    ours = {STUDY_NAME, AUDIO_FOLDER, *(DATABASE_NAME + end for end in ("", "-wal", "-shm"))}
    strange = sorted(p.name for p in out.iterdir() if p.name not in ours) if out.is_dir() else []
    if strange:
        raise OutputError(
            f"{out} holds {strange[0]!r}, which is no part of a study; "
            "name another folder for it: -o FOLDER"
        )
    make_folder(out / AUDIO_FOLDER)
    # The card goes first: a build that is stopped half-way cannot be served.
    names = sorted(ours - {AUDIO_FOLDER}, reverse=True)
    try:
        for path in (*(out / name for name in names), *(out / AUDIO_FOLDER).glob("*.wav")):
            path.unlink(missing_ok=True)
        # Now, and not after minutes of work.
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written: {error.strerror or error}; "
            "build into another folder: -o FOLDER"
        ) from error


def _write_item(
    study: Study, out: Path, secret: str, item: str, prepared: PreparedItem
) -> list[StimulusFile]:
    written = []
    for system, one in prepared.stimuli.items():
        name = opaque(secret, "stimulus", item, system)
        audio = Audio(one.samples, study.rate_hz)
        write(out / AUDIO_FOLDER / f"{name}.wav", audio, subtype=f"PCM_{study.bits}")
        written.append(
            StimulusFile(
                stimulus=name,
                item=item,
                system=system,
                role=study.systems[system].role,
                source=str(one.source),
                start_s=prepared.start_s,
                duration_s=prepared.duration_s,
                gain_db=round(one.gain_db, 3),
                lufs=round(one.lufs, 3),
                true_peak_dbtp=round(one.true_peak_dbtp, 3),
            )
        )
    return written


def _write_card(built: BuiltStudy) -> None:
    card: Mapping[str, Any] = {
        "schema": _SCHEMA,
        "study": {**asdict(built.study), "screening": built.study.screening.to_mapping()},
        "stimuli": [asdict(one) for one in built.stimuli],
        "secret": built.secret,
        "admin_token": built.admin_token,
        "notices": built.notices,
    }
    with atomic_path(built.folder / STUDY_NAME) as path:
        path.chmod(0o600)
        path.write_text(json.dumps(card, indent=2), encoding="utf-8")
