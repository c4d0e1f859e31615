"use strict";
// Listening: all systems of an item run together from one start, and only one has gain. So the
// place in the music is the same for all, and switching cannot lose it.
(() => {
  const FADE_S = 0.005;
  const START_S = 0.03;
  const KEPT_ITEMS = 3;
  const FFT = 2048;
  const RANGE_DB = 80;
  let context = null;
  let player = null;
  const trouble = document.getElementById("trouble");

  const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const say = (text) => { trouble.textContent = text; trouble.hidden = false; };
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // ---- items: what they are, their sound, decoded when it is needed and kept for a few only
  const items = [...document.querySelectorAll("section.item")].map((section) => {
    const about = JSON.parse(section.querySelector('script[type="application/json"]').textContent);
    return { section, about, buffers: null, chosen: null, group: 0, drawn: false, position: 0 };
  });
  const recent = [];

  async function decode(item) {
    if (!item.buffers) {
      const decoder = new OfflineAudioContext(2, 1, 48000);
      item.buffers = (async () => {
        const scripts = [...item.section.querySelectorAll("script[data-signal]")];
        const decoded = await Promise.all(
          scripts.map((script) => decoder.decodeAudioData(bytesOf(script.textContent).buffer)));
        return new Map(scripts.map((script, n) => [script.dataset.signal, decoded[n]]));
      })();
    }
    const place = recent.indexOf(item);
    if (place >= 0) recent.splice(place, 1);
    recent.push(item);
    while (recent.length > KEPT_ITEMS) {
      const old = recent.findIndex((each) => !player || each !== player.item);
      if (old < 0 || recent[old] === item) break;
      recent.splice(old, 1)[0].buffers = null;
    }
    try {
      return await item.buffers;
    } catch (error) {
      item.buffers = null;
      say("This browser cannot decode the sound (Ogg Opus). Open the page in Firefox, Chrome or Safari 18.4 or later, or listen to the files in mixes/.");
      throw error;
    }
  }

  // ---- the player
  class Player {
    constructor(item, buffers) {
      this.item = item;
      this.duration = Math.min(item.about.durationS, ...[...buffers.values()].map((b) => b.duration));
      this.gains = new Map();
      this.sources = [];
      for (const [name, buffer] of buffers) {
        const gain = new GainNode(context, { gain: 0 });
        gain.connect(context.destination);
        this.gains.set(name, { gain, buffer });
      }
      this.isPlaying = false;
      this.offset = item.position % this.duration;
    }
    play() {
      if (this.isPlaying) return;
      const when = context.currentTime + START_S;
      this.sources = [...this.gains.values()].map(({ gain, buffer }) => {
        const source = new AudioBufferSourceNode(context, { buffer, loop: true, loopStart: 0, loopEnd: this.duration });
        source.connect(gain);
        source.start(when, this.offset);
        return source;
      });
      this.startedAt = when;
      this.isPlaying = true;
      this.choose(this.item.chosen);
    }
    pause() {
      if (!this.isPlaying) return;
      this.offset = this.position();
      this.item.position = this.offset;
      const end = context.currentTime + FADE_S;
      for (const { gain } of this.gains.values()) this.fade(gain.gain, 0, context.currentTime);
      for (const source of this.sources) source.stop(end + FADE_S);
      this.isPlaying = false;
    }
    seek(position) {
      const wasPlaying = this.isPlaying;
      this.pause();
      this.offset = this.item.position = clamp(position, 0, this.duration - 0.001);
      if (wasPlaying) this.play();
    }
    // Out, then in: never two systems at once.
    choose(name) {
      if (!this.isPlaying) return;
      const now = Math.max(context.currentTime, this.startedAt);
      for (const [each, { gain }] of this.gains) {
        if (each === name) this.fade(gain.gain, 1, now + FADE_S);
        else this.fade(gain.gain, 0, now);
      }
    }
    fade(parameter, to, from) {
      const value = parameter.value;
      parameter.cancelScheduledValues(0);
      parameter.setValueAtTime(value, from);
      parameter.linearRampToValueAtTime(to, from + FADE_S);
    }
    position() {
      if (!this.isPlaying) return this.offset;
      return (this.offset + Math.max(0, context.currentTime - this.startedAt)) % this.duration;
    }
    heard() {
      return [...this.gains].filter(([, { gain }]) => gain.gain.value > 0.5).map(([name]) => name);
    }
    release() {
      this.pause();
      const { gains } = this;
      setTimeout(() => { for (const { gain } of gains.values()) gain.disconnect(); }, 100);
    }
  }

  async function playerOf(item) {
    context ??= new AudioContext({ latencyHint: "interactive" });
    if (context.state !== "running") await context.resume();
    if (player && player.item === item) return player;
    const buffers = await decode(item);
    if (player && player.item === item) return player;
    if (player) { const old = player; player = null; old.release(); show(old.item); }
    player = new Player(item, buffers);
    return player;
  }

  async function toggle(item) {
    const own = await playerOf(item);
    if (own.isPlaying) own.pause(); else own.play();
    show(item);
  }

  function choose(item, signal, group) {
    item.chosen = signal;
    item.group = group;
    if (player && player.item === item) player.choose(signal);
    show(item);
  }

  function seek(item, position) {
    item.position = position;
    if (player && player.item === item) player.seek(position);
    show(item);
  }

  const positionOf = (item) => (player && player.item === item ? player.position() : item.position);

  // ---- what an item looks like
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function build(item) {
    const { about, section } = item;
    const play = element("button", { class: "play", type: "button" }, "Play");
    const range = element("input", { type: "range", min: 0, max: about.durationS, step: 0.01, value: 0, "aria-label": "Position in seconds" });
    const clock = element("output", {}, "");
    item.view = { play, range, clock, buttons: [], heads: [], pictures: [] };
    section.append(
      element("h3", {}, about.name),
      element("p", { class: "about" }, `${about.about}; from ${about.startS.toFixed(2)} s`),
      element("div", { class: "transport" }, play, range, clock));
    about.groups.forEach((group, number) => section.append(buildGroup(item, group, number)));
    item.chosen = about.groups[0].rows[0].signal;
    play.addEventListener("click", () => toggle(item));
    range.addEventListener("input", () => seek(item, Number(range.value)));
    show(item);
  }

  function buildGroup(item, group, number) {
    const heads = element("div", { class: "signal heads", "aria-hidden": "true" }, element("span", {}, ""),
      ...item.about.metrics.map((label) => element("span", { class: "number" }, label)),
      element("span", { class: "wide" }, "waveform"), element("span", { class: "wide" }, "spectrogram, 40 Hz to 20 kHz"),
      element("span", { class: "wide" }, item.about.onset ? "a kick, 60 ms" : ""));
    const made = element("div", { class: "group", role: "group", "aria-label": `${group.target} mixes` },
      element("h4", {}, `${group.target} target`), heads);
    for (const row of group.rows) {
      const button = element("button", { type: "button", "aria-pressed": "false", title: row.label }, row.label);
      button.addEventListener("click", () => choose(item, row.signal, number));
      item.view.buttons.push({ button, signal: row.signal, group: number });
      const cells = item.about.metrics.map((_, n) => element("span", { class: "number" }, row.values[n] ?? ""));
      const pictures = ["wave", "spectrum", "zoom"].map((kind) => picture(item, row.signal, number, kind, group));
      made.append(element("div", { class: "signal" }, button, ...cells, ...pictures));
    }
    return made;
  }

  function picture(item, signal, group, kind, { rows }) {
    const canvas = element("canvas", {});
    const box = element("div", { class: `picture ${kind}` }, canvas);
    item.view.pictures.push({ canvas, signal, kind, reference: rows[0].signal });
    if (kind === "zoom") return box;
    const head = element("div", { class: "head" });
    box.append(head);
    item.view.heads.push({ head, box });
    box.addEventListener("click", (event) => {
      const place = box.getBoundingClientRect();
      choose(item, signal, group);
      seek(item, clamp((event.clientX - place.left) / place.width, 0, 0.999) * item.about.durationS);
    });
    return box;
  }

  function show(item) {
    const { view, about } = item;
    if (!view) return;
    const isPlaying = Boolean(player && player.item === item && player.isPlaying);
    const position = positionOf(item);
    view.play.textContent = isPlaying ? "Pause" : "Play";
    if (document.activeElement !== view.range || isPlaying) view.range.value = position;
    view.clock.textContent = `${position.toFixed(1)} / ${about.durationS.toFixed(1)} s`;
    for (const { button, signal, group } of view.buttons)
      button.setAttribute("aria-pressed", String(signal === item.chosen && group === item.group));
    for (const { head } of view.heads) head.style.left = `${(100 * position) / about.durationS}%`;
  }

  function tick() {
    if (player && player.isPlaying) show(player.item);
    requestAnimationFrame(tick);
  }

  // ---- pictures, drawn when an item comes into view
  function prepare(canvas) {
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale));
    return canvas.getContext("2d");
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function mono(buffer) {
    const left = buffer.getChannelData(0);
    const right = buffer.getChannelData(buffer.numberOfChannels > 1 ? 1 : 0);
    return left.map((sample, n) => 0.5 * (sample + right[n]));
  }

  function drawWave(canvas, samples, peak) {
    const pen = prepare(canvas);
    const { width, height } = canvas;
    pen.fillStyle = colour("--accent");
    for (let x = 0; x < width; x += 1) {
      const first = Math.floor((x * samples.length) / width);
      const last = Math.max(first + 1, Math.floor(((x + 1) * samples.length) / width));
      let low = Infinity, high = -Infinity;
      for (let n = first; n < last; n += 1) { low = Math.min(low, samples[n]); high = Math.max(high, samples[n]); }
      const top = (0.5 - (0.48 * high) / peak) * height;
      pen.fillRect(x, top, 1, Math.max(1, (0.48 * (high - low) * height) / peak));
    }
  }

  function transform(real, imaginary) {
    const size = real.length;
    for (let n = 1, m = 0; n < size; n += 1) {
      let bit = size >> 1;
      for (; m & bit; bit >>= 1) m ^= bit;
      m ^= bit;
      if (n < m) {
        [real[n], real[m]] = [real[m], real[n]];
        [imaginary[n], imaginary[m]] = [imaginary[m], imaginary[n]];
      }
    }
    for (let half = 1; half < size; half <<= 1) {
      const step = -Math.PI / half;
      for (let k = 0; k < half; k += 1) {
        const c = Math.cos(step * k), s = Math.sin(step * k);
        for (let n = k; n < size; n += 2 * half) {
          const m = n + half;
          const r = real[m] * c - imaginary[m] * s;
          const i = real[m] * s + imaginary[m] * c;
          real[m] = real[n] - r; imaginary[m] = imaginary[n] - i;
          real[n] += r; imaginary[n] += i;
        }
      }
    }
  }

  const STOPS = [[0, 0, 4], [59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]];
  function heat(share) {
    const place = clamp(share, 0, 0.9999) * (STOPS.length - 1);
    const n = Math.floor(place), part = place - n;
    return STOPS[n].map((low, c) => low + part * (STOPS[n + 1][c] - low));
  }

  const WINDOW = Float64Array.from({ length: FFT }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / FFT));
  function drawSpectrum(canvas, samples, rate) {
    const pen = prepare(canvas);
    const { width, height } = canvas;
    const image = pen.createImageData(width, height);
    const bins = Float64Array.from({ length: height }, (_, y) => (40 * (20000 / 40) ** (1 - y / height) * FFT) / rate);
    for (let x = 0; x < width; x += 1) {
      const start = Math.round(((x + 0.5) * samples.length) / width - FFT / 2);
      const real = new Float64Array(FFT), imaginary = new Float64Array(FFT);
      for (let n = 0; n < FFT; n += 1) real[n] = (samples[start + n] ?? 0) * WINDOW[n];
      transform(real, imaginary);
      for (let y = 0; y < height; y += 1) {
        const bin = clamp(Math.round(bins[y]), 1, FFT / 2 - 1);
        const power = (real[bin] ** 2 + imaginary[bin] ** 2) / (FFT / 4) ** 2;
        const [r, g, b] = heat((10 * Math.log10(power + 1e-12) + 20 + RANGE_DB) / RANGE_DB);
        image.data.set([r, g, b, 255], 4 * (y * width + x));
      }
    }
    pen.putImageData(image, 0, 0);
  }

  function drawZoom(canvas, onset, signal, reference) {
    const pen = prepare(canvas);
    const { width, height } = canvas;
    const read = (name) => new Int16Array(bytesOf(onset.samples[name]).buffer);
    const behind = read(reference), front = read(signal);
    const peak = behind.reduce((most, sample) => Math.max(most, Math.abs(sample)), 1) * 1.3;
    const line = (samples, style, thickness) => {
      pen.strokeStyle = style; pen.lineWidth = thickness; pen.beginPath();
      samples.forEach((sample, n) => pen.lineTo((n * width) / samples.length, (0.5 - (0.5 * sample) / peak) * height));
      pen.stroke();
    };
    const scale = window.devicePixelRatio || 1;
    line(behind, colour("--quiet"), 3 * scale);
    if (signal !== reference) line(front, colour("--c1"), 1.2 * scale);
  }

  async function draw(item) {
    if (item.drawn) return;
    item.drawn = true;
    const buffers = await decode(item);
    const sums = new Map([...buffers].map(([name, buffer]) => [name, mono(buffer)]));
    let peak = 1e-4;
    for (const samples of sums.values()) for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
    for (const { canvas, signal, kind, reference } of item.view.pictures) {
      if (kind === "wave") drawWave(canvas, sums.get(signal), peak);
      else if (kind === "spectrum") drawSpectrum(canvas, sums.get(signal), buffers.get(signal).sampleRate);
      else if (item.about.onset) drawZoom(canvas, item.about.onset, signal, reference);
    }
    item.section.dataset.drawn = "yes";
  }

  items.forEach(build);
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      draw(items.find(({ section }) => section === target)).catch((error) => console.error(error));
    }
  }, { rootMargin: "200px" });
  items.forEach(({ section }) => watcher.observe(section));

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const item = items.find(({ section }) => section.contains(document.activeElement)) ?? (player && player.item);
    if (!item) return;
    if (event.key === " " && event.target.tagName !== "SUMMARY") {
      event.preventDefault();
      toggle(item);
    } else if (/^[1-9]$/.test(event.key)) {
      const row = item.about.groups[item.group].rows[Number(event.key) - 1];
      if (row) choose(item, row.signal, item.group);
    }
  });
  // A space also presses the button in focus when it is released.
  document.addEventListener("keyup", (event) => {
    if (event.key === " " && event.target.closest && event.target.closest(".item")) event.preventDefault();
  });

  window.drummixReport = {
    state: () => (player ? { item: items.indexOf(player.item), isPlaying: player.isPlaying, position: player.position(), heard: player.heard(), clock: context.currentTime } : null),
  };
  requestAnimationFrame(tick);
})();
