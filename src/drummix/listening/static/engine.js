// Sample-locked switching between stimuli.
//
// Every stimulus plays all the time, started in the same call at the same moment of one clock, each
// through a gain of its own; one gain is open. A switch fades the old one out, then the new one in,
// 5 ms each, raised cosine (BS.1534-3): never a cross-fade, and no stimulus moves against another.

export const FADE_S = 0.005;
export const MIN_LOOP_S = 0.5;

const LOOKAHEAD_S = 0.02;
const CURVE_POINTS = 129;

/** Half a raised cosine from 0 to 1, or from 1 to 0. */
export function fadeCurve(isIn) {
  const curve = new Float32Array(CURVE_POINTS);
  for (let n = 0; n < CURVE_POINTS; n += 1) {
    const rising = 0.5 - 0.5 * Math.cos((Math.PI * n) / (CURVE_POINTS - 1));
    curve[n] = isIn ? rising : 1 - rising;
  }
  return curve;
}

const FADE_IN = fadeCurve(true);
const FADE_OUT = fadeCurve(false);

/** A part of a buffer as a buffer of its own, with soft edges so that it loops without a click. */
export function looped(context, buffer, startS, endS) {
  const rate = buffer.sampleRate;
  const first = Math.round(startS * rate);
  const length = Math.min(buffer.length, Math.round(endS * rate)) - first;
  const isWhole = first === 0 && length === buffer.length;
  if (isWhole) return buffer; // its edges are soft already
  const part = context.createBuffer(buffer.numberOfChannels, length, rate);
  const edge = Math.min(Math.round(FADE_S * rate), length >> 1);
  for (let channel = 0; channel < buffer.numberOfChannels; channel += 1) {
    const samples = buffer.getChannelData(channel).slice(first, first + length);
    for (let n = 0; n < edge; n += 1) {
      const gain = 0.5 - 0.5 * Math.cos((Math.PI * (n + 0.5)) / edge);
      samples[n] *= gain;
      samples[length - 1 - n] *= gain;
    }
    part.copyToChannel(samples, channel);
  }
  return part;
}

export class Engine {
  /** @param {BaseAudioContext} context An AudioContext, or an OfflineAudioContext in tests. */
  constructor(context) {
    this.context = context;
    this.master = context.createGain();
    this.master.connect(context.destination);
    this.current = null; // the slot that is heard, or was when it was paused
    this.isPlaying = false;
    this.buffers = [];
    this.parts = []; // what is looped of the buffers
    this.loop = null;
    this.gains = [];
    this.sources = [];
    this.startedS = 0; // when the sources started, on the context's clock
    this.offsetS = 0; // where in the loop they started
    this.freeS = 0; // when the last scheduled fade is over
  }

  get durationS() {
    return this.buffers.length ? this.buffers[0].duration : 0;
  }

  /** Decode every stimulus at the context's rate; all must come out equally long. */
  async load(files) {
    const buffers = await Promise.all(files.map((file) => this.context.decodeAudioData(file)));
    this.use(buffers);
  }

  /** Take decoded stimuli. */
  use(buffers) {
    if (new Set(buffers.map((buffer) => buffer.length)).size !== 1) {
      throw new Error("the sounds of this page are not equally long");
    }
    this.dispose();
    this.buffers = buffers;
    this.parts = buffers;
    this.loop = { startS: 0, endS: this.durationS };
    this.gains = buffers.map(() => {
      const gain = this.context.createGain();
      gain.gain.value = 0;
      gain.connect(this.master);
      return gain;
    });
  }

  /** Let go of everything; the engine can load again. */
  dispose() {
    this._stopSources(0);
    for (const gain of this.gains) gain.disconnect();
    this.gains = [];
    this.buffers = [];
    this.parts = [];
    this.current = null;
    this.isPlaying = false;
    this.offsetS = 0;
  }

  /** Play a slot: from where it was paused, or by a switch if another is playing. */
  async play(slot) {
    if (this.context.state !== "running" && this.context.resume) await this.context.resume();
    if (!this.isPlaying) this.start(slot, this._soonS());
    else if (slot !== this.current) this.switchTo(slot, this._soonS());
  }

  /** Start all sources at `atS` of the context's clock and let one be heard. */
  start(slot, atS) {
    this.sources = this.parts.map((part, n) => {
      const source = this.context.createBufferSource();
      source.buffer = part;
      source.loop = true;
      source.connect(this.gains[n]);
      return source;
    });
    for (const source of this.sources) source.start(atS, this.offsetS);
    this.startedS = atS;
    this.isPlaying = true;
    this.current = slot;
    this._fade(slot, FADE_IN, atS);
    this.freeS = atS + FADE_S;
  }

  /** Fade the heard slot out at `atS`, then the other in. */
  switchTo(slot, atS) {
    this._fade(this.current, FADE_OUT, atS);
    this._fade(slot, FADE_IN, atS + FADE_S);
    this.current = slot;
    this.freeS = atS + 2 * FADE_S;
  }

  /** Fade out and stop; `play` goes on from there. */
  pause() {
    if (!this.isPlaying) return;
    const atS = this._soonS();
    this._fade(this.current, FADE_OUT, atS);
    this.freeS = atS + FADE_S;
    this._stopSources(this.freeS);
    this.offsetS = this._loopPositionS(this.freeS);
    this.isPlaying = false;
  }

  /** Loop a part only; what plays goes on, from the start of the part if it was outside. */
  setLoop(startS, endS) {
    const positionS = this.positionS();
    const slot = this.current;
    const wasPlaying = this.isPlaying;
    if (wasPlaying) this.pause();
    this.loop = { startS, endS };
    this.parts = this.buffers.map((buffer) => looped(this.context, buffer, startS, endS));
    this.offsetS = positionS >= startS && positionS < endS ? positionS - startS : 0;
    if (wasPlaying) this.start(slot, this._soonS());
  }

  setVolume(db) {
    const gain = 10 ** (db / 20);
    this.master.gain.setTargetAtTime(gain, this.context.currentTime, 0.02);
  }

  /** Where in the stimulus the ear is, in seconds. */
  positionS() {
    if (!this.loop) return 0;
    const inLoopS = this.isPlaying ? this._loopPositionS(this.context.currentTime) : this.offsetS;
    return this.loop.startS + inLoopS;
  }

  _loopPositionS(atS) {
    const lengthS = this.loop.endS - this.loop.startS;
    return (Math.max(0, atS - this.startedS) + this.offsetS) % lengthS;
  }

  /** The next moment a fade may start: fades of one gain must not overlap. */
  _soonS() {
    const gapS = 1 / this.context.sampleRate;
    return Math.max(this.context.currentTime + LOOKAHEAD_S, this.freeS + gapS);
  }

  _fade(slot, curve, atS) {
    this.gains[slot].gain.setValueCurveAtTime(curve, atS, FADE_S);
  }

  _stopSources(atS) {
    for (const source of this.sources) source.stop(atS);
    this.sources = [];
  }
}
