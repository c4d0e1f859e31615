"""Clips of sessions that are rendered as they are needed."""

import pickle
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import mido
import numpy as np
import pytest

from drummix.audio.excerpt import read_excerpt, read_mono_excerpts
from drummix.corpus.build import render_corpus
from drummix.corpus.manifest import read_manifest
from drummix.errors import CorpusError, TextFileError, TrainingError
from drummix.mixers.architecture import WaveUNetConfig
from drummix.mixers.weights import load_model
from drummix.nn.config import ClipSettings, StageSettings, TrainSettings, read_train_settings
from drummix.nn.live_settings import LiveSettings
from drummix.pool import context
from drummix.roles import PAPER_ROLES
from made import write_groove, write_kit

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("lightning", reason="the train extra is not installed")

from torch.utils.data import DataLoader  # noqa: E402

from drummix.nn.clip_sources import clip_sources  # noqa: E402
from drummix.nn.clips import FixedClips, RandomClips  # noqa: E402
from drummix.nn.live_clips import HeldSession, LiveSource, SessionPlace  # noqa: E402
from drummix.nn.loading import ClipLoading, EpochShare, start_worker  # noqa: E402
from drummix.nn.train import train  # noqa: E402

RATE_HZ = 44100
SMALL = WaveUNetConfig(levels=2, filters=2)
CLIPS = ClipSettings(batch_size=4, bottleneck_frames=60, validation_clips=3, workers=0)


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_kit(folder / "kit-a")
    write_kit(folder / "kit-b")
    write_groove(folder / "groove", {"train": 4, "validation": 2, "test": 2})
    return folder


def live_of(sources: Path, **changes) -> LiveSettings:
    values = {
        "kits": (str(sources / "kit-a"), str(sources / "kit-b")),
        "groove": str(sources / "groove"),
        "min_item_s": 1.0,
        "sessions": 3,
        "clips_per_session": 6,
        "pools": 2,
    }
    return LiveSettings(**{**values, **changes})


def source_of(sources: Path, part: str = "train", *, live=None, seed=0, target="dry", **clips):
    return LiveSource(
        live_of(sources, **(live or {})),
        part,
        target=target,
        config=SMALL,
        settings=ClipSettings(**{**CLIPS.__dict__, **clips}),
        seed=seed,
    )


def settings_of(sources: Path, output: Path, **changes) -> TrainSettings:
    values = {
        "name": "small",
        "target": "dry",
        "corpora": (),
        "live": live_of(sources),
        "output": str(output),
        "epoch_steps": 4,
        "network": SMALL,
        "clips": CLIPS,
        "main": StageSettings(learning_rate=1e-2, max_epochs=3),
        "finetune": StageSettings(max_epochs=0),
    }
    return TrainSettings(**{**values, **changes})


def held_whole(source: LiveSource, index: SessionPlace | int) -> tuple[np.ndarray, np.ndarray]:
    session = source._session(index)
    return session.stems(0, session.n_samples), session.mix(0, session.n_samples)


@pytest.mark.parametrize("target", ["dry", "wet"])
def test_a_session_is_the_one_that_a_corpus_of_these_settings_holds(sources, tmp_path, target):
    source = source_of(sources, "validation", target=target)
    corpus = source.live.corpus_settings("validation")
    render_corpus(corpus, tmp_path)
    items = {item.item: item for item in read_manifest(tmp_path)}
    assert set(items) == {item.item for _, item in source.items}
    for index, (_, planned) in enumerate(source.items):
        item = items[planned.item]
        stems, mix = held_whole(source, index)
        paths = [item.stem_path(tmp_path, role) for role in PAPER_ROLES]
        rendered = read_mono_excerpts(paths, 0, item.n_samples)
        mixed = read_excerpt(item.mix_path(tmp_path, target), 0, item.n_samples)
        assert stems.shape == rendered.shape
        for ours, theirs in ((stems, rendered), (mix, mixed)):
            # Half a step of 16 bits of the track's peak, and half a step of 24 bits in the file.
            peaks = np.abs(theirs).max(axis=1, keepdims=True)
            assert np.all(np.abs(ours - theirs) <= peaks * 0.51 / 32767 + 2**-23)
        assert (planned.kit, planned.licence) == (item.kit, item.licence)


def test_held_samples_are_within_half_a_step_of_16_bits_of_each_tracks_peak():
    rng = np.random.default_rng(0)
    levels = np.array([[1.0], [1e-4], [0.0]], np.float32)
    stems = levels * rng.standard_normal((3, 5_000)).astype(np.float32)
    mix = stems[:2] * np.float32(0.5)
    held = HeldSession.of(stems, mix)
    peaks = np.abs(stems).max(axis=1, keepdims=True)
    assert np.all(np.abs(held.stems(0, 5_000) - stems) <= 0.502 * peaks / 32767)
    assert np.abs(held.mix(0, 5_000)).max() == pytest.approx(np.abs(mix).max(), rel=1e-6)
    assert held.tracks.nbytes == 2 * 5 * 5_000
    before = held.stems(-10, 20)
    assert not before[:, :10].any()
    assert np.array_equal(before[:, 10:], held.stems(0, 10))
    assert not held.stems(4_990, 20)[:, 10:].any()
    assert not held.stems(9_000, 20).any()


def test_a_clip_depends_on_seed_epoch_and_number_and_not_on_what_was_rendered_before(sources):
    one, other = source_of(sources), source_of(sources)
    clips = RandomClips(one, n_clips=16, seed=5, epoch=0)
    in_order = [clips[number] for number in range(32)]
    for number in (31, 3, 17):
        stems, mix = RandomClips(other, n_clips=16, seed=5, epoch=0)[number]
        assert torch.equal(stems, in_order[number][0])
        assert torch.equal(mix, in_order[number][1])
    later = RandomClips(other, n_clips=16, seed=5, epoch=1)[1]
    assert torch.equal(later[0], in_order[17][0])
    reseeded = RandomClips(source_of(sources, seed=1), n_clips=16, seed=5, epoch=0)
    assert not torch.equal(reseeded[3][0], in_order[3][0])


def test_a_source_that_is_handed_to_a_process_gives_the_same_clips_without_its_kits(sources):
    source = source_of(sources)
    stems, mix = RandomClips(source, n_clips=16, seed=0, epoch=0)[3]
    handed = pickle.loads(pickle.dumps(source_of(sources)))
    assert handed._kits._loaded == {}
    again = RandomClips(handed, n_clips=16, seed=0, epoch=0)[3]
    assert torch.equal(again[0], stems)
    assert torch.equal(again[1], mix)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_clips_are_the_same_whatever_the_number_of_workers(sources, workers):
    def batches(n_workers: int) -> list[torch.Tensor]:
        clips = RandomClips(source_of(sources), n_clips=16, seed=2, epoch=0)
        share = EpochShare(16, process=0, n_processes=1)
        loader = DataLoader(
            clips,
            sampler=share,
            batch_size=4,
            num_workers=n_workers,
            multiprocessing_context=context if n_workers else None,
            persistent_workers=n_workers > 0,
            worker_init_fn=start_worker if n_workers else None,
        )
        heard = []
        for share.epoch in (0, 1):
            heard += [stems for stems, _ in loader]
        return heard

    alone, shared = batches(0), batches(workers)
    assert len(alone) == len(shared) == 8
    assert all(torch.equal(a, b) for a, b in zip(alone, shared, strict=True))


class Counting(LiveSource):
    """Counts the sessions that are rendered."""

    def _rendered(self, plan):
        self.rendered = [*getattr(self, "rendered", []), plan]
        return HeldSession.of(np.ones((8, 10_000), np.float32), np.ones((2, 10_000), np.float32))


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_worker_renders_each_session_of_its_pools_once_and_holds_a_bounded_number(
    sources, n_workers
):
    live = live_of(sources, sessions=5, clips_per_session=20, pools=2)
    n_batches, n_epochs = 60, 3
    rendered = []
    for worker in range(n_workers):
        source = Counting(live, "train", target="dry", config=SMALL, settings=CLIPS, seed=0)
        most = 0
        for epoch in range(n_epochs):
            for batch in range(worker, n_batches, n_workers):
                for number in range(4 * batch, 4 * batch + 4):
                    rng = np.random.default_rng([epoch, number])
                    source.pick(rng, epoch=epoch, number=number, n_clips=4 * n_batches)
                most = max(most, len(source._held))
        assert most <= 5 * 2 // n_workers
        rendered += [(plan.kit, plan.material.performance, plan.seed) for plan in source.rendered]
    assert len(set(rendered)) == len(rendered)
    # 720 clips over sessions of 20, and the ten that are held at the end are not served out;
    # a session that no clip happened to be drawn from is not rendered.
    assert 0.9 * 720 / 20 <= len(rendered) <= 720 / 20 + 10


def test_sessions_give_way_one_after_another(sources):
    live = live_of(sources, sessions=6, clips_per_session=24, pools=1)
    source = Counting(live, "train", target="dry", config=SMALL, settings=CLIPS, seed=0)
    held, fresh = set(), []
    for batch in range(60):
        for number in range(4 * batch, 4 * batch + 4):
            rng = np.random.default_rng(number)
            place, _ = source.pick(rng, epoch=0, number=number, n_clips=240)
            fresh.append((batch, place not in held))
            held.add(place)
    new = Counter(batch for batch, is_new in fresh if is_new)
    # A session stays for 36 batches, so one of six falls due every sixth batch: after the start
    # hardly a batch meets two new ones.
    assert max(new[batch] for batch in range(12, 60)) <= 2
    assert sum(new.values()) >= 12


def test_training_plays_training_performances_on_every_kit_and_validation_its_own(sources):
    training, validation = source_of(sources), source_of(sources, "validation")
    plans = [training._plan(SessionPlace(0, slot, 0)) for slot in range(200)]
    assert {plan.material.part for plan in plans} == {"train"}
    assert len({plan.kit for plan in plans}) == 2
    assert len({plan.material.performance for plan in plans}) == 4
    assert len({plan.seed for plan in plans}) == 200
    assert {item.part for _, item in validation.items} == {"validation"}
    assert len(training.items) == 8


def test_longer_performances_are_played_more_often(tmp_path):
    write_kit(tmp_path / "kit-a")
    write_kit(tmp_path / "kit-b")
    groove = write_groove(tmp_path / "groove", {"train": 2, "validation": 1})
    index = groove / "info.csv"
    rows = index.read_text().replace(",train0.mid,1.5", ",train0.mid,4.5")
    index.write_text(rows)
    source = source_of(tmp_path)
    played = Counter(
        source._plan(SessionPlace(0, slot, 0)).material.performance for slot in range(2000)
    )
    # Three quarters of 2,000: four standard deviations are 77.
    assert played["drummer1/train/0"] == pytest.approx(1500, abs=77)


def test_tuning_changes_training_sessions_and_leaves_validation(sources):
    place = SessionPlace(0, 0, 0)
    for part, index, differs in (("train", place, True), ("validation", 0, False)):
        plain = held_whole(source_of(sources, part), index)[0]
        tuned = held_whole(source_of(sources, part, live={"tuning": True}), index)[0]
        is_same = plain.shape == tuned.shape and np.array_equal(plain, tuned)
        assert is_same is not differs


def test_peak_normalised_targets_reach_full_scale_over_their_session(sources):
    _, mix = held_whole(source_of(sources, peak_normalised=True), SessionPlace(0, 0, 0))
    assert np.abs(mix).max() == pytest.approx(1.0, abs=1e-5)


def test_disturbances_and_dropout_reach_live_clips_and_leave_their_targets(sources):
    def clip(**changes):
        clips = RandomClips(source_of(sources, **changes), n_clips=8, seed=0, epoch=0)
        stems, mixes = zip(*(clips[number] for number in range(8)), strict=True)
        return torch.cat(stems), torch.cat(mixes)

    plain, mix = clip()
    inverted, same_mix = clip(disturb=("polarity", "gain"))
    silent, too = clip(stem_dropout=0.5)
    assert torch.equal(mix, same_mix)
    assert torch.equal(mix, too)
    assert not torch.allclose(plain, inverted)
    assert int((silent.abs().amax(dim=1) == 0).sum()) > int((plain.abs().amax(dim=1) == 0).sum())


def test_validation_renders_a_session_once_and_gives_the_same_clips_again(sources):
    source = source_of(sources, "validation")
    rendered = []
    source._rendered = lambda plan: rendered.append(plan.name) or LiveSource._rendered(source, plan)
    clips = FixedClips(source)
    assert len(clips) == 3 * 2
    first = [clips[number] for number in range(6)]
    again = [clips[number] for number in range(6)]
    assert len(set(rendered)) == len(rendered) == 2
    for (stems, mix), (same_stems, same_mix) in zip(first, again, strict=True):
        assert torch.equal(stems, same_stems)
        assert torch.equal(mix, same_mix)
    _, whole = held_whole(source_of(sources, "validation"), 0)
    assert np.array_equal(first[0][1], whole[:, : source.output_frames])
    assert np.array_equal(first[2][1], whole[:, -source.output_frames :])


def test_numbers_go_on_from_epoch_to_epoch_and_are_shared_out():
    share = EpochShare(7, process=1, n_processes=3)
    assert (len(share), list(share)) == (2, [1, 4])
    share.epoch = 2
    assert list(share) == [15, 18]


def test_each_epoch_of_a_run_has_clips_of_its_own_and_both_parts_keep_their_loader(
    sources, tmp_path
):
    settings = settings_of(sources, tmp_path)
    loading = ClipLoading(settings, clip_sources(settings, rate_hz=RATE_HZ))
    loading.trainer = SimpleNamespace(current_epoch=0, global_rank=0, world_size=1)
    first, validation = loading.train_dataloader(), loading.val_dataloader()
    numbers = [number for _, _, numbers in first for number in numbers.tolist()]
    assert numbers == list(range(16))
    loading.trainer.current_epoch = 2
    assert loading.train_dataloader() is first
    assert loading.val_dataloader() is validation
    later = next(iter(first))
    assert later[2].tolist() == [32, 33, 34, 35]
    clips = RandomClips(loading.sources["train"], n_clips=16, seed=settings.seed, epoch=2)
    assert torch.equal(later[0][1], clips[1][0])


def test_a_live_run_that_was_stopped_ends_as_one_left_alone_with_any_workers(sources, tmp_path):
    def trained(name: str, epochs: list[int], workers: int) -> str:
        for n_epochs in epochs:
            folder = train(
                settings_of(
                    sources,
                    tmp_path / name,
                    main=StageSettings(learning_rate=1e-2, max_epochs=n_epochs),
                    clips=ClipSettings(**{**CLIPS.__dict__, "workers": workers}),
                )
            )
        return load_model(folder).sha256

    alone = trained("alone", [3], 0)
    assert trained("stopped", [1, 3], 2) == alone
    card = load_model(tmp_path / "alone" / "model" / "small").card["training"]
    assert card["data"]["kits"] == ["kit-a", "kit-b"]
    assert card["data"]["engineer"] == [1]
    assert card["settings"]["live"]["groove"] == "groove"
    assert str(tmp_path.parent) not in str(card)


def test_a_kit_or_dataset_that_is_not_there_is_found_before_training(sources, tmp_path):
    for changes, words in (
        ({"kits": (str(tmp_path / "gone"),)}, "gone"),
        ({"groove": str(tmp_path / "gone")}, r"gone has no info\.csv"),
    ):
        settings = settings_of(sources, tmp_path, live=live_of(sources, **changes))
        with pytest.raises(CorpusError, match=words):
            clip_sources(settings, rate_hz=RATE_HZ)
    with pytest.raises(CorpusError, match="44100 Hz, not at 48000 Hz"):
        clip_sources(settings_of(sources, tmp_path), rate_hz=48_000)


def test_a_performance_that_cannot_be_played_stops_training_by_name(tmp_path):
    write_kit(tmp_path / "kit-a")
    write_kit(tmp_path / "kit-b")
    groove = write_groove(tmp_path / "groove", {"train": 1, "validation": 1})
    track = mido.MidiTrack([mido.Message("note_on", note=99, velocity=90)])
    mido.MidiFile(tracks=[track]).save(groove / "train0.mid")
    clips = ClipSettings(**{**CLIPS.__dict__, "workers": 1})
    with pytest.raises(TrainingError, match=r"session kit-. drummer1/train/0 cannot be rendered"):
        train(settings_of(tmp_path, tmp_path / "run", clips=clips))


CONFIG = 'name = "a"\ntarget = "wet"\noutput = "o"\n'
LIVE = '[live]\nkits = ["k", "synthkit"]\ngroove = "g"\n'


def test_live_settings_come_from_a_toml_file_with_paths_beside_it(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(CONFIG + LIVE + "sessions = 5\n")
    settings = read_train_settings(path)
    assert settings.corpora == ()
    assert settings.live is not None
    assert settings.live.kits == (str(tmp_path / "k"), "synthkit")
    assert settings.live.groove == str(tmp_path / "g")
    assert settings.live.sessions == 5


def test_every_built_in_kit_is_known_by_its_name_and_not_looked_for_beside_the_file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(CONFIG + LIVE.replace('"k"', '"synthkit-7"'))
    settings = read_train_settings(path)
    assert settings.live is not None
    assert settings.live.kits == ("synthkit-7", "synthkit")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CONFIG + 'corpora = ["c"]\n' + LIVE, r"both corpora and \[live\]"),
        (CONFIG + "corpora = []\n", r"neither corpora nor \[live\]"),
        (CONFIG + '[live]\nkits = ["k"]\n', 'no key "groove"'),
        (CONFIG + LIVE + "pool = 3\n", r'unknown key live\.pool; did you mean "pools"'),
        (CONFIG + LIVE + "sessions = 0\n", r"live\.sessions is 0; expected a whole number from 1"),
        (CONFIG + LIVE + "clips_per_session = 0\n", r"live\.clips_per_session is 0"),
        (
            CONFIG + LIVE + "validation_hours = 0.0\n",
            "live: hours asks for 0.0 hours of part",
        ),
        (
            CONFIG + LIVE + "engineer = -1\n",
            "live.engineer is -1; expected a whole number of 0 or more",
        ),
        (CONFIG + LIVE.replace("synthkit", "x/k"), "live: kits holds two kits called k"),
        (CONFIG + LIVE.replace('["k", "synthkit"]', '"k"'), r"live\.kits is 'k'; expected a list"),
        (CONFIG + LIVE + "[clips]\nworkers = 3\n", r"live\.pools is 2 for 3 clips\.workers"),
    ],
)
def test_live_settings_that_make_no_sense_are_refused(tmp_path, text, words):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(TextFileError, match=rf"run\.toml: .*{words}"):
        read_train_settings(path)
