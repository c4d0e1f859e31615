"""Stimuli: one place, one length, one loudness, and no sign of the system."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import signal
from typer.testing import CliRunner

from drummix import audio, cli
from drummix.audio import Audio
from drummix.errors import AudioFileError, DrummixError, OutputError, TextFileError
from drummix.levels import integrated_lufs
from drummix.listening.build import BuiltStudy, build_study, read_built
from drummix.listening.enrolment import invite
from drummix.listening.results import read_ratings
from drummix.listening.stimuli import most_active_start, with_soft_edges

RATE = 44_100
SYSTEMS = ("human", "robot", "low")
STUDY = """
name = "pilot"
excerpt_s = 1.0
[systems.human]
role = "reference"
[systems.robot]
[systems.low]
role = "anchor"
source = "human"
"""


def drums(seed: int, seconds: float = 2.0, channels: int = 2, rate: int = RATE) -> Audio:
    """Noise bursts, four a second, of another colour for each seed."""
    rng = np.random.default_rng(seed)
    n = int(seconds * rate)
    envelope = np.exp(-(np.arange(n) % (rate // 4)) / (0.03 * rate))
    noise = rng.standard_normal((channels, n)) * envelope * 0.2
    coloured = signal.sosfilt(signal.butter(1, 2000 + 1000 * seed, fs=rate, output="sos"), noise)
    return Audio(coloured.astype(np.float32), rate)


def write_study(folder: Path, text: str = STUDY, items: tuple[str, ...] = ("one", "two")) -> Path:
    """Write a study file and its mixes."""
    for number, item in enumerate(items):
        (folder / "mixes" / item).mkdir(parents=True)
        for seed, system in enumerate(("human", "robot")):
            audio.write(folder / "mixes" / item / f"{system}.wav", drums(10 * number + seed))
    path = folder / "study.toml"
    path.write_text(text)
    return path


def samples_of(built: BuiltStudy, item: str, system: str) -> Audio:
    """Read one stimulus back."""
    [one] = [s for s in built.stimuli if (s.item, s.system) == (item, system)]
    return audio.read(built.audio_path(one.stimulus))


def test_every_stimulus_has_the_loudness_asked_for(tmp_path: Path) -> None:
    built = build_study(write_study(tmp_path), tmp_path / "study")
    for item in ("one", "two"):
        for system in SYSTEMS:
            found = samples_of(built, item, system)
            # 16 bits round 70 dB below the signal.
            assert integrated_lufs(found.samples, RATE) == pytest.approx(-28.0, abs=0.01)
    assert read_built(tmp_path / "study") == built


def test_another_loudness_rate_and_depth_are_heard(tmp_path: Path) -> None:
    text = "lufs = -33.0\nrate_hz = 48000\nbits = 24\n" + STUDY
    built = build_study(write_study(tmp_path, text), tmp_path / "study")
    found = samples_of(built, "one", "robot")
    assert integrated_lufs(found.samples, 48_000) == pytest.approx(-33.0, abs=0.01)
    info = audio.probe(built.audio_path(built.stimuli[0].stimulus))
    assert (info.rate_hz, info.subtype, info.n_samples) == (48_000, "PCM_24", 48_000)


def test_files_differ_in_nothing_but_their_sound(tmp_path: Path) -> None:
    built = build_study(write_study(tmp_path), tmp_path / "study")
    contents = [built.audio_path(one.stimulus).read_bytes() for one in built.stimuli]
    assert len({len(content) for content in contents}) == 1
    assert len({content[:44] for content in contents}) == 1
    assert contents[0][36:40] == b"data"  # nothing but the format stands before the sound
    assert len(contents[0]) == 44 + 4 * RATE
    assert all(re.fullmatch(r"[0-9a-f]{24}", one.stimulus) for one in built.stimuli)
    for name in (b"human", b"robot", b"low", b"one", b"two"):
        assert not any(name in content for content in contents)


def test_names_cannot_be_guessed_from_another_build(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    first = build_study(study, tmp_path / "a")
    second = build_study(study, tmp_path / "b")
    assert not {s.stimulus for s in first.stimuli} & {s.stimulus for s in second.stimuli}
    assert (tmp_path / "a" / "study.json").stat().st_mode & 0o077 == 0
    assert (tmp_path / "a" / "results.sqlite").stat().st_mode & 0o077 == 0


def test_the_anchor_meets_the_mask_of_bs1534(tmp_path: Path) -> None:
    built = build_study(write_study(tmp_path, "bits = 24\n" + STUDY), tmp_path / "study")
    whole, low = (samples_of(built, "one", s).samples[0] for s in ("human", "low"))
    frequencies, before = signal.welch(whole, RATE, nperseg=4096)
    _, after = signal.welch(low, RATE, nperseg=4096)
    gain_db = 10 * np.log10(after / before)
    passed = float(np.median(gain_db[(frequencies > 200) & (frequencies < 3000)]))
    # The level is set after the filter, so the pass band tells where 0 dB is. Welch's own leakage
    # keeps the reading at 4 kHz above the filter's.
    assert passed - gain_db[np.argmin(abs(frequencies - 4000))] > 25.0
    assert passed - np.max(gain_db[(frequencies > 4500) & (frequencies < 15_000)]) > 50.0


def test_the_papers_anchor_is_6_db_down_at_its_cutoff(tmp_path: Path) -> None:
    text = "bits = 24\n" + STUDY + 'low_pass = "paper"\n'
    built = build_study(write_study(tmp_path, text), tmp_path / "study")
    whole, low = (samples_of(built, "one", s).samples[0] for s in ("human", "low"))
    frequencies, before = signal.welch(whole, RATE, nperseg=2048)
    _, after = signal.welch(low, RATE, nperseg=2048)
    gain_db = 10 * np.log10(after / before)
    bass = float(np.median(gain_db[(frequencies > 50) & (frequencies < 300)]))
    assert bass - gain_db[np.argmin(abs(frequencies - 3500))] == pytest.approx(6.0, abs=0.5)


def test_the_most_active_place_is_found_for_all_systems_alike() -> None:
    quiet = 0.001 * np.random.default_rng(0).standard_normal((2, 10 * RATE))
    loud = quiet.copy()
    loud[:, 4 * RATE : 6 * RATE] *= 300.0
    crash = loud.copy()
    crash[:, 8 * RATE : 8 * RATE + RATE // 20] *= 900.0
    mixes = [loud.astype(np.float32), crash.astype(np.float32)]
    assert most_active_start(mixes, 2 * RATE, RATE) == pytest.approx(4 * RATE, abs=RATE // 10)
    assert most_active_start(mixes, 11 * RATE, RATE) == 0


def test_a_given_place_is_taken_and_both_ends_are_silent(tmp_path: Path) -> None:
    text = STUDY + "[items.one]\nstart_s = 0.5\n[items.two]\nstart_s = 1.4\n"
    built = build_study(write_study(tmp_path, text), tmp_path / "study")
    durations = {one.item: (one.start_s, one.duration_s) for one in built.stimuli}
    assert durations["one"] == (0.5, 1.0)
    assert durations["two"][0] == pytest.approx(1.4)
    assert durations["two"][1] == pytest.approx(0.6)
    found = samples_of(built, "one", "robot").samples
    source = audio.read(tmp_path / "mixes/one/robot.wav").samples[:, RATE // 2 : RATE * 3 // 2]
    middle = slice(RATE // 4, RATE // 2)
    gain = found[0, middle] @ source[0, middle] / np.sum(source[0, middle] ** 2)
    # Dither is at most one step, and rounding half of one.
    assert found[:, middle] == pytest.approx(gain * source[:, middle], abs=1.6 * 2.0**-15)
    assert abs(found[:, [0, -1]]).max() < 1e-3


def test_soft_edges_are_raised_cosines_of_5_ms() -> None:
    ones = np.ones((1, 2000), np.float32)
    faded = with_soft_edges(ones, 48_000)
    assert faded[0, 240:-240].min() == 1.0
    assert faded[0, 119] + faded[0, 120] == pytest.approx(1.0, abs=1e-6)
    assert faded[0, ::-1] == pytest.approx(faded[0], abs=1e-6)
    assert ones.min() == 1.0


def test_a_mono_mix_of_another_rate_sounds_on_both_sides(tmp_path: Path) -> None:
    study = write_study(tmp_path, items=("one",))
    audio.write(tmp_path / "mixes/one/robot.flac", drums(3, channels=1, rate=48_000))
    (tmp_path / "mixes/one/robot.wav").unlink()
    built = build_study(study, tmp_path / "study")
    left, right = samples_of(built, "one", "robot").samples
    # Each side has its own dither: at most a step, and half of one for rounding.
    assert np.abs(left - right).max() <= 3 * 2.0**-15
    assert len(left) == RATE


def test_a_stimulus_that_would_clip_is_trimmed_with_all_of_its_item(tmp_path: Path) -> None:
    text = "lufs = -12.0\n" + STUDY
    built = build_study(write_study(tmp_path, text), tmp_path / "study")
    assert len(built.notices) == 2
    assert re.search(
        r"one: at -12 LUFS (human|robot|low) would peak at .* dB lower", built.notices[0]
    )
    for item in ("one", "two"):
        ours = [one for one in built.stimuli if one.item == item]
        assert max(one.true_peak_dbtp for one in ours) == pytest.approx(-1.0, abs=0.02)
        assert max(one.true_peak_dbtp for one in ours) <= -1.0
        assert np.ptp([one.lufs for one in ours]) < 0.01
    refusing = tmp_path / "refuse.toml"
    refusing.write_text("too_loud = 'refuse'\n" + text)
    with pytest.raises(TextFileError, match=r"dBTP, above -1; lower lufs by"):
        build_study(refusing, tmp_path / "other")


def silence(folder: Path) -> None:
    audio.write(folder / "mixes/one/robot.wav", Audio(np.zeros((2, 2 * RATE), np.float32), RATE))


def shorten(folder: Path) -> None:
    audio.write(folder / "mixes/one/robot.wav", drums(1, seconds=1.5))


def copy(folder: Path) -> None:
    content = audio.read(folder / "mixes/one/human.wav")
    audio.write(folder / "mixes/one/robot.wav", Audio(0.5 * content.samples, RATE))


def remove(folder: Path) -> None:
    (folder / "mixes/one/robot.wav").unlink()


def double(folder: Path) -> None:
    audio.write(folder / "mixes/one/robot.flac", drums(1))


def surround(folder: Path) -> None:
    audio.write(folder / "mixes/one/robot.wav", drums(1, channels=6))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (silence, r"robot\.wav is silent in the excerpt"),
        (shorten, r"human\.wav is 2\.00 s long but .*robot\.wav 1\.50 s"),
        (copy, r"human and robot sound the same"),
        (remove, r"holds 0 sound files called robot .*found: human\.wav.*such as robot\.wav"),
        (double, r"holds 2 sound files called robot"),
        (surround, r"robot\.wav has 6 channels; expected mono or stereo"),
    ],
)
def test_mixes_that_make_no_stimuli_are_refused(
    tmp_path: Path, spoil: object, message: str
) -> None:
    study = write_study(tmp_path)
    assert callable(spoil)
    spoil(tmp_path)
    with pytest.raises((AudioFileError, TextFileError), match=message):
        build_study(study, tmp_path / "study")
    with pytest.raises(TextFileError, match=r"study\.json does not exist"):
        read_built(tmp_path / "study")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training = 'three'\n" + STUDY, "training is 'three'.* one, two"),
        ("repeats = 3\n" + STUDY, "repeats is 3, but there are 2 items"),
        ("mixes = 'nowhere'\n" + STUDY, "nowhere holds no folder"),
        (STUDY + "[items.one]\nstart_s = 1.9\n", "start_s is 1.9, but the mixes are 2.00 s"),
        (STUDY + "[items.one.files]\nrobot = 'r.wav'\n", r"r\.wav does not exist; items\.one"),
    ],
)
def test_a_study_that_does_not_fit_its_mixes_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DrummixError, match=message):
        build_study(write_study(tmp_path, text), tmp_path / "study")


def test_files_named_in_the_study_may_lie_anywhere(tmp_path: Path) -> None:
    text = STUDY + "[items.one.files]\nrobot = 'elsewhere/take 7.wav'\n"
    study = write_study(tmp_path, text)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mixes/one/robot.wav").rename(tmp_path / "elsewhere/take 7.wav")
    built = build_study(study, tmp_path / "study")
    assert {Path(s.source).name for s in built.stimuli if s.system == "robot"} == {"take 7.wav"}


def test_an_anchor_is_made_from_the_file_that_the_study_names_for_its_source(
    tmp_path: Path,
) -> None:
    text = STUDY + "[items.one.files]\nhuman = 'elsewhere/take 7.wav'\n"
    study = write_study(tmp_path, text)
    (tmp_path / "elsewhere").mkdir()
    mix = tmp_path / "mixes/one/human.wav"
    # What lies where it usually would is an older take.
    (tmp_path / "elsewhere/take 7.wav").write_bytes(mix.read_bytes())
    built = build_study(study, tmp_path / "study")
    sources = {(s.item, s.system): Path(s.source).name for s in built.stimuli}
    assert sources["one", "human"] == sources["one", "low"] == "take 7.wav"
    mix.unlink()
    build_study(study, tmp_path / "study")


def test_an_anchor_is_made_from_the_mix_of_its_source_whatever_its_file_is_called(
    tmp_path: Path,
) -> None:
    text = STUDY.replace('role = "reference"', 'role = "reference"\nsource = "human v7"')
    study = write_study(tmp_path, text)
    for item in ("one", "two"):
        older = tmp_path / "mixes" / item / "human.wav"
        (tmp_path / "mixes" / item / "human v7.wav").write_bytes(older.read_bytes())
    built = build_study(study, tmp_path / "study")
    sources = {s.system: Path(s.source).name for s in built.stimuli}
    assert sources["human"] == sources["low"] == "human v7.wav"


@pytest.fixture
def without_override() -> list[str]:
    """Give the words that run a command as a user who may not write everywhere."""
    if os.geteuid() != 0:
        return []
    if (setpriv := shutil.which("setpriv")) is None:
        pytest.skip("root writes to read-only folders, and setpriv is not installed")
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search"]


def test_a_study_in_a_read_only_folder_is_one_line_to_build_and_serve_and_can_be_exported(
    tmp_path: Path, without_override: list[str]
) -> None:
    study, out = write_study(tmp_path), tmp_path / "study"
    build_study(study, out)
    for path in (out, *out.rglob("*"), tmp_path):
        path.chmod(0o555 if path.is_dir() else 0o444)

    def said(*words: str) -> tuple[int, str]:
        command = [*without_override, sys.executable, "-m", "drummix", "listen", *words]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return run.returncode, run.stderr

    try:
        for words in (
            ("build", str(study), "-o", str(out)),
            ("build", str(study), "-o", str(tmp_path / "new")),
            ("serve", str(out), "--port", "0"),
            ("invite", str(out)),
        ):
            status, error = said(*words)
            assert status == 1
            assert len(error.splitlines()) == 1
            assert "cannot be" in error
        # Nobody has listened yet: the store could be read.
        _, error = said("export", str(out), "-o", str(tmp_path / "ratings.csv"))
        assert "nobody has opened a page" in error
    finally:
        for path in (tmp_path, out, *out.rglob("*")):
            path.chmod(0o755)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"secret": "x"},
        {"secret": "\ud83d"},
        {"admin_token": ""},
        {"stimuli": [{}]},
        {"study": 3},
        {"study": {"name": "x"}},
        {"notices": 10**400},
    ],
)
def test_a_damaged_card_is_one_line(tmp_path: Path, change: dict[str, object]) -> None:
    out = tmp_path / "study"
    build_study(write_study(tmp_path), out)
    card = json.loads((out / "study.json").read_text())
    (out / "study.json").write_text(json.dumps({**card, **change}))
    with pytest.raises(TextFileError, match=r"study\.json.*build the study again") as found:
        read_built(out)
    assert str(found.value).isprintable()


def test_a_new_build_replaces_an_old_one_but_never_results(tmp_path: Path) -> None:
    study, out = write_study(tmp_path), tmp_path / "study"
    build_study(study, out)
    build_study(study, out)
    assert len(list((out / "audio").iterdir())) == 6
    assert list(invite(out, ["Ada"], count=1, url="http://lab")) == ["Ada"]
    with pytest.raises(OutputError, match="holds the results of 1 listeners"):
        build_study(study, out)
    assert list(read_ratings(out)) == []
    with pytest.raises(OutputError, match=r"holds 'mixes', which is no part of a study"):
        build_study(study, tmp_path)


def test_the_command_prints_the_folder_and_says_what_was_trimmed(tmp_path: Path) -> None:
    study = write_study(tmp_path, "lufs = -12.0\n" + STUDY)
    out = tmp_path / "study"
    run = CliRunner().invoke(cli.app, ["listen", "build", str(study), "-o", str(out)])
    assert (run.exit_code, run.stdout.strip()) == (0, str(out))
    assert "note: one: at -12 LUFS" in run.stderr
    run = CliRunner().invoke(cli.app, ["listen", "build", str(study), "-o", str(out), "--json"])
    assert len(json.loads(run.stdout)["stimuli"]) == 6
    run = CliRunner().invoke(cli.app, ["listen", "invite", str(out), "--count", "2"])
    lines = [line.split("\t") for line in run.stdout.splitlines()]
    assert [name for name, _ in lines] == ["L001", "L002"]
    assert all(re.fullmatch(r"http://127.0.0.1:8000/#[\w-]{32}", link) for _, link in lines)
    run = CliRunner().invoke(cli.app, ["listen", "invite", str(out), "L001"])
    assert (run.exit_code, "L001, the code of a listener" in run.stderr) == (1, True)
