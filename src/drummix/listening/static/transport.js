// Play and pause, the looped region, and the in-test volume.

import { element } from "./dom.js";
import { MIN_LOOP_S } from "./engine.js";

export const VOLUME_LOW_DB = -40;

/** Seconds as a person reads them. */
function seconds(value) {
  return `${value.toFixed(1)} s`;
}

export class Transport {
  /** @param on Callbacks: toggle(), loop(startS, endS), volume(db, isLast). */
  constructor({ durationS, loop, volumeDb, on }) {
    this.durationS = durationS;
    this.on = on;
    this.button = element("button", { type: "button", className: "play" });
    this.button.addEventListener("click", () => on.toggle());
    this.start = this._range("Loop from", 0, durationS, loop?.[0] ?? 0);
    this.end = this._range("Loop to", 0, durationS, loop?.[1] ?? durationS);
    this.head = element("div", { className: "head" });
    this.region = element("div", { className: "region" });
    this.times = element("output", { className: "times" });
    const line = element(
      "div",
      { className: "timeline" },
      element("div", { className: "line" }, this.region, this.head),
      this.start,
      this.end,
    );
    this.volume = this._range("Volume", VOLUME_LOW_DB, 0, volumeDb, 1);
    this.volumeText = element("output");
    this.row = element(
      "div",
      { className: "transport" },
      this.button,
      element("div", { className: "loop" }, element("span", { textContent: "Loop" }), line, this.times),
      element("label", { className: "volume" }, "Volume", this.volume, this.volumeText),
    );
    this._listen();
    this.setPlaying(false);
    this._showLoop();
    this._showVolume();
  }

  get bounds() {
    return [Number(this.start.value), Number(this.end.value)];
  }

  get volumeDb() {
    return Number(this.volume.value);
  }

  setPlaying(isPlaying) {
    this.button.textContent = isPlaying ? "❚❚ Pause" : "▶ Play";
  }

  setPosition(positionS) {
    this.head.style.setProperty("--at", String(positionS / this.durationS));
  }

  /** Set the loop as if a handle had been moved there. */
  setBounds(startS, endS) {
    this.start.value = startS;
    this.end.value = Math.max(endS, startS + this._shortestS());
    if (this.bounds[1] - this.bounds[0] < this._shortestS()) {
      this.start.value = this.bounds[1] - this._shortestS();
    }
    this._showLoop();
    this.on.loop(...this.bounds);
  }

  _range(label, low, high, value, step = 0.01) {
    const made = element("input", { type: "range", min: low, max: high, step, "aria-label": label });
    made.value = value;
    return made;
  }

  _shortestS() {
    return Math.min(MIN_LOOP_S, this.durationS);
  }

  _listen() {
    this.start.addEventListener("input", () => {
      const latest = this.bounds[1] - this._shortestS();
      if (this.bounds[0] > latest) this.start.value = latest;
      this._showLoop();
    });
    this.end.addEventListener("input", () => {
      const earliest = this.bounds[0] + this._shortestS();
      if (this.bounds[1] < earliest) this.end.value = earliest;
      this._showLoop();
    });
    for (const handle of [this.start, this.end]) {
      handle.addEventListener("change", () => this.on.loop(...this.bounds));
    }
    this.volume.addEventListener("input", () => {
      this._showVolume();
      this.on.volume(this.volumeDb, false);
    });
    this.volume.addEventListener("change", () => this.on.volume(this.volumeDb, true));
  }

  _showLoop() {
    const [startS, endS] = this.bounds;
    this.region.style.setProperty("--from", String(startS / this.durationS));
    this.region.style.setProperty("--to", String(endS / this.durationS));
    this.times.textContent = `${seconds(startS)} – ${seconds(endS)}`;
    this.start.setAttribute("aria-valuetext", seconds(startS));
    this.end.setAttribute("aria-valuetext", seconds(endS));
  }

  _showVolume() {
    this.volumeText.textContent = `${this.volumeDb} dB`;
    this.volume.setAttribute("aria-valuetext", `${this.volumeDb} decibels`);
  }
}
