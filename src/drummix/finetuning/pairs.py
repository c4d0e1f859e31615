"""Which mix belongs to which session: said by the user, or found in the session's own folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drummix.audio import AUDIO_SUFFIXES
from drummix.errors import SessionError
from drummix.session.gathering import Roles

MIX_NAMES = ("mix", "drum mix", "drums mix", "drum_mix", "drums_mix", "drum-mix", "drums-mix")
"""Names, without suffix and in any case, of a mix that lies among its stems."""


@dataclass(frozen=True)
class Pair:
    """A session's folder and its mix.

    Args:
        folder: Folder with the microphone tracks.
        mix: The mix that was made of them.
    """

    folder: Path
    mix: Path

    @property
    def name(self) -> str:
        """What messages, tables and model cards call it: the folder's name."""
        return self.folder.resolve().name

    def roles(self, roles: Roles | None) -> dict[str, list[str]]:
        """The user's roles; a mix that lies among the stems is none of them."""
        said = {
            role: [files] if isinstance(files, str) else list(files)
            for role, files in (roles or {}).items()
        }
        if self.mix.resolve().parent == self.folder.resolve():
            said["ignore"] = [*said.get("ignore", []), self.mix.name]
        return said


def parse_pair(text: str) -> Pair:
    """Read ``FOLDER=MIX``, or ``FOLDER`` with a file called ``mix`` in it.

    Args:
        text: What the user typed. An equals sign may be part of either name.

    Raises:
        SessionError: If there is no such folder, no mix, or more than one.
    """
    if Path(text).is_dir():
        return Pair(Path(text), _mix_in(Path(text)))
    at = [place for place, character in enumerate(text) if character == "="]
    splits = [(Path(text[:place]), Path(text[place + 1 :])) for place in at]
    pairs = [(folder, mix) for folder, mix in splits if folder.is_dir()] or splits
    if not pairs:
        raise SessionError(
            f"{text} does not exist; give a folder of microphone tracks as FOLDER=MIX, "
            'as in "song 1=song 1 mix.wav"'
        )
    folder, mix = pairs[0]
    if not folder.is_dir():
        raise SessionError(f"{folder} is no folder; give FOLDER=MIX, the microphone tracks first")
    if not mix.is_file():
        raise SessionError(f"{mix} is no file; expected the finished mix of {folder}")
    return Pair(folder, mix)


def check_pairs(pairs: tuple[Pair, ...]) -> None:
    """Refuse sessions that could not be told apart.

    Raises:
        SessionError: If two are the same folder, or folders of one name.
    """
    seen: dict[str, Pair] = {}
    for pair in pairs:
        other = seen.setdefault(pair.name, pair)
        if other is not pair:
            same = other.folder.resolve() == pair.folder.resolve()
            raise SessionError(
                f"{pair.folder} is given twice"
                if same
                else f"{other.folder} and {pair.folder} have one name; rename one of them"
            )


def _mix_in(folder: Path) -> Path:
    found = sorted(
        path
        for path in folder.iterdir()
        if path.is_file()
        and path.suffix.lower() in AUDIO_SUFFIXES
        and path.stem.lower() in MIX_NAMES
    )
    if not found:
        raise SessionError(
            f"{folder} has no mix; give it as {folder}=MIX.wav, or put it there as mix.wav"
        )
    if len(found) > 1:
        names = ", ".join(f'"{path.name}"' for path in found)
        raise SessionError(f"{folder} holds several mixes ({names}); say which: {folder}=MIX.wav")
    return found[0]
