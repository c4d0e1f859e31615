"""The picture of one item: what is in it, and what is refused."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from drummix.audio import Audio, make_folder, write
from drummix.cli import app
from drummix.corpus.hits import ItemHit
from drummix.corpus.kit import Piece
from drummix.corpus.manifest import TARGETS, CorpusItem, write_manifest
from drummix.errors import SettingError
from drummix.picture import item as item_picture
from drummix.picture.item import ItemPicture, draw_item, draw_picture
from drummix.roles import PAPER_ROLES, Role

RATE_HZ = 8_000
N_SAMPLES = 2 * RATE_HZ
HITS = (ItemHit(0.5, Piece.KICK, 90), ItemHit(1.0, Piece.SNARE, 127), ItemHit(1.5, Piece.RIDE, 60))


def tone(n_channels: int, hz: float) -> np.ndarray:
    times = np.arange(N_SAMPLES) / RATE_HZ
    return np.tile(0.5 * np.sin(2 * np.pi * hz * times), (n_channels, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    item = CorpusItem(
        item="one",
        part="test",
        kit="tones",
        performance="p",
        style="rock",
        seed=0,
        engineer=0,
        licence="",
        rate_hz=RATE_HZ,
        n_samples=N_SAMPLES,
        extension="wav",
        stem_peak_dbfs=-6.0,
        dry_peak_dbfs=-6.0,
        wet_peak_dbfs=-6.0,
        sha256="",
    )
    for path in item.paths(folder):
        make_folder(path.parent)
    for slot, role in enumerate(PAPER_ROLES):
        silence = 0.0 if role is Role.TOM_LOW else 1.0
        write(item.stem_path(folder, role), Audio(silence * tone(1, 100.0 * (slot + 1)), RATE_HZ))
    for target in TARGETS:
        write(item.mix_path(folder, target), Audio(tone(2, 200.0), RATE_HZ))
    hits = [
        {"time_s": hit.time_s, "piece": str(hit.piece), "velocity": hit.velocity} for hit in HITS
    ]
    make_folder(folder / "items")
    (folder / "items" / "one.json").write_text(json.dumps({"hits": hits}))
    write_manifest(folder, [item])
    return folder


def size_of(png: Path) -> tuple[int, int]:
    """Width and height in pixels, from the PNG's first chunk."""
    head = png.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["corpus", "picture", *(str(a) for a in arguments)])


def test_command_writes_a_png_and_prints_its_path(corpus: Path, tmp_path: Path) -> None:
    result = run(corpus, "one", "-o", tmp_path / "one.png")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{tmp_path / 'one.png'}\n"
    width, height = size_of(tmp_path / "one.png")
    # 11 inches at 110 dots an inch; a row for the hits, each stem, mix and spectrum.
    assert width == 1210
    assert 900 < height < 1300
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[ItemPicture]:
    """What would be drawn, without drawing it."""
    pictures: list[ItemPicture] = []

    def keep(target: Path, picture: ItemPicture) -> Path:
        pictures.append(picture)
        return target

    monkeypatch.setattr(item_picture, "draw_picture", keep)
    return pictures


def test_picture_holds_every_microphone_mix_and_hit(
    corpus: Path, tmp_path: Path, drawn: list[ItemPicture]
) -> None:
    draw_item(corpus, "one", tmp_path / "one.png")
    [picture] = drawn
    assert tuple(picture.stems) == PAPER_ROLES
    assert list(picture.mixes) == ["dry mix", "wet mix"]
    assert picture.hits == HITS
    assert (picture.start_s, picture.end_s) == (0.0, 2.0)
    for slot, role in enumerate(PAPER_ROLES):
        expected = 0.0 if role is Role.TOM_LOW else tone(1, 100.0 * (slot + 1))[0]
        np.testing.assert_allclose(picture.stems[role], expected, atol=2.0**-23)


def test_stretch_is_cut_out_and_keeps_its_times(
    corpus: Path, tmp_path: Path, drawn: list[ItemPicture]
) -> None:
    draw_item(corpus, "one", tmp_path / "a.png", start_s=0.5, length_s=0.25)
    draw_item(corpus, "one", tmp_path / "b.png", start_s=1.5, length_s=9.0)
    assert [(one.start_s, one.end_s) for one in drawn] == [(0.5, 0.75), (1.5, 2.0)]
    kick = drawn[0].stems[Role.KICK]
    assert kick is not None
    np.testing.assert_allclose(kick, tone(1, 100.0)[0, 4_000:6_000], atol=2.0**-23)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("two", "-o", "x.png"), "has no item 'two'; one that it has: one"),
        (("one", "-o", "x.jpg"), "give a picture a name that ends in .png"),
        (("one", "-o", "gone/x.png"), "gone"),
        (
            ("one", "-o", "x.png", "--start", "2"),
            "--start is 2, and 2 s from there are to be drawn; one lasts 2.0 s",
        ),
        (("one", "-o", "x.png", "--start", "-1"), "--start is -1"),
        (("one", "-o", "x.png", "--length", "0"), "0 s from there are to be drawn"),
        (("one", "-o", "x.png", "--start", "nan"), "--start is nan"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_input_is_one_line_and_writes_nothing(
    arguments: tuple[str, ...],
    problem: str,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(corpus, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert problem in line
    assert list(tmp_path.iterdir()) == []


def test_short_silent_item_without_hits_or_a_microphone_can_be_drawn(tmp_path: Path) -> None:
    mixes = {"dry mix": Audio(np.zeros((2, 50), np.float32), RATE_HZ)}
    stems = {Role.KICK: None, Role.SNARE: np.zeros(50, np.float32)}
    draw_picture(tmp_path / "x.png", ItemPicture("silence", stems, mixes, None))
    assert size_of(tmp_path / "x.png")[0] == 1210


def test_file_that_is_no_picture_is_refused_before_the_corpus_is_read(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"ends in \.png"):
        draw_item(tmp_path / "gone", "one", tmp_path / "one.pdf")
