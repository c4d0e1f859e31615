"""Reports: what is kept and what is done again, the page, and the page in a real browser."""

import csv
import json
import math
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

from drummix import audio
from drummix.audio.encoding import OPUS_RATE_HZ, encode_opus
from drummix.cli import evaluate as cli_evaluate
from drummix.corpus.manifest import CorpusItem, read_manifest, write_manifest
from drummix.errors import OutputError, SettingError, WeightsError
from drummix.evaluation import EvaluationTable, evaluate, make_report, systems
from drummix.evaluation.cache import ResultCache, ResultKey, StoredResult
from drummix.evaluation.keeping import keep_mix
from drummix.evaluation.measuring import METRICS
from drummix.evaluation.report import charts, excerpts
from drummix.evaluation.report.excerpts import AudioBudget, read_excerpt_of
from drummix.evaluation.report.making import FIGURES_BEGIN, FIGURES_END, put_results
from drummix.evaluation.statistics import bootstrap_median, paired_differences
from drummix.evaluation.table import Measurement
from drummix.levels import integrated_lufs, peak_dbfs
from drummix.mixers import weights as model_weights
from drummix.notices import Code
from drummix.roles import PAPER_ROLES

RATE_HZ = 44_100
N_SAMPLES = 3 * RATE_HZ
SYSTEMS = ("static", "unity", "anchor")
CHROMIUM = Path("/usr/bin/chromium")
Signal = NDArray[np.float32]


def strokes(seed: int) -> Signal:
    """Eight microphones: the first a 60 Hz kick twice a second, the others noise in between."""
    rng = np.random.default_rng(seed)
    n = np.arange(N_SAMPLES)
    stems = 0.05 * rng.standard_normal((8, N_SAMPLES))
    for row, period in zip(stems, range(9000, 25_000, 2000), strict=True):
        row *= np.exp(-((n + 4000) % period) / 1500)
    phase = n % (RATE_HZ // 2)
    stems[0] += 0.5 * np.sin(2 * np.pi * 60 * phase / RATE_HZ) * np.exp(-phase / 3000)
    return stems.astype(np.float32)


def write_item(corpus: Path, name: str, *, kit: str, style: str, seed: int) -> CorpusItem:
    stems = strokes(seed)
    gains = np.random.default_rng(7).uniform(0.2, 1.0, (2, 8)).astype(np.float32)
    dry = gains @ stems
    item = CorpusItem(
        item=name, part="test", kit=kit, performance=name, style=style, seed=seed, engineer=1,
        licence="none", rate_hz=RATE_HZ, n_samples=N_SAMPLES, extension="wav",
        stem_peak_dbfs=0.0, dry_peak_dbfs=0.0, wet_peak_dbfs=0.0, sha256=f"{name}-{seed}",
    )  # fmt: skip
    tracks = {item.stem_path(corpus, r): stems[i : i + 1] for i, r in enumerate(PAPER_ROLES)}
    tracks |= {item.mix_path(corpus, "dry"): dry, item.mix_path(corpus, "wet"): np.tanh(2 * dry)}
    for path, samples in tracks.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, audio.Audio(samples, RATE_HZ))
    return item


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpora") / "<b>two kits"
    folder.mkdir()
    items = [
        write_item(folder, "maple_1", kit="maple", style="funk/groove1", seed=1),
        write_item(folder, "birch_2", kit="birch", style="rock", seed=2),
    ]
    write_manifest(folder, items)
    return folder


@pytest.fixture(scope="module")
def report(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "report"
    made = make_report(
        corpus,
        folder,
        rng=np.random.default_rng(0),
        systems=SYSTEMS,
        command="drummix evaluate <x>",
    )
    assert made.files.page == folder / "report.html"
    assert made.table.failures == ()
    return folder


@pytest.fixture
def own_report(report: Path, tmp_path: Path) -> Path:
    """A copy to go on from."""
    return Path(shutil.copytree(report, tmp_path / "report"))


class _Counter:
    """Counts how often each system mixes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mixed: list[str] = []
        real = systems.make_mixer

        def make(name: str, options: Any) -> Any:
            mixer, notices = real(name, options)
            plan = mixer.plan

            def counted(session: Any, **more: Any) -> Any:
                self.mixed.append(name)
                return plan(session, **more)

            mixer.plan = counted  # type: ignore[method-assign]
            return mixer, notices

        monkeypatch.setattr(systems, "make_mixer", make)


# --- what is kept


def test_a_second_run_mixes_nothing_and_gives_the_same(
    corpus: Path, own_report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = _Counter(monkeypatch)
    again = evaluate(corpus, systems=SYSTEMS, folder=own_report)
    assert counter.mixed == []
    fresh = evaluate(corpus, systems=SYSTEMS)
    assert again.measurements == fresh.measurements
    assert again.notices == ()


def test_a_run_that_was_stopped_goes_on_where_it_was(
    corpus: Path, own_report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_report / "cache" / "maple_1" / "unity.json").unlink()
    (own_report / "mixes" / "birch_2" / "anchor.flac").unlink()
    counter = _Counter(monkeypatch)
    found = evaluate(corpus, systems=SYSTEMS, folder=own_report)
    assert sorted(counter.mixed) == ["anchor", "unity"]
    assert len(found.measurements) == 2 * 3 * 2 * len(METRICS)
    assert (own_report / "mixes" / "birch_2" / "anchor.flac").is_file()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights": "b" * 64}, ("weights", "a" * 16, "b" * 16)),
        ({"item": "other"}, ("item", "", "")),
        ({"as_recorded": True}, ("levels", "", "")),
        ({"drummix": "0.2"}, ("drummix", "0.1", "0.2")),
    ],
)
def test_a_result_from_anything_else_is_not_used_and_said(
    tmp_path: Path, changes: dict[str, Any], says: tuple[str, str, str]
) -> None:
    key = ResultKey("item", "unity", "a" * 64, False, "0.1")
    cache = ResultCache(tmp_path)
    cache.write("x", key, StoredResult({"dry": {"mr_stft": 1.0, "sdr_db": math.nan}}))
    stored = cache.read("x", key)
    assert stored is not None
    assert stored.values["dry"]["mr_stft"] == 1.0
    assert math.isnan(stored.values["dry"]["sdr_db"])
    assert cache.read("x", replace(key, **changes)) is None
    [notice] = cache.notices()
    assert (notice.code, notice.about) == (Code.RESULTS_MADE_ANEW, "unity")
    assert tuple(notice.values.values()) == (1, *says)


def test_a_damaged_result_is_made_again_and_said(tmp_path: Path) -> None:
    key, cache = ResultKey("item", "unity", "", False, "0.1"), ResultCache(tmp_path)
    cache.write("x", key, StoredResult({}))
    (tmp_path / "cache" / "x" / "unity.json").write_text("{")
    assert cache.read("x", key) is None
    assert cache.notices()[0].values["reason"] == "damaged"


def test_changed_audio_is_mixed_again(corpus: Path, own_report: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(corpus, tmp_path / "changed"))
    items = [replace(item, sha256=item.sha256 + "!") for item in read_manifest(changed)]
    write_manifest(changed, items)
    found = evaluate(changed, systems=["unity"], folder=own_report)
    [notice] = found.notices
    assert (notice.values["n_results"], notice.values["reason"]) == (2, "item")


def test_mixes_are_kept_lossless_and_never_clipped(report: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in (report / "mixes" / "maple_1").iterdir())
    assert names == [
        "anchor.flac", "reference-dry.flac", "reference-wet.flac",
        "static-dry.flac", "static-wet.flac", "unity.flac",
    ]  # fmt: skip
    mix = 3 * strokes(1)[:2]
    gain_db = keep_mix(tmp_path / "mix.flac", mix, RATE_HZ)
    kept = audio.read(tmp_path / "mix.flac").samples
    assert gain_db == pytest.approx(-peak_dbfs(mix) - 0.01)
    np.testing.assert_allclose(kept, mix * 10 ** (gain_db / 20), atol=2**-23)
    assert keep_mix(tmp_path / "quiet.flac", 0.1 * mix, RATE_HZ) == 0.0


def test_a_system_that_cannot_be_made_is_named_and_the_others_go_on(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = systems.make_mixer

    def make(name: str, options: Any) -> Any:
        if name == "anchor":
            raise WeightsError("its weights are missing; get them again")
        return real(name, options)

    monkeypatch.setattr(systems, "make_mixer", make)
    shown: list[tuple[int, int]] = []
    made = make_report(
        corpus, tmp_path / "r", rng=np.random.default_rng(0), systems=["unity", "anchor"],
        page_progress=lambda n_done, n_all, item: shown.append((n_done, n_all)),
    )  # fmt: skip
    n_items = len(made.table.items)
    assert shown == [(n + 1, n_items) for n in range(n_items)]
    assert [str(f) for f in made.table.failures] == [
        "anchor: its weights are missing; get them again"
    ]
    assert {row.system for row in made.table.measurements} == {"unity"}
    page = made.files.page.read_text()
    assert "anchor: its weights are missing" in page
    assert "its weights are missing" in made.files.results.read_text()
    with pytest.raises(WeightsError, match="get them again"):
        evaluate(corpus, systems=["anchor"])


def test_a_system_with_a_bug_does_not_stop_the_others(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Buggy:
        def plan(self, session: object) -> object:
            raise ZeroDivisionError("by zero")

    real = systems.make_mixer
    monkeypatch.setattr(
        systems, "make_mixer", lambda n, o: (Buggy(), ()) if n == "anchor" else real(n, o)
    )
    found = evaluate(corpus, systems=["anchor", "unity"], limit=1)
    assert [(f.system, f.message) for f in found.failures] == [
        ("anchor", "ZeroDivisionError('by zero')")
    ]
    assert {row.system for row in found.measurements} == {"unity"}


def test_systems_that_share_a_model_share_its_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "forest").mkdir()
    card = tmp_path / "forest" / "model.json"
    card.write_text('{"name": "forest", "sha256": "abc"}')
    monkeypatch.setattr(model_weights, "SHIPPED_FOLDER", tmp_path)
    names = ("forest-dry", "forest-paper-wet", "forestry", "unity")
    assert [systems.model_of(n, {}).sha256 for n in names] == ["abc", "abc", "", ""]
    # Without a checksum on the card the files themselves tell models apart.
    card.write_text('{"name": "forest"}')
    first = systems.model_of("forest-dry", {}).sha256
    (tmp_path / "forest" / "model.safetensors").write_bytes(b"trees")
    second = systems.model_of("forest-dry", {}).sha256
    assert len(first) == len(second) == 64
    assert first != second


# --- statistics


def test_interval_of_a_median_narrows_with_the_items_and_holds_it() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(400)
    few, many = (bootstrap_median(values[:n], np.random.default_rng(1)) for n in (16, 400))
    assert few.low <= few.median <= few.high
    # A median's standard error is 1.2533 sigma / sqrt(n); 95% is 3.92 of them wide.
    assert many.high - many.low == pytest.approx(3.92 * 1.2533 / 20, rel=0.3)
    assert few.high - few.low > 2 * (many.high - many.low)


def test_intervals_of_one_value_and_of_none() -> None:
    one = bootstrap_median([2.0, math.nan], np.random.default_rng(0))
    assert (one.n, one.low, one.median, one.high) == (1, 2.0, 2.0, 2.0)
    assert bootstrap_median([], np.random.default_rng(0)).n == 0


def test_differences_are_paired_by_item() -> None:
    """One system is 1 dB better on every item, though the items differ by tens of dB."""
    rows = [
        Measurement(f"i{n}", "k", "s", system, "dry", metric, value)
        for n in range(5)
        for system, ahead in (("unity", 1.0), ("anchor", 0.0))
        for metric, value in (("si_sdr_db", 10.0 * n + ahead), ("mr_stft", 0.5 - 0.1 * ahead))
    ]
    table = EvaluationTable("test", {"k": 5}, ("unity", "anchor"), {}, tuple(rows), ())
    si_sdr, mr_stft = paired_differences(table, np.random.default_rng(0))
    assert (si_sdr.first, si_sdr.second) == ("unity", "anchor")
    assert (si_sdr.interval.low, si_sdr.interval.median, si_sdr.interval.high) == (1.0, 1.0, 1.0)
    # Lower is better for one metric, higher for the other.
    assert (si_sdr.n_better, mr_stft.n_better) == (5, 5)
    assert mr_stft.interval.median == pytest.approx(-0.1)


# --- the files


def test_report_holds_every_number_and_its_source(report: Path) -> None:
    rows = list(csv.DictReader((report / "numbers.csv").open()))
    assert list(rows[0]) == ["item", "kit", "style", "system", "target", "metric", "value"]
    assert len(rows) == 2 * 3 * 2 * len(METRICS)
    plain = json.loads((report / "report.json").read_text())
    assert set(plain["source"]) == {"drummix", "commit", "machine", "software"}
    summary = list(csv.DictReader((report / "summary.csv").open()))
    [first] = [r for r in summary if (r["system"], r["target"], r["kit"], r["metric"]) == (
        "static", "wet", "", "si_sdr_db")]  # fmt: skip
    assert float(first["ci_low"]) <= float(first["median"]) <= float(first["ci_high"])
    differences = list(csv.DictReader((report / "differences.csv").open()))
    assert len(differences) == 2 * 3 * 2
    assert {p.name for p in (report / "figures").iterdir()} == {
        "waveforms-dry.png", "waveforms-wet.png", "onset-dry.png", "onset-wet.png",
    }  # fmt: skip
    assert not list(report.rglob(".*"))


def test_results_name_command_machine_and_every_table(report: Path) -> None:
    text = (report / "results.md").read_text()
    assert "Made by `drummix evaluate <x>`" in text
    for words in ("95% interval", "Paired differences", "By kit", "By style", "Every metric"):
        assert words in text
    assert re.search(r"\| funk +\| 1 ", text)


def test_page_holds_everything_and_asks_for_nothing(report: Path) -> None:
    page = (report / "report.html").read_text()
    assert "default-src 'none'" in page
    # Nothing is fetched: every source is data.
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page) == []
    assert page.count('class="item"') == 2
    assert page.count("data-signal=") == 2 * 6
    assert page.count("<svg") == 4
    assert "&lt;b&gt;two kits" in page
    assert "<b>two" not in page


def test_results_stand_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "results.md"
    put_results(page, "first")
    assert page.read_text() == f"# Results\n\n{FIGURES_BEGIN}\n\nfirst\n\n{FIGURES_END}\n"
    page.write_text(f"Mine.\n{FIGURES_BEGIN}\nold\n{FIGURES_END}\nAlso mine.\n")
    put_results(page, "new")
    assert page.read_text() == f"Mine.\n{FIGURES_BEGIN}\n\nnew\n\n{FIGURES_END}\nAlso mine.\n"
    page.write_text("No marks.\n")
    with pytest.raises(OutputError, match="no place for the figures"):
        put_results(page, None)
    assert page.read_text() == "No marks.\n"


# --- excerpts and charts


def test_excerpts_have_one_loudness_and_do_not_clip(report: Path) -> None:
    names = ["reference-dry", "static-dry", "unity", "anchor"]
    excerpt = read_excerpt_of(report / "mixes" / "maple_1", "maple_1", names)
    # Fades of 5 ms at the ends take a little.
    loudness = [integrated_lufs(s, RATE_HZ) for s in excerpt.signals.values()]
    assert loudness == pytest.approx([excerpt.lufs] * 4, abs=0.1)
    assert max(peak_dbfs(s) for s in excerpt.signals.values()) < 0.0
    assert all(np.all(s[:, [0, -1]] < 1e-3) for s in excerpt.signals.values())


def test_the_onset_is_one_of_the_kick(report: Path) -> None:
    excerpt = read_excerpt_of(report / "mixes" / "maple_1", "maple_1", ["reference-dry", "unity"])
    into_beat_s = (excerpt.start_s + excerpt.onset_s) % 0.5
    assert min(into_beat_s, 0.5 - into_beat_s) < 0.003
    assert excerpt.onset("unity").size == round(0.06 * RATE_HZ)


def test_a_page_of_forty_items_stays_under_25_mb() -> None:
    """Sound is coded at the rate asked for, and the rate follows from the budget."""
    budget = AudioBudget.of(42, 8)
    assert budget.n_items == 42
    second = audio.Audio(strokes(1)[:2, :RATE_HZ], RATE_HZ)
    n_bytes = len(encode_opus(second, bits_per_s=budget.bits_per_s))
    assert 0.4 < n_bytes * 8 / budget.bits_per_s < 1.5
    assert 42 * 8 * excerpts.EXCERPT_S * budget.bits_per_s / 8 * 4 / 3 < 20.5e6


def test_coded_sound_is_the_sound(tmp_path: Path) -> None:
    signal = strokes(3)[:2]
    (tmp_path / "coded.ogg").write_bytes(
        encode_opus(audio.Audio(signal, RATE_HZ), bits_per_s=160_000)
    )
    back = audio.read(tmp_path / "coded.ogg")
    assert (back.rate_hz, back.n_channels) == (OPUS_RATE_HZ, 2)
    plain = audio.resample(signal, RATE_HZ, OPUS_RATE_HZ)
    n = min(plain.shape[1], back.n_samples)
    assert abs(plain.shape[1] - back.n_samples) < 100
    assert np.corrcoef(plain[0, :n], back.samples[0, :n])[0, 1] > 0.99
    with pytest.raises(SettingError, match="Opus takes"):
        encode_opus(audio.Audio(signal, RATE_HZ), bits_per_s=1_000)


def test_chart_places_values_on_its_axis() -> None:
    chart = charts.dot_chart({"a<b": [("i", 0.0), ("j", 10.0)]}, title="t", axis="dB", digits=1)
    dots = [float(x) for x in re.findall(r'<circle[^>]*cx="([\d.]+)"', chart)]
    ticks = dict(re.findall(r'<text class="tick" x="([\d.]+)"[^>]*>([-\d.]+)<', chart))
    at = {float(value): float(x) for x, value in ticks.items()}
    assert dots == [at[0.0], at[10.0]]
    assert "a&lt;b" in chart
    assert charts.dot_chart({}, title="t", axis="dB", digits=1) == ""


@pytest.mark.parametrize(("low", "high"), [(5.0, 5.0), (0.0, 0.0), (-120.0, 30.0), (1e-4, 2e-4)])
def test_ticks_are_round_and_hold_all_values(low: float, high: float) -> None:
    ticks = charts.nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 12


# --- the command line


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.callback()(lambda: None)
    cli_evaluate.register(app)
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_command_writes_the_report_and_says_where(corpus: Path, own_report: Path) -> None:
    results = own_report / "page.md"
    done = run(corpus, "-o", own_report, "--systems", ",".join(SYSTEMS), "--results", results)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(own_report / "report.html")
    assert FIGURES_BEGIN in results.read_text()
    assert "SI-SDR" in results.read_text()


def test_results_without_a_report_are_refused(corpus: Path) -> None:
    done = run(corpus, "--results", "page.md")
    assert done.exit_code == 2
    assert "add -o" in done.stderr


# --- the page in a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser at {CHROMIUM}")
    with sync.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=[
                "--headless=new", "--no-sandbox", "--disable-gpu",
                "--disable-background-networking", "--autoplay-policy=no-user-gesture-required",
            ],
        )  # fmt: skip
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    opened.goto((report / "report.html").as_uri())
    yield opened
    assert problems == []
    opened.close()


STATE = "drummixReport.state()"
DEADLINE_S = 60.0


def wait_until(page: Any, claim: str) -> None:
    """Wait until JavaScript says so; the page's own policy forbids Playwright's way to wait."""
    end_s = time.monotonic() + DEADLINE_S
    while not page.evaluate(claim):
        assert time.monotonic() < end_s, f"still not: {claim}"
        time.sleep(0.02)


def test_switching_systems_keeps_the_playback_position(page: Any) -> None:
    item = page.locator("section.item").first
    item.locator("button.play").click()
    wait_until(page, f"{STATE} && {STATE}.position > 0.3")
    for label in ("unity", "anchor", "static", "reference"):
        before = page.evaluate(STATE)
        item.get_by_role("group", name="dry mixes").get_by_role("button", name=label).click()
        wait_until(page, f"{STATE}.clock > {before['clock']} + 0.1")
        after = page.evaluate(STATE)
        # One clock drives both: the position went on with it, as if nothing had happened.
        went_on_s = (after["position"] - before["position"]) % 3.0
        assert went_on_s == pytest.approx(after["clock"] - before["clock"], abs=0.002)
        assert after["isPlaying"]
        name = {"static": "static-dry", "reference": "reference-dry"}.get(label, label)
        assert after["heard"] == [name]


def test_stopping_and_going_on_keeps_the_position(page: Any) -> None:
    item = page.locator("section.item").first
    play = item.locator("button.play")
    play.click()
    wait_until(page, f"{STATE} && {STATE}.position > 0.2")
    play.click()
    stopped = page.evaluate(STATE)
    assert not stopped["isPlaying"]
    page.wait_for_timeout(100)
    assert page.evaluate(STATE)["position"] == stopped["position"]
    play.click()
    wait_until(page, f"{STATE}.isPlaying && {STATE}.position != {stopped['position']}")
    assert page.evaluate(STATE)["position"] - stopped["position"] < 1.5


def test_another_item_takes_over_and_keys_work(page: Any) -> None:
    first, second = page.locator("section.item").all()
    first.locator("button.play").click()
    wait_until(page, f"{STATE} && {STATE}.isPlaying")
    second.locator("button.play").click()
    wait_until(page, f"{STATE}.item === 1 && {STATE}.isPlaying")
    assert first.locator("button.play").inner_text() == "Play"
    page.keyboard.press("3")
    wait_until(page, f"{STATE}.heard.join() === 'unity'")
    page.keyboard.press(" ")
    wait_until(page, f"!{STATE}.isPlaying")


@pytest.mark.parametrize("width", [1200, 390])
def test_page_is_drawn_and_fits_its_width(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    item = page.locator("section.item").first
    item.scroll_into_view_if_needed()
    page.wait_for_selector("section.item[data-drawn]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colours = page.evaluate(
        """[...document.querySelectorAll('section.item[data-drawn] canvas')].map(c => {
            const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
            return new Set(new Uint32Array(d.buffer)).size; })"""
    )
    # Something is on every canvas; the spectrograms have many colours.
    assert min(colours) > 1
    assert max(colours) > 50
