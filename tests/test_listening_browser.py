"""A listening test in a real Chromium: what a person does reaches the disk, whatever happens."""

import os
import re
import shutil
import signal
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drummix import audio
from drummix.audio import Audio
from drummix.listening.build import build_study, read_built
from drummix.listening.enrolment import codes_of, invite
from drummix.listening.ratings import write_ratings_csv
from drummix.listening.report import write_report
from drummix.listening.results import Rating, read_answers, read_ratings
from drummix.listening.simulate import Simulation, simulate_ratings

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("uvicorn", reason="the extra `listen` is not installed")

CHROMIUM = os.environ.get("DRUMMIX_CHROMIUM") or shutil.which("chromium")
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--autoplay-policy=no-user-gesture-required",
]
RATE = 44_100
PAPER = (
    *("reference-dry", "reference-wet", "waveunet-dry", "waveunet-wet"),
    *("forest-dry", "forest-wet", "anchor"),
)
FADE_SAMPLES = 0.005 * RATE
FADE_SLOPE = np.pi / 2 / FADE_SAMPLES
"""The steepest step of a raised cosine from 0 to 1 in 5 ms."""

SMALL = """
name = "small"
excerpt_s = 1.0
training = "none"
questions = []
[systems.zebra]
role = "reference"
[systems.quagga]
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium; scripts/install_chromium.sh brings it")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Server:
    """A server in a process of its own, that can be killed and started again."""

    def __init__(self, study: Path) -> None:
        self.study = study
        self.port = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "drummix", "listen", "serve", str(self.study)]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(20)


def write_mixes(folder: Path, systems: tuple[str, ...], items: tuple[str, ...]) -> None:
    """Write noise bursts of another kind for each system and item."""
    rng = np.random.default_rng(0)
    envelope = np.exp(-(np.arange(RATE) % 11_025) / 2000)
    for item in items:
        (folder / "mixes" / item).mkdir(parents=True)
        for system in systems:
            burst = 0.1 * envelope * rng.standard_normal((2, RATE))
            audio.write(folder / "mixes" / item / f"{system}.wav", Audio(burst, RATE))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve two pages of two mixes."""
    folder = tmp_path_factory.mktemp("small")
    write_mixes(folder, ("zebra", "quagga"), ("one", "two"))
    (folder / "study.toml").write_text(SMALL)
    build_study(folder / "study.toml", folder / "study")
    running = Server(folder / "study")
    yield running
    running.stop()


@dataclass(frozen=True)
class Listener:
    """A listener of the small study, and what the disk has of them."""

    server: Server
    name: str
    link: str

    @property
    def rows(self) -> list[Rating]:
        return [row for row in read_ratings(self.server.study) if row.listener == self.code]

    @property
    def code(self) -> str:
        return codes_of(self.server.study)[self.name]


@pytest.fixture
def listener(server: Server, request: pytest.FixtureRequest) -> Listener:
    """Invite a listener of this test's own."""
    name = request.node.name[:50]
    links = invite(server.study, [name], count=1, url=server.url)
    return Listener(server, name, links[name])


def open_page(browser: Any, link: str, **options: Any) -> Any:
    """Open a link in a browser of its own; an error on the page fails the test."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(link)
    return page


def agree(page: Any) -> None:
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Go on").click()


def heading(page: Any, name: str) -> None:
    page.get_by_role("heading", name=name).wait_for()


def saved(page: Any) -> None:
    page.locator("#saved[data-state=saved]").wait_for()


def hear(page: Any, slot: int) -> None:
    """Wait until a slot, from 0, is what is heard."""
    page.locator(f".slot.heard .track[aria-label='Mix {slot + 1}']").wait_for()


def scores(page: Any) -> list[float]:
    """Read the sliders from left to right."""
    return [float(t.get_attribute("aria-valuenow")) for t in page.locator(".track").all()]


def rate_by_keyboard(page: Any, n_slots: int) -> list[float]:
    for slot in range(n_slots):
        page.keyboard.press(str(slot + 1))
        hear(page, slot)
        page.keyboard.press("Home" if slot % 2 else "End")
        page.keyboard.press("PageUp" if slot % 2 else "PageDown")
        for _ in range(slot + 1):
            page.keyboard.press("ArrowUp" if slot % 2 else "ArrowDown")
    found = scores(page)
    assert found == [10 + s + 1 if s % 2 else 90 - s - 1 for s in range(n_slots)]
    return found


def rate_by_mouse(page: Any, n_slots: int) -> list[float]:
    for slot in range(n_slots):
        track = page.locator(".track").nth(slot)
        before = scores(page)[slot]
        track.click(position={"x": 10, "y": 60 + 10 * slot}, force=True)
        hear(page, slot)
        assert scores(page)[slot] == before  # the first click plays, and rates nothing
        track.click(position={"x": 10, "y": 60 + 10 * slot}, force=True)
    found = scores(page)
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == n_slots
    return found


def press_next(page: Any) -> None:
    page.get_by_role("button", name="Next page").click()


def by_page(rows: list[Rating]) -> list[list[float | None]]:
    """Scores of each page in order, from left to right."""
    pages: dict[int, list[float | None]] = {}
    for row in rows:
        pages.setdefault(row.page, []).append(row.score)
    return [pages[number] for number in sorted(pages)]


def test_a_listener_completes_the_paper_preset_by_mouse_and_keyboard_and_stays_blind(
    browser: Any, tmp_path: Path
) -> None:
    items = tuple(f"samba{n}" for n in range(6))
    write_mixes(tmp_path, PAPER, items)
    text = "name = 'drums'\npreset = 'paper'\nexcerpt_s = 1.0\nopen_enrolment = true\n"
    (tmp_path / "study.toml").write_text(text)
    build_study(tmp_path / "study.toml", tmp_path / "study")
    server = Server(tmp_path / "study")
    told: list[bytes] = []
    try:
        page = open_page(browser, server.url)
        page.on("response", lambda answer: told.append(everything_of(answer)))
        page.get_by_role("button", name="Start").click()
        agree(page)
        heading(page, "About you")
        page.get_by_role("spinbutton").fill("30")
        for answer in ("another", "some", "good headphones"):
            page.get_by_role("radio", name=answer, exact=True).check()
        page.get_by_role("button", name="Go on").click()
        heading(page, "Practice page")
        rate_by_mouse(page, 7)
        press_next(page)
        expected = []
        for number in range(6):
            heading(page, f"Page {number + 1} of 6")
            rate = rate_by_mouse if number == 0 else rate_by_keyboard
            expected.append(rate(page, 7))
            press_next(page)
        heading(page, "That was the last page")
        page.get_by_role("button", name="Finish").click()
        heading(page, "Thank you")
        assert page.errors == []
        shown = page.content().encode()
        page.context.close()
    finally:
        server.stop()
    rows = list(read_ratings(tmp_path / "study"))
    # The page shows whole numbers of a finer scale.
    assert np.array(by_page(rows)) == pytest.approx(np.array(expected), abs=0.51)
    assert {(row.item, row.system) for row in rows} == {(i, s) for i in items for s in PAPER}
    assert {row.state for row in rows} == {"finished"}
    assert all(row.plays >= 1 and row.listen_s > 0 and row.page_s > 0 for row in rows)
    [answers] = read_answers(tmp_path / "study").values()
    assert answers["headphones"] == "good headphones"
    assert len(told) > 60
    for name in (*PAPER, *items, "forest", "waveunet", "anchor"):
        assert not [text for text in (*told, shown) if name.encode() in text.lower()], name


def everything_of(answer: Any) -> bytes:
    """An answer's address, headers and body as the browser got them."""
    try:
        body = answer.body()
    except playwright.Error:  # a page that is left takes its last answers with it
        body = b""
    return f"{answer.url} {answer.headers} {answer.request.post_data}".encode() + body


def test_a_reload_in_the_middle_of_a_page_goes_on_there(browser: Any, listener: Listener) -> None:
    page = open_page(browser, listener.link)
    agree(page)
    heading(page, "Page 1 of 2")
    page.keyboard.press("1")
    hear(page, 0)
    page.keyboard.press("End")
    page.keyboard.press("PageDown")
    kept = scores(page)
    page.reload()
    heading(page, "Page 1 of 2")
    assert scores(page) == kept
    labels = [b.get_attribute("aria-label") for b in page.locator(".pick").all()]
    assert labels == ["Play mix 1, rated", "Play mix 2, not played yet"]
    page.get_by_role("button", name="Next page").click(force=True)
    assert page.locator(".hint").text_content() == "Not played yet: 2"
    expected = rate_by_keyboard(page, 2)
    page.get_by_label("Comment on mix 2").fill("too much cymbal")
    press_next(page)
    heading(page, "Page 2 of 2")
    saved(page)
    page.context.close()
    # Another day, another browser: the same link.
    page = open_page(browser, listener.link)
    heading(page, "Page 2 of 2")
    rows = [row for row in listener.rows if row.page == 1]
    assert by_page(rows) == [expected]
    assert [row.comment for row in rows] == ["", "too much cymbal"]
    assert [row.plays for row in rows] == [2, 1]
    page.context.close()


def test_a_killed_server_loses_no_acknowledged_rating_and_gets_the_rest_later(
    browser: Any, listener: Listener
) -> None:
    page = open_page(browser, listener.link)
    agree(page)
    heading(page, "Page 1 of 2")
    page.keyboard.press("1")
    hear(page, 0)
    page.keyboard.press("End")
    page.locator("#saved[data-state=saving]").wait_for(state="detached")
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(400)  # longer than the 300 ms after which a score is sent
    saved(page)
    listener.server.stop(signal.SIGKILL)
    assert [row.score for row in listener.rows] == [99.0, None]
    page.keyboard.press("2")
    hear(page, 1)  # what is loaded plays on without a server
    page.keyboard.press("Home")
    page.locator("#saved[data-state=offline]").wait_for()
    assert re.match(r"No connection: \d+ actions are kept", page.locator("#saved").text_content())
    listener.server.start()
    saved(page)
    assert [row.score for row in listener.rows] == [99.0, 0.0]
    press_next(page)
    heading(page, "Page 2 of 2")
    assert page.errors == []
    page.context.close()


def test_what_was_done_without_a_connection_survives_closing_the_page(
    browser: Any, listener: Listener
) -> None:
    page = open_page(browser, listener.link)
    agree(page)
    heading(page, "Page 1 of 2")
    saved(page)
    page.context.set_offline(True)
    page.keyboard.press("2")
    hear(page, 1)
    page.keyboard.press("End")
    page.locator("#saved[data-state=offline]").wait_for()
    page.wait_for_timeout(400)
    assert [row.score for row in listener.rows] == [None, None]
    page.on("dialog", lambda dialog: dialog.accept())
    page.close(run_before_unload=False)
    context = page.context
    context.set_offline(False)
    again = context.new_page()
    again.goto(listener.link)
    again.get_by_role("heading", name="Page 1 of 2").wait_for()
    assert scores(again)[1] == 100
    assert [row.score for row in listener.rows] == [None, 100.0]
    context.close()


def test_only_what_is_heard_can_be_rated(browser: Any, listener: Listener) -> None:
    page = open_page(browser, listener.link)
    agree(page)
    heading(page, "Page 1 of 2")
    before = scores(page)
    page.locator(".track").first.focus()
    page.keyboard.press("End")
    assert scores(page) == before
    assert page.locator(".hint").text_content() == "Play mix 1 first: press Enter"
    page.keyboard.press("Enter")
    hear(page, 0)
    page.keyboard.press("Space")
    page.locator(".slot.heard").wait_for(state="detached")
    page.keyboard.press("End")
    assert scores(page) == before
    page.keyboard.press("Space")
    hear(page, 0)
    page.keyboard.press("ArrowRight")
    hear(page, 1)
    page.keyboard.press("End")
    assert scores(page) == [before[0], 100]
    states = [t.get_attribute("aria-disabled") for t in page.locator(".track").all()]
    assert states == ["true", "false"]
    assert page.locator(".track").nth(1).get_attribute("aria-valuetext") == "100, Excellent"
    page.context.close()


def test_the_page_fits_a_phone(browser: Any, listener: Listener) -> None:
    page = open_page(
        browser,
        listener.link,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
    )
    agree(page)
    heading(page, "Page 1 of 2")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".pick").first.tap()
    hear(page, 0)
    page.locator(".track").first.tap(position={"x": 20, "y": 30}, force=True)
    page.locator(".slot.moved").wait_for()
    sizes = [b.bounding_box() for b in page.locator("button").all()]
    assert all(size["height"] >= 44 for size in sizes)
    page.context.close()


def test_the_experimenter_sees_the_listener_live(browser: Any, listener: Listener) -> None:
    server = listener.server
    ours = open_page(browser, listener.link)
    agree(ours)
    heading(ours, "Page 1 of 2")
    rate_by_keyboard(ours, 2)
    ours.wait_for_timeout(400)
    saved(ours)
    token = read_built(server.study).admin_token
    page = open_page(browser, f"{server.url}admin#{token}")
    row = page.get_by_role("row").filter(has_text=listener.code)
    assert row.locator("td").all_text_contents()[1:4] == ["started", "0 / 2", "2"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    table = Path(download.value.path()).read_text()
    assert table.count(listener.code) == 2
    assert listener.name not in table
    page.get_by_label("Name").fill("Grace Hopper")
    page.get_by_role("button", name="New link").click()
    page.locator("code").wait_for()
    link = page.locator("code").text_content()
    assert re.fullmatch(rf"{server.url}#[\w-]{{32}}", link)
    code = codes_of(server.study)["Grace Hopper"]
    assert page.get_by_text(f"Link of {code}.").is_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("row").filter(has_text=code).get_by_role("button", name="Replace").click()
    page.wait_for_timeout(500)
    assert page.locator("code").text_content() != link
    assert "Grace Hopper" not in page.content()
    assert page.errors == []
    wrong = open_page(browser, f"{server.url}admin#wrong")
    wrong.get_by_role("alert").wait_for()
    assert wrong.locator("table").count() == 0
    for one in (ours, page, wrong):
        one.context.close()


RENDER = """
async ({stimuli, rate, seconds, steps}) => {
  const { Engine } = await import("/static/engine.js");
  const context = new OfflineAudioContext(1, seconds * rate, rate);
  const engine = new Engine(context);
  engine.use(stimuli.map((samples) => {
    const bytes = Uint8Array.from(atob(samples), (letter) => letter.charCodeAt(0));
    const floats = new Float32Array(bytes.buffer);
    const buffer = context.createBuffer(1, floats.length, rate);
    buffer.copyToChannel(floats, 0);
    return buffer;
  }));
  for (const [what, ...values] of steps) engine[what](...values);
  const rendered = await context.startRendering();
  const played = new Uint8Array(rendered.getChannelData(0).buffer);
  let letters = "";
  for (const byte of played) letters += String.fromCharCode(byte);
  return btoa(letters);
}
"""


@pytest.fixture(scope="module")
def render(browser: Any, server: Server) -> Iterator[Any]:
    """Render what the page's engine would play, sample by sample."""
    page = open_page(browser, server.url)

    def rendered(stimuli: list[np.ndarray], steps: list[list[Any]], seconds: float = 1) -> Any:
        arguments = {
            "stimuli": [
                b64encode(stimulus.astype("<f4").tobytes()).decode() for stimulus in stimuli
            ],
            "rate": RATE,
            "seconds": seconds,
            "steps": steps,
        }
        return np.frombuffer(b64decode(page.evaluate(RENDER, arguments)), "<f4").astype(float)

    yield rendered
    page.context.close()


def test_a_switch_fades_out_then_in_without_a_click(render: Any) -> None:
    ones = np.ones(RATE, np.float32)
    played = render([ones, ones], [["start", 0, 0.1], ["switchTo", 1, 0.4]])
    # 2% for the straight lines between the 129 points of the curve.
    assert np.max(np.abs(np.diff(played))) < 1.02 * FADE_SLOPE
    assert np.max(np.abs(np.diff(played))) > 0.9 * FADE_SLOPE
    assert played[int(0.4 * RATE) - 1] == 1.0
    assert abs(played[round(0.405 * RATE)]) < 1e-3  # never a cross-fade: silence in the middle
    assert played[round(0.41 * RATE) + 1] == 1.0
    assert played[round(0.4025 * RATE)] == pytest.approx(0.5, abs=FADE_SLOPE)
    assert np.max(np.abs(played[: int(0.1 * RATE)])) == 0.0


def test_stimuli_do_not_drift_by_one_sample_over_many_switches(render: Any) -> None:
    noise = np.random.default_rng(0).standard_normal(RATE // 3).astype(np.float32)
    start = RATE // 10
    switches = [["switchTo", n % 3, 0.2 + 0.05 * n] for n in range(1, 14)]
    played = render([noise, noise, noise], [["start", 0, start / RATE], *switches])
    expected = noise[(np.arange(RATE) - start) % noise.size]
    open_gain = np.ones(RATE, bool)
    open_gain[: start + 222] = False
    for _, _, at_s in switches:
        open_gain[int(at_s * RATE) - 1 : int((at_s + 0.01) * RATE) + 3] = False
    assert open_gain.sum() > RATE // 2
    assert (played[open_gain] == expected[open_gain].astype(np.float64)).all()


def test_a_looped_region_has_no_click_at_its_seam(render: Any) -> None:
    ones = np.ones(RATE, np.float32)
    played = render([ones, ones], [["setLoop", 0.2, 0.7], ["start", 0, 0.1]], seconds=2)
    after_start = played[round(0.11 * RATE) :]
    assert np.max(np.abs(np.diff(after_start))) < 1.02 * FADE_SLOPE
    seam = round(0.6 * RATE)
    assert played[seam] < 1e-3
    assert played[seam + 300] == 1.0
    assert played[seam + RATE // 2] < 1e-3  # and again half a second later


def test_the_page_cleans_what_a_listener_pastes(browser: Any, server: Server) -> None:
    page = open_page(browser, server.url)
    cleaned = page.evaluate(
        "(text) => import('/static/queue.js').then(({ storable }) => storable(JSON.parse(text)))",
        r'"a\ud83d\u0000b\u001b\u0085 \ud83d\ude00\tc\r\nd"',
    )
    assert cleaned == "ab \U0001f600\tc\r\nd"
    page.context.close()


def test_a_comment_with_half_a_character_costs_no_rating(browser: Any, listener: Listener) -> None:
    page = open_page(browser, listener.link)
    agree(page)
    heading(page, "Page 1 of 2")
    rated = rate_by_keyboard(page, 2)
    page.evaluate(
        "() => { const box = document.getElementById('comment');"
        "box.value = 'so \\ud83d\\u0000 loud'; box.dispatchEvent(new Event('change')); }"
    )
    press_next(page)
    heading(page, "Page 2 of 2")
    first = [row for row in listener.rows if row.page == 1]
    assert [row.score for row in first] == rated
    assert [row.comment for row in first] == ["", "so  loud"]
    page.context.close()


def test_what_a_renewed_link_left_unsent_is_sent_by_the_new_one(
    browser: Any, listener: Listener
) -> None:
    page = open_page(browser, listener.link)
    agree(page)
    heading(page, "Page 1 of 2")
    page.context.set_offline(True)
    rated = rate_by_keyboard(page, 2)
    page.wait_for_timeout(500)
    page.close(run_before_unload=False)
    folder, url = listener.server.study, listener.server.url
    [link] = invite(folder, [listener.name], count=1, url=url, again=True).values()
    context = browser.contexts[-1]
    context.set_offline(False)
    page = context.new_page()
    page.goto(link)
    heading(page, "Page 1 of 2")
    saved(page)
    assert [row.score for row in listener.rows] == rated
    assert scores(page) == rated
    context.close()


def test_long_comments_made_without_a_connection_all_reach_the_disk(
    browser: Any, listener: Listener
) -> None:
    page = open_page(browser, listener.link)
    agree(page)
    heading(page, "Page 1 of 2")
    rated = rate_by_keyboard(page, 2)
    page.context.set_offline(True)
    # Together more than one message may have: 60 x 1900 characters of 3 bytes.
    page.evaluate(
        "() => { const box = document.getElementById('comment');"
        "for (let n = 0; n < 60; n += 1) { box.value = n + '\u65e5'.repeat(1890);"
        "box.dispatchEvent(new Event('change')); } }"
    )
    page.context.set_offline(False)
    press_next(page)
    heading(page, "Page 2 of 2")
    first = [row for row in listener.rows if row.page == 1]
    assert [row.score for row in first] == rated
    assert first[1].comment == "59" + "\u65e5" * 1890
    page.context.close()


def test_an_action_that_the_server_does_not_know_keeps_no_other_from_the_disk(
    browser: Any, listener: Listener
) -> None:
    page = open_page(browser, listener.link)
    agree(page)
    heading(page, "Page 1 of 2")
    saved(page)
    page.context.set_offline(True)
    rated = rate_by_keyboard(page, 2)
    page.wait_for_timeout(500)
    page.close(run_before_unload=False)
    context = browser.contexts[-1]
    context.set_offline(False)
    page = context.new_page()
    # As a damaged store of the browser, or another version of the page, may leave it.
    page.goto(f"{listener.server.url}static/style.css")
    page.evaluate(
        "() => { for (const key of Object.keys(localStorage)) if (key.includes('queue')) {"
        "const kept = JSON.parse(localStorage.getItem(key));"
        "kept.splice(1, 0, null, {}, { number: 7000, kind: 'dance' }, { number: 'x' });"
        "localStorage.setItem(key, JSON.stringify(kept)); } }"
    )
    page.goto(listener.link)
    heading(page, "Page 1 of 2")
    page.wait_for_function("() => !Object.keys(localStorage).some((key) => key.includes('queue'))")
    assert [row.score for row in listener.rows] == rated
    context.close()


def test_a_required_answer_of_blanks_is_asked_for_again(browser: Any, tmp_path: Path) -> None:
    write_mixes(tmp_path, ("zebra", "quagga"), ("one",))
    question = '[[questions]]\nname = "job"\ntext = "Your job?"\n'
    (tmp_path / "study.toml").write_text(SMALL.replace("questions = []\n", "") + question)
    build_study(tmp_path / "study.toml", tmp_path / "study")
    running = Server(tmp_path / "study")
    [link] = invite(running.study, [], count=1, url=running.url).values()
    page = open_page(browser, link)
    agree(page)
    field = page.get_by_role("textbox")
    field.press_sequentially("  ")
    page.get_by_role("button", name="Go on").click()
    assert page.evaluate("() => document.querySelector('input').validationMessage")
    field.press_sequentially("drummer")
    page.get_by_role("button", name="Go on").click()
    heading(page, "Page 1 of 1")
    running.stop()
    assert read_answers(running.study) == {"L001": {"job": "drummer"}}
    page.context.close()


@pytest.mark.parametrize("width", [390, 800, 1280])
def test_no_table_of_the_analysis_is_cut_off(browser: Any, tmp_path: Path, width: int) -> None:
    rng = np.random.default_rng(0)
    table = write_ratings_csv(simulate_ratings(Simulation(), rng), tmp_path / "ratings.csv")
    write_report(table, tmp_path / "report", rng, margin=5.0)
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto((tmp_path / "report" / "report.html").as_uri())
    beyond = page.evaluate(
        "[document.documentElement, ...document.querySelectorAll('.scroll')]"
        ".map((one) => one.scrollWidth - one.clientWidth)"
    )
    assert beyond == [0] * 9
    context.close()


def test_the_page_plays_at_the_rate_of_the_study(browser: Any, listener: Listener) -> None:
    page = open_page(browser, listener.link)
    page.add_init_script(
        "window.rates = []; const Real = AudioContext;"
        "window.AudioContext = class extends Real { constructor(options) {"
        "super(options); window.rates.push(this.sampleRate); } };"
    )
    page.reload()
    agree(page)
    heading(page, "Page 1 of 2")
    assert page.evaluate("window.rates") == [RATE]
    page.context.close()
