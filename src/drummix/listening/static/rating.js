// The page with the sliders: hears, rates, and reports every action.

import { element } from "./dom.js";
import { Slider } from "./slider.js";
import { Transport } from "./transport.js";

const RATE_AFTER_MS = 300;
const NUMBER_KEYS = "1234567890-=";

const HELP = [
  ["1 to 9", "hear that mix (0, - and = are the tenth to twelfth)"],
  ["← →", "hear the mix to the left or right"],
  ["↑ ↓", "move the slider of the mix you hear by 1; Page Up and Page Down by 10; Home and End to the ends"],
  ["Space", "pause and go on"],
  ["[ and ]", "start and end the loop here; \\ loops everything"],
  ["Tab, then Enter", "reach every control in turn and use it"],
];

export class RatingPage {
  /**
   * @param engine Loaded with the page's stimuli.
   * @param session What the server says of the session.
   * @param push Keeps and sends an action.
   * @param onDone Called when the listener is done with the page.
   */
  constructor({ engine, session, push, onDone }) {
    this.engine = engine;
    this.session = session;
    this.page = session.page;
    this.push = push;
    this.onDone = onDone;
    this.states = this.page.slots.map((slot) => ({ ...slot }));
    this.pending = new Map(); // slot -> score not yet reported
    this.heardFrom = null;
    this.sinceMs = performance.now();
    this.root = this._build();
    this._restore();
    this.abort = new AbortController();
    this._listen();
    push({ kind: "open", page: this.page.page });
    this._tick();
    this._refresh();
  }

  // ---- building

  _build() {
    const { session, page } = this;
    this.sliders = page.slots.map(
      (slot, n) =>
        new Slider({
          number: n + 1,
          score: slot.score,
          words: session.scale,
          on: {
            select: () => this.select(n),
            rate: (score, isLast) => this._rated(n, score, isLast),
            canRate: () => this.engine.isPlaying && this.engine.current === n,
            refuse: () => this._say(`Play mix ${n + 1} first: press Enter`),
          },
        }),
    );
    this.transport = new Transport({
      durationS: this.engine.durationS,
      loop: page.loop,
      volumeDb: session.volume_db,
      on: {
        toggle: () => this.toggle(),
        loop: (startS, endS) => this._looped(startS, endS),
        volume: (db, isLast) => this._volume(db, isLast),
      },
    });
    this.live = element("p", { className: "hint", "aria-live": "polite" });
    this.next = element("button", { type: "button", className: "primary", textContent: "Next page" });
    this.next.addEventListener("click", () => this._submit());
    const bands = [...session.scale].reverse().map((word) => element("div", { textContent: word }));
    this.board = element(
      "div",
      { className: "board", role: "group", "aria-label": session.question },
      element("div", { className: "scale", "aria-hidden": "true" }, ...bands),
      ...this.sliders.map((slider) => slider.column),
    );
    this.board.style.setProperty("--slots", String(this.sliders.length));
    return [
      element("h1", { textContent: this._heading() }),
      element("p", { className: "question", textContent: session.question }),
      page.kind === "training" ? this._training() : null,
      this.board,
      this.transport.row,
      session.comments ? this._comment() : null,
      this.live,
      element("div", { className: "actions" }, this.next),
      this._help(),
    ];
  }

  _heading() {
    const { n_training, n_pages } = this.session;
    if (this.page.kind === "training") return "Practice page";
    return `Page ${this.page.page - n_training + 1} of ${n_pages - n_training}`;
  }

  _training() {
    return element("p", {
      className: "note",
      textContent:
        "This page is for practice: hear what kinds of mixes there are, try the sliders, and set " +
        "the volume. Its ratings do not count.",
    });
  }

  _comment() {
    this.comment = element("textarea", { id: "comment", rows: 2, maxLength: 1000, disabled: true });
    this.commentLabel = element("label", { for: "comment" });
    this.comment.addEventListener("change", () => this._commented());
    return element("div", { className: "comment" }, this.commentLabel, this.comment);
  }

  _help() {
    const rows = HELP.map(([keys, what]) =>
      element("div", {}, element("dt", { textContent: keys }), element("dd", { textContent: what })),
    );
    const close = element("summary", { textContent: "Keyboard" });
    return element("details", { className: "help" }, close, element("dl", {}, ...rows));
  }

  _restore() {
    this.engine.setVolume(this.session.volume_db);
    if (this.page.loop) this.engine.setLoop(...this.transport.bounds);
  }

  // ---- what the listener does

  async select(slot) {
    if (this.engine.isPlaying && this.engine.current === slot) return;
    this._report();
    await this.engine.play(slot);
    this._heard(slot);
    this.sliders[slot].track.focus({ preventScroll: true });
    this._say(`Mix ${slot + 1}`);
    this._refresh();
  }

  async toggle() {
    if (this.engine.isPlaying) {
      this._report();
      this.engine.pause();
      this._say("Paused");
      this._refresh();
    } else {
      await this.select(this.engine.current ?? 0);
    }
  }

  _heard(slot) {
    this.heardFrom = { slot, atMs: performance.now() };
    this.states[slot].played = true;
    this.push({ kind: "play", page: this.page.page, slot });
    if (this.comment) {
      this.comment.disabled = false;
      this.comment.value = this.states[slot].comment;
      this.commentLabel.textContent = `Comment on mix ${slot + 1} (optional)`;
    }
  }

  _rated(slot, score, isLast) {
    this.states[slot].score = score;
    this.states[slot].moved = true;
    this.pending.set(slot, score);
    clearTimeout(this.rateTimer);
    if (isLast) this._reportRatings();
    else this.rateTimer = setTimeout(() => this._reportRatings(), RATE_AFTER_MS);
    this._refresh();
  }

  _looped(startS, endS) {
    this.engine.setLoop(startS, endS);
    this.push({ kind: "loop", page: this.page.page, detail: `${startS} ${endS}` });
  }

  _volume(db, isLast) {
    this.engine.setVolume(db);
    this.session.volume_db = db;
    if (isLast) this.push({ kind: "volume", value: db });
  }

  _commented() {
    const slot = this.engine.current;
    if (slot === null || this.states[slot].comment === this.comment.value) return;
    this.states[slot].comment = this.comment.value;
    this.push({ kind: "comment", page: this.page.page, slot, detail: this.comment.value });
  }

  _submit() {
    const missing = this._missing();
    if (missing) {
      this._say(missing.text);
      this.sliders[missing.slot].track.focus();
      return;
    }
    this._report();
    this.engine.pause();
    this.push({ kind: "submit", page: this.page.page, value: this._pageSeconds() });
    this.next.disabled = true;
    this._end();
    this.onDone();
  }

  // ---- reporting

  /** Report what is not reported yet: a rating just made, a comment, how long it was heard. */
  _report() {
    this._reportRatings();
    if (this.comment) this._commented();
    if (this.heardFrom) {
      const { slot, atMs } = this.heardFrom;
      const value = Math.max(0, (performance.now() - atMs) / 1000);
      this.push({ kind: "stop", page: this.page.page, slot, value });
      this.heardFrom = null;
    }
  }

  _reportRatings() {
    clearTimeout(this.rateTimer);
    for (const [slot, value] of this.pending) {
      this.push({ kind: "rate", page: this.page.page, slot, value });
    }
    this.pending.clear();
  }

  _pageSeconds() {
    const spentS = (performance.now() - this.sinceMs) / 1000;
    this.sinceMs = performance.now();
    return Math.max(0, spentS);
  }

  /** The page is being hidden or closed: nothing may be left in memory only. */
  _leave() {
    const wasHeard = this.heardFrom?.slot;
    this._report();
    if (wasHeard !== undefined && this.engine.isPlaying) {
      this.heardFrom = { slot: wasHeard, atMs: performance.now() };
    }
    this.push({ kind: "leave", page: this.page.page, value: this._pageSeconds() });
  }

  // ---- showing

  _missing() {
    const notPlayed = [];
    const notMoved = [];
    this.states.forEach((state, n) => {
      if (this.session.must_play && !state.played) notPlayed.push(n + 1);
      else if (this.session.must_move && !state.moved) notMoved.push(n + 1);
    });
    const parts = [];
    if (notPlayed.length) parts.push(`not played yet: ${notPlayed.join(", ")}`);
    if (notMoved.length) parts.push(`slider not moved yet: ${notMoved.join(", ")}`);
    if (!parts.length) return null;
    const text = parts.join("; ");
    return { text: text[0].toUpperCase() + text.slice(1), slot: (notPlayed[0] ?? notMoved[0]) - 1 };
  }

  _refresh() {
    const { current, isPlaying } = this.engine;
    this.sliders.forEach((slider, n) => {
      const { played, moved } = this.states[n];
      slider.setState({ isCurrent: current === n, isPlaying, isPlayed: played, isMoved: moved });
    });
    this.transport.setPlaying(isPlaying);
    this.next.setAttribute("aria-disabled", String(this._missing() !== null));
    if (this.comment && current === null) {
      this.commentLabel.textContent = "Comment (play a mix first)";
    }
  }

  _say(text) {
    this.live.textContent = text;
  }

  _tick() {
    this.transport.setPosition(this.engine.positionS());
    this.frame = requestAnimationFrame(() => this._tick());
  }

  // ---- listening to the browser

  _listen() {
    const { signal } = this.abort;
    document.addEventListener("keydown", (event) => this._key(event), { signal });
    window.addEventListener("pagehide", () => this._leave(), { signal });
    document.addEventListener(
      "visibilitychange",
      () => {
        if (document.hidden) this._leave();
        else this.sinceMs = performance.now();
      },
      { signal },
    );
  }

  _end() {
    this.abort.abort();
    cancelAnimationFrame(this.frame);
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    if (target.matches("textarea, input:not([type=range]), select, summary")) return;
    if (this._act(event.key, target)) event.preventDefault();
  }

  /** Do what a key stands for; false leaves it to the browser. */
  _act(key, target) {
    const number = NUMBER_KEYS.indexOf(key);
    if (key.length === 1 && number >= 0 && number < this.sliders.length) {
      this.select(number);
      return true;
    }
    if (key === " " && target !== this.next) {
      this.toggle();
      return true;
    }
    const loopKeys = { "[": [this.engine.positionS(), this.transport.bounds[1]],
      "]": [this.transport.bounds[0], this.engine.positionS()],
      "\\": [0, this.engine.durationS] };
    if (key in loopKeys) {
      this.transport.setBounds(...loopKeys[key]);
      return true;
    }
    // Arrows move the browser's own sliders where those have the focus.
    if (target.matches("input[type=range]")) return false;
    const focused = this.sliders.findIndex((slider) => slider.track === target);
    const slot = focused >= 0 ? focused : this.engine.current;
    if (key === "Enter" && focused >= 0) {
      this.select(focused);
      return true;
    }
    if (key === "ArrowLeft" || key === "ArrowRight") {
      const step = key === "ArrowLeft" ? -1 : 1;
      const from = slot ?? (step > 0 ? -1 : this.sliders.length);
      this.select((from + step + this.sliders.length) % this.sliders.length);
      return true;
    }
    return slot !== null && this.sliders[slot].key(key);
  }
}
