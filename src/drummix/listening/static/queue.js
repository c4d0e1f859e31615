// Every action is numbered, kept in the browser, sent, and forgotten only when the server says that
// it is on its disk. Sending twice does no harm: the server knows an action by writer and number.

const BATCH = 100;
// Far below what a message may have, and small enough to go out while the page closes.
const BATCH_CHARS = 20000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 4000;

/** A text without what no file could keep: half characters and control characters but line breaks. */
export function storable(text) {
  return text.replace(/(?![\t\n\r])[\p{Cc}\p{Cs}]/gu, "");
}

function withStorableText(event) {
  return typeof event?.detail === "string" ? { ...event, detail: storable(event.detail) } : event;
}

/** The first actions of many: no more than asked for, and no more text than a message may have. */
function batchOf(events, nMost) {
  let nChars = 0;
  const batch = [];
  for (const event of events.slice(0, nMost)) {
    nChars += JSON.stringify(event).length;
    if (batch.length && nChars > BATCH_CHARS) break;
    batch.push(event);
  }
  return batch;
}

/** localStorage, or memory where the browser forbids it. */
export function safeStorage() {
  try {
    localStorage.setItem("drummix:test", "1");
    localStorage.removeItem("drummix:test");
    return localStorage;
  } catch {
    const kept = new Map();
    return {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => kept.set(key, value),
      removeItem: (key) => kept.delete(key),
      key: (n) => [...kept.keys()][n] ?? null,
      get length() {
        return kept.size;
      },
    };
  }
}

function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class EventQueue {
  /**
   * @param post Sends {writer, events}; gives the response, or rejects when there is no connection.
   * @param session A short name of the session, to find what an earlier load of the page left.
   * @param onState Called with "saved", "saving", "offline" or "failed", and how many wait.
   * @param onRefused Called with the reason when the server refuses an action.
   */
  constructor({ post, session, storage, onState, onRefused }) {
    this.post = post;
    this.prefix = `drummix:queue:${session}:`;
    this.storage = storage;
    this.onState = onState;
    this.onRefused = onRefused;
    this.writer = randomName();
    this.next = 1;
    this.waiting = new Map([[this.writer, []]]);
    this.sending = null;
    this.waitMs = FIRST_WAIT_MS;
    this.failure = "";
    this.nMost = BATCH;
    this.settlers = [];
    this._adopt();
  }

  /**
   * Keep actions under the session's own name, which a renewed link does not change, and take over
   * what is kept there.
   * @returns Whether anything waits to be sent.
   */
  moveTo(session) {
    const prefix = `drummix:queue:${session}:`;
    if (prefix === this.prefix) return false;
    for (const writer of this.waiting.keys()) this.storage.removeItem(this.prefix + writer);
    this.prefix = prefix;
    for (const writer of this.waiting.keys()) this._keep(writer);
    this._adopt();
    return this.count > 0;
  }

  get count() {
    let n = 0;
    for (const events of this.waiting.values()) n += events.length;
    return n;
  }

  /** Keep an action and send it. */
  push(event) {
    const numbered = { ...withStorableText(event), number: this.next, client_s: Date.now() / 1000 };
    this.next += 1;
    this.waiting.get(this.writer).push(numbered);
    this._keep(this.writer);
    this._report(this.waitMs > FIRST_WAIT_MS ? "offline" : "saving");
    this.flush();
  }

  /** Resolves when everything is on the server's disk. */
  settled() {
    if (this.count === 0) return Promise.resolve();
    this.flush();
    return new Promise((resolve) => this.settlers.push(resolve));
  }

  /** Send what waits now, without waiting for the next try. */
  flush() {
    if (this.sending || this.failure || this.count === 0) return;
    clearTimeout(this.timer);
    this.sending = this._send().finally(() => {
      this.sending = null;
      if (this.count > 0 && !this.failure) {
        const pauseMs = this.isOffline ? this.waitMs : 0;
        this.timer = setTimeout(() => this.flush(), pauseMs);
      }
    });
  }

  async _send() {
    const [writer, events] = [...this.waiting].find(([, waiting]) => waiting.length > 0);
    const batch = batchOf(events, this.nMost);
    let response;
    let answer;
    try {
      response = await this.post({ writer, events: batch });
      answer = await response.json();
    } catch {
      this._retryLater();
      return;
    }
    if (response.ok || response.status === 409) {
      this.nMost = Math.min(BATCH, this.nMost * 2);
      this._forget(writer, answer);
    } else if ([400, 413].includes(response.status)) {
      // One of them is no action that the server knows: it must not keep the others from the disk.
      const reason = answer.error ?? `error ${response.status}`;
      this.nMost = Math.max(1, Math.floor(batch.length / 2));
      const refused = batch.length === 1 ? [{ number: batch[0]?.number, reason }] : [];
      this._forget(writer, { saved: [], refused });
    } else if (response.status === 429 || response.status >= 500) {
      this._retryLater();
    } else {
      // Kept in the browser still: nothing is thrown away because of an error.
      this.failure = answer.error ?? `error ${response.status}`;
      this._report("failed");
    }
  }

  _retryLater() {
    this.isOffline = true;
    this.waitMs = Math.min(this.waitMs * 2, LONGEST_WAIT_MS);
    this._report("offline");
  }

  _forget(writer, answer) {
    const done = new Set([...answer.saved, ...answer.refused.map((one) => one.number)]);
    const left = this.waiting.get(writer).filter((event) => !done.has(event?.number));
    this.waiting.set(writer, left);
    this._keep(writer);
    this.isOffline = false;
    this.waitMs = FIRST_WAIT_MS;
    for (const { reason } of answer.refused) this.onRefused(reason);
    if (this.count === 0) {
      this._report("saved");
      for (const settle of this.settlers.splice(0)) settle();
    }
  }

  _keep(writer) {
    const events = this.waiting.get(writer);
    const key = this.prefix + writer;
    try {
      if (events.length) this.storage.setItem(key, JSON.stringify(events));
      else this.storage.removeItem(key);
    } catch {
      // The browser's storage is full: the action is in memory still, and on its way.
    }
  }

  /** Take over what earlier loads of the page could not send. */
  _adopt() {
    const keys = [];
    for (let n = 0; n < this.storage.length; n += 1) keys.push(this.storage.key(n));
    for (const key of keys.filter((name) => name?.startsWith(this.prefix))) {
      try {
        const events = JSON.parse(this.storage.getItem(key));
        if (Array.isArray(events)) {
          this.waiting.set(key.slice(this.prefix.length), events.map(withStorableText));
        }
      } catch {
        this.storage.removeItem(key);
      }
    }
    // What was left comes first: it happened first.
    const own = this.waiting.get(this.writer);
    this.waiting.delete(this.writer);
    this.waiting.set(this.writer, own);
  }

  _report(state) {
    this.onState(state, this.count);
  }
}
