// One column of the board: a vertical slider from 0 to 100 and the button that plays its stimulus.
// It only shows and reports; what may be rated is decided by the page.

import { element } from "./dom.js";

const STEPS = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 };

export class Slider {
  /**
   * @param number What the listener calls the stimulus, from 1 up.
   * @param words The scale's five words, from the bottom up.
   * @param on Callbacks: select(), rate(score, isLast), canRate(), refuse().
   */
  constructor({ number, score, words, on }) {
    this.number = number;
    this.words = words;
    this.on = on;
    this.thumb = element("div", { className: "thumb" });
    this.fill = element("div", { className: "fill" });
    this.track = element(
      "div",
      {
        className: "track",
        role: "slider",
        tabIndex: 0,
        "aria-orientation": "vertical",
        "aria-valuemin": "0",
        "aria-valuemax": "100",
        "aria-label": `Mix ${number}`,
      },
      element("div", { className: "rail" }, this.fill, this.thumb),
    );
    this.value = element("div", { className: "value", "aria-hidden": "true" });
    this.button = element("button", { type: "button", className: "pick", textContent: number });
    this.column = element("div", { className: "slot" }, this.value, this.track, this.button);
    this.setScore(score);
    this.setState({ isCurrent: false, isPlaying: false, isPlayed: false, isMoved: false });
    this._listen();
  }

  setScore(score) {
    this.score = score;
    const band = this.words[Math.min(4, Math.floor(score / 20))];
    this.track.setAttribute("aria-valuenow", String(Math.round(score)));
    this.track.setAttribute("aria-valuetext", `${Math.round(score)}, ${band}`);
    this.track.style.setProperty("--score", String(score / 100));
    this.value.textContent = String(Math.round(score));
  }

  setState({ isCurrent, isPlaying, isPlayed, isMoved }) {
    const isHeard = isCurrent && isPlaying;
    this.column.classList.toggle("current", isCurrent);
    this.column.classList.toggle("heard", isHeard);
    this.column.classList.toggle("moved", isMoved);
    this.track.setAttribute("aria-disabled", String(!isHeard));
    this.button.setAttribute("aria-pressed", String(isHeard));
    const done = isMoved ? "rated" : isPlayed ? "played, not rated yet" : "not played yet";
    this.button.setAttribute("aria-label", `Play mix ${this.number}, ${done}`);
  }

  /** Change the score by a key; false if the key is not one of a slider's. */
  key(name) {
    const score = { Home: 0, End: 100 }[name] ?? this.score + STEPS[name];
    if (Number.isNaN(score)) return false;
    if (this.on.canRate()) this._rate(score, false);
    else this.on.refuse();
    return true;
  }

  _rate(score, isLast) {
    const rounded = Math.round(Math.min(100, Math.max(0, score)) * 10) / 10;
    this.setScore(rounded);
    this.on.rate(rounded, isLast);
  }

  _listen() {
    this.button.addEventListener("click", () => this.on.select());
    let isDragging = false;
    const rateAt = (event, isLast) => {
      const { top, height } = this.track.firstElementChild.getBoundingClientRect();
      this._rate(100 * (1 - (event.clientY - top) / height), isLast);
    };
    this.track.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      // The first touch of a bar plays it; only what is heard can be rated.
      if (!this.on.canRate()) {
        this.on.select();
        return;
      }
      isDragging = true;
      this.track.setPointerCapture(event.pointerId);
      rateAt(event, false);
    });
    this.track.addEventListener("pointermove", (event) => isDragging && rateAt(event, false));
    this.track.addEventListener("pointerup", (event) => {
      if (isDragging) rateAt(event, true);
      isDragging = false;
    });
    this.track.addEventListener("pointercancel", () => {
      isDragging = false;
    });
  }
}
