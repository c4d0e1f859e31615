"""Reading stretches of files, disturbing clips, and clips rendered on the fly."""

import json
import os
import platform
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from drummix.audio import Audio, write
from drummix.audio.excerpt import read_excerpt, read_mono_excerpts
from drummix.corpus.disturbance import disturb, draw_disturbance
from drummix.corpus.manifest import CorpusItem
from drummix.errors import AudioFileError, TextFileError
from drummix.mixers.architecture import WaveUNetConfig
from drummix.nn.config import ClipSettings, TrainSettings, read_train_settings
from drummix.roles import PAPER_ROLES

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("lightning", reason="the train extra is not installed")

from drummix.nn.checks import SETTINGS_NAME, claim_output  # noqa: E402
from drummix.nn.clip_changes import ClipChange, draw_change  # noqa: E402
from drummix.nn.clips import ClipSource, RandomClips  # noqa: E402

RATE_HZ = 44100
SMALL = WaveUNetConfig(levels=2, filters=2)
CLIPS = ClipSettings(batch_size=2, bottleneck_frames=200, workers=0)

CODINGS = [
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "PCM_32"),
    ("wav", "FLOAT"),
    ("wav", "DOUBLE"),
    ("wav", "PCM_U8"),
    ("wav", "ULAW"),
    ("wavex", "PCM_24"),
    ("rf64", "PCM_24"),
    ("flac", "PCM_24"),
    ("aiff", "PCM_24"),
]


def sound_file(folder: Path, container: str, coding: str, n_channels: int) -> Path:
    samples = 0.3 * np.random.default_rng(0).standard_normal((3000, n_channels))
    suffix = "wav" if container.startswith("wav") else container
    path = folder / f"{container}-{coding}-{n_channels}.{suffix}"
    soundfile.write(path, samples.clip(-1, 1), RATE_HZ, coding, format=container.upper())
    return path


@pytest.mark.parametrize(("start", "n_samples"), [(-20, 100), (0, 3000), (1, 7), (2990, 50)])
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize(("container", "coding"), CODINGS)
def test_a_stretch_is_the_same_as_out_of_the_whole_file(
    tmp_path, container, coding, n_channels, start, n_samples
):
    path = sound_file(tmp_path, container, coding, n_channels)
    whole = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    padded = np.zeros((n_channels, 5000), np.float32)
    padded[:, 1000 : 1000 + whole.shape[1]] = whole
    stretch = read_excerpt(path, start, n_samples)
    assert stretch.dtype == np.float32
    assert np.array_equal(stretch, padded[:, 1000 + start : 1000 + start + n_samples])


def test_sound_after_other_chunks_is_found_and_a_cut_off_file_is_read_as_far_as_it_goes(tmp_path):
    path = sound_file(tmp_path, "wav", "PCM_24", 1)
    whole = path.read_bytes()
    at = whole.index(b"data")
    extra = b"note" + (9).to_bytes(4, "little") + b"nine byte" + b"\0"
    size = int.from_bytes(whole[4:8], "little") + len(extra)
    with_note = tmp_path / "note.wav"
    with_note.write_bytes(whole[:4] + size.to_bytes(4, "little") + whole[8:at] + extra + whole[at:])
    assert np.array_equal(read_excerpt(with_note, 0, 3000), read_excerpt(path, 0, 3000))
    short = tmp_path / "short.wav"
    short.write_bytes(whole[:-3000])
    heard = read_excerpt(short, 0, 3000)
    assert np.array_equal(heard[:, :2000], read_excerpt(path, 0, 2000))
    assert not heard[:, 2000:].any()


@pytest.mark.parametrize(("valid_bits", "n_bytes"), [(24, 4), (16, 3), (16, 4)])
def test_samples_with_padding_between_them_are_read_as_what_they_are(tmp_path, valid_bits, n_bytes):
    """The header counts the bits that hold sound, and apart from them the bytes of a frame."""
    bits = np.random.default_rng(0).integers(-(2**15), 2**15, (1000, 2)) << (8 * n_bytes - 16)
    coded = bits.astype("<i4").tobytes()
    coded = b"".join(coded[at : at + n_bytes] for at in range(0, len(coded), 4))
    form = struct.pack("<HHIIHH", 1, 2, RATE_HZ, RATE_HZ * 2 * n_bytes, 2 * n_bytes, valid_bits)
    chunks = [(b"WAVEfmt ", form), (b"data", coded)]
    body = b"".join(name + struct.pack("<I", len(chunk)) + chunk for name, chunk in chunks)
    path = tmp_path / "padded.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    expected = (bits[100:300] / 2.0 ** (8 * n_bytes - 1)).T
    np.testing.assert_allclose(read_excerpt(path, 100, 200), expected, atol=1e-9)


def test_files_of_a_session_come_as_rows_and_a_microphone_that_is_not_there_is_silence(tmp_path):
    paths = [sound_file(tmp_path, kind, "PCM_24", 1) for kind in ("wav", "flac")]
    rows = read_mono_excerpts([paths[0], None, paths[1]], -5, 50)
    assert np.array_equal(rows[:1], read_excerpt(paths[0], -5, 50))
    assert not rows[1].any()
    assert np.array_equal(rows[2:], read_excerpt(paths[1], -5, 50))


@pytest.mark.parametrize("container", ["wav", "flac"])
def test_a_stereo_file_where_mono_is_expected_is_refused(tmp_path, container):
    path = sound_file(tmp_path, container, "PCM_24", 2)
    with pytest.raises(AudioFileError, match=rf"{container}.* has 2 channels; expected 1"):
        read_mono_excerpts([path], 0, 10)


@pytest.mark.parametrize("content", [b"", b"RIFF\0\0\0\0WAVE", b"RIFF" + 600 * b"\0", b"no sound"])
def test_what_is_no_sound_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "broken.wav"
    path.write_bytes(content)
    with pytest.raises(AudioFileError, match=r"broken\.wav"):
        read_excerpt(path, 0, 10)


@pytest.fixture(scope="module")
def item(tmp_path_factory) -> tuple[Path, CorpusItem, np.ndarray]:
    """An item of noise up to 16 kHz, and its stems as they are on disk."""
    folder = tmp_path_factory.mktemp("corpus")
    spectra = np.fft.rfft(np.random.default_rng(0).standard_normal((8, 20_000)))
    spectra[:, round(20_000 * 16_000 / RATE_HZ) :] = 0.0
    stems = (0.02 * np.fft.irfft(spectra)).astype(np.float32)
    item = CorpusItem(
        item="noise",
        part="train",
        kit="noise",
        performance="0",
        style="none",
        seed=0,
        engineer=0,
        licence="none",
        rate_hz=RATE_HZ,
        n_samples=stems.shape[1],
        extension="wav",
        stem_peak_dbfs=-12.0,
        dry_peak_dbfs=-12.0,
        wet_peak_dbfs=-12.0,
        sha256="",
    )
    for path in item.paths(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
    for role, stem in zip(PAPER_ROLES, stems, strict=True):
        write(item.stem_path(folder, role), Audio(stem[np.newaxis], RATE_HZ))
    for target in ("dry", "wet"):
        write(item.mix_path(folder, target), Audio(stems[:2], RATE_HZ))
    return folder, item, read_mono_excerpts(item.paths(folder)[:8], 0, item.n_samples)


def source_of(item, level_gains_db=None, **changes) -> ClipSource:
    clips = ClipSettings(**{**CLIPS.__dict__, **changes})
    named = {} if level_gains_db is None else {"noise": level_gains_db}
    return ClipSource(((item[0], item[1]),), "dry", SMALL, clips, named)


def clip_of(source: ClipSource, number: int = 3, epoch: int = 0) -> tuple[np.ndarray, np.ndarray]:
    clips = RandomClips(source, n_clips=10, seed=1, epoch=epoch)
    stems, mix = clips[number]
    return stems.numpy(), mix.numpy()


def test_a_disturbed_clip_is_cut_out_of_the_disturbed_session(item):
    kinds = ("gain", "polarity", "delay", "tilt", "overheads", "dropout")
    source = source_of(item, disturb=kinds)
    change = draw_change(source.settings, [False] * 8, (1, 2, 3))
    assert change.disturbance is not None
    session = disturb(item[2], RATE_HZ, change.disturbance, np.random.default_rng(0))
    context, start = SMALL.context_frames, 5_000
    stems, _ = source.clip(0, start, change)
    cut = session[:, start - context : start - context + source.input_frames]
    # The cut is a step 256 samples away, and a fraction of a sample makes it ring as 1/(pi n).
    assert np.abs(stems.numpy() - cut).max() < np.abs(cut).max() / (np.pi * 256)


def test_disturbances_leave_the_target_and_the_place_of_a_clip_alone(item):
    plain, mix = clip_of(source_of(item))
    for changes in ({"disturb": ("gain", "delay")}, {"gain_jitter_db": 2.0}):
        stems, same_mix = clip_of(source_of(item, **changes))
        assert np.array_equal(same_mix, mix)
        assert stems.shape == plain.shape
        assert not np.allclose(stems, plain)
    inverted, _ = clip_of(source_of(item, disturb=("polarity",)))
    assert np.array_equal(np.abs(inverted), np.abs(plain))


def test_each_clip_of_each_epoch_has_a_disturbance_of_its_own_and_always_the_same(item):
    source = source_of(item, disturb=("gain", "noise"))
    assert np.array_equal(clip_of(source)[0], clip_of(source)[0])
    # What lies past the end of an epoch is the next one: loaders need not be made anew.
    assert np.array_equal(clip_of(source, number=13)[0], clip_of(source, epoch=1)[0])
    gains_db = {
        round(20 * np.log10(np.abs(clip_of(source, *at)[0]).max()), 3)
        for at in ((3, 0), (4, 0), (3, 1), (4, 1))
    }
    assert len(gains_db) == 4


@pytest.mark.parametrize("kind", ["gain", "polarity", "overheads", "dropout"])
def test_a_kind_does_the_same_to_a_clip_whichever_others_are_on(kind):
    alone = ClipSettings(disturb=(kind,))
    others = ClipSettings(disturb=(kind, "tilt", "delay", "noise"), gain_jitter_db=1.0)
    field = {"gain": "gains_db", "polarity": "inverted", "dropout": "dropped"}.get(
        kind, "is_overheads_swapped"
    )
    for number in range(20):
        first, second = (
            draw_change(settings, [False] * 8, (0, 0, number)).disturbance
            for settings in (alone, others)
        )
        assert getattr(first, field) == getattr(second, field)


def test_jitter_has_its_standard_deviation_in_db(item):
    settings = ClipSettings(gain_jitter_db=1.5)
    jitter = np.array([draw_change(settings, [False] * 8, (0, 0, n)).jitter_db for n in range(500)])
    # 4,000 draws know a standard deviation to 1.1 %; four times that.
    assert jitter.std() == pytest.approx(1.5, rel=0.045)
    assert abs(jitter.mean()) < 4 * 1.5 / np.sqrt(4000)
    plain, _ = clip_of(source_of(item))
    stems, _ = clip_of(source_of(item, gain_jitter_db=1.5))
    ratios = 20 * np.log10(np.abs(stems).max(axis=1) / np.abs(plain).max(axis=1))
    expected = draw_change(settings, [False] * 8, (1, 0, 3)).jitter_db
    np.testing.assert_allclose(ratios, expected, atol=1e-3)


def test_gains_of_an_item_bring_its_stems_to_their_levels_whatever_the_disturbed_gain(item):
    levels_db = (3.0, -6.0, 0.0, 1.0, 2.0, -1.0, 10.0, 12.0)
    level = 10 ** (np.array(levels_db)[:, np.newaxis] / 20)
    plain, _ = clip_of(source_of(item))
    staged, _ = clip_of(source_of(item, levels_db))
    np.testing.assert_allclose(staged, plain * level, rtol=1e-5, atol=1e-9)
    disturbed, _ = clip_of(source_of(item, levels_db, disturb=("gain",)))
    np.testing.assert_allclose(disturbed, staged, rtol=1e-5, atol=1e-9)


def test_swapped_overheads_take_the_gains_of_their_levels_with_them(item):
    levels_db = (0.0,) * 6 + (10.0, 12.0)
    rng = np.random.default_rng(0)
    swapped = next(
        d
        for d in iter(lambda: draw_disturbance(rng, ["overheads"]), None)
        if d.is_overheads_swapped
    )
    plain = source_of(item, levels_db).clip(0, 3_000)[0].numpy()
    stems = source_of(item, levels_db).clip(0, 3_000, ClipChange(swapped))[0].numpy()
    assert np.array_equal(stems, plain[[0, 1, 2, 3, 4, 5, 7, 6]])


CONFIG = 'name = "a"\ntarget = "wet"\ncorpora = ["c"]\noutput = "o"\n'


def test_disturbances_are_chosen_in_the_configuration(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(CONFIG + '[clips]\ndisturb = ["gain", "noise"]\ngain_jitter_db = 1.5\n')
    clips = read_train_settings(path).clips
    assert clips.disturb == ("gain", "noise")
    assert clips.gain_jitter_db == 1.5


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            'disturb = ["gains"]',
            r"run\.toml: clips: kinds names 'gains', which is unknown; known: gain, dropout",
        ),
        ('disturb = ["tuning"]', "tuning, which can only be disturbed as a kit is rendered"),
        ('disturb = "gain"', r"clips\.disturb is 'gain'; expected a list of texts"),
        ("disturb = [1]", r"clips\.disturb\[0\] is 1; expected a text"),
        (
            "gain_jitter_db = -1.0",
            r"clips\.gain_jitter_db is -1\.0; expected a number from 0 to 12",
        ),
        ("gain_jitter_db = nan", r"clips\.gain_jitter_db is nan"),
        ('disturb = ["dropout"]\nstem_dropout = 0.1', "both silence stems; give one"),
    ],
)
def test_disturbances_that_make_no_sense_are_refused(tmp_path, line, words):
    path = tmp_path / "run.toml"
    path.write_text(CONFIG + f"[clips]\n{line}\n")
    with pytest.raises(TextFileError, match=words):
        read_train_settings(path)


def test_a_run_from_before_disturbances_goes_on(tmp_path):
    settings = TrainSettings(name="a", target="dry", corpora=("c",), output=str(tmp_path))
    claim_output(settings)
    path = tmp_path / SETTINGS_NAME
    earlier = json.loads(path.read_text())
    del earlier["clips"]["disturb"], earlier["clips"]["gain_jitter_db"]
    path.write_text(json.dumps(earlier))
    claim_output(settings)


# Pages that the kernel has to clear while arrays of a clip's size come and go.
PAGE_FAULTS = """
import resource
import sys
import time

import numpy as np

from drummix.nn.loading import start_worker

if sys.argv[1] == "worker":
    start_worker(0)
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        stems = np.ones((8, 121_843), np.float32)
        stems = stems * np.float32(2.0) + stems
        del stems
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back")
def test_processes_that_make_clips_keep_the_memory_that_they_free():
    def faults(kind: str) -> int:
        # In a process of its own: what was allocated before decides what the C library keeps.
        command = [sys.executable, "-c", PAGE_FAULTS, kind]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(ran.stdout)

    # One array of a clip is 952 pages of 4 KiB, and twenty times three of them come and go.
    assert faults("worker") < 300
    assert faults("other") > 952


LOADER_THAT_WAITS = """
import time, torch
from torch.utils.data import DataLoader, TensorDataset
from drummix.nn.loading import start_worker
from drummix.pool import context
numbers = DataLoader(
    TensorDataset(torch.arange(64)), num_workers=2, multiprocessing_context=context,
    worker_init_fn=start_worker, persistent_workers=True, prefetch_factor=1,
)
batches = iter(numbers)
print([int(next(batches)[0]) for _ in range(3)], flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_processes_that_make_clips_end_with_the_one_that_takes_them(number: int) -> None:
    training = subprocess.Popen(
        [sys.executable, "-c", LOADER_THAT_WAITS],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert training.stdout is not None
    assert training.stdout.readline() == b"[0, 1, 2]\n"
    training.send_signal(number)
    # Read to its end: the last process that has it open is gone.
    assert training.communicate(timeout=180)[0] == b""
    ends_s = time.monotonic() + 30.0
    while is_group_alive(training.pid):
        assert time.monotonic() < ends_s
        time.sleep(0.05)


def is_group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
