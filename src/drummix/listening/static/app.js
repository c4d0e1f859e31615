// From the link to the last page: the server says where the session is, this shows it.

import { Api } from "./api.js";
import { element, paragraphs, show } from "./dom.js";
import { Engine } from "./engine.js";
import { EventQueue, safeStorage, storable } from "./queue.js";
import { RatingPage } from "./rating.js";

const TOKEN_KEY = "drummix:link";
const storage = safeStorage();
const indicator = document.getElementById("saved");

const INDICATIONS = {
  saved: () => "Saved",
  saving: () => "Saving …",
  offline: (n) => `No connection: ${n} ${n === 1 ? "action is" : "actions are"} kept here and will be sent`,
  failed: () => "Not saved: please tell the experimenter",
};

function indicate(state, count) {
  indicator.textContent = INDICATIONS[state](count);
  indicator.dataset.state = state;
}

function failed(error) {
  show(
    element("h1", { textContent: "This did not work" }),
    element("p", { role: "alert", textContent: `${error.message}.` }),
    button("Try again", () => location.reload()),
  );
}

function button(text, onClick) {
  const made = element("button", { type: "button", className: "primary", textContent: text });
  made.addEventListener("click", onClick);
  return element("div", { className: "actions" }, made);
}

// ---- the link

function welcome() {
  const known = storage.getItem(TOKEN_KEY);
  show(
    element("h1", { textContent: "Listening test" }),
    element("p", { textContent: "You need about half an hour, headphones and a quiet room." }),
    known ? button("Go on where I stopped", () => begin(known)) : null,
    button(known ? "Start as a new listener" : "Start", enrol),
  );
}

async function enrol() {
  try {
    const { token } = await new Api("").json("/api/enrol", { method: "POST" });
    begin(token);
  } catch (error) {
    failed(error);
  }
}

function begin(token) {
  storage.setItem(TOKEN_KEY, token);
  // The address now is the personal link: a reload, a bookmark or another day goes on from here.
  history.replaceState(null, "", `/#${token}`);
  new Test(token).go().catch(failed);
}

// ---- the test

class Test {
  constructor(token) {
    this.api = new Api(token);
    this.audio = new Map(); // key -> promise of its bytes
    this.queue = new EventQueue({
      post: (body) => this.api.post("/api/events", body),
      session: token.slice(0, 8),
      storage,
      onState: indicate,
      onRefused: (reason) => this._refused(reason),
    });
    window.addEventListener("online", () => this.queue.flush());
    window.addEventListener("beforeunload", (event) => {
      if (this.queue.count) event.preventDefault();
    });
  }

  /** Show what comes next; everything done so far is on the server's disk first. */
  async go() {
    await this.queue.settled();
    const session = await this.api.json("/api/session");
    if (this.queue.moveTo(session.queue)) {
      await this.go();
      return;
    }
    document.title = session.title;
    document.getElementById("title").textContent = session.title;
    if (!session.has_consented) this.consent(session);
    else if (session.questions.length && !session.has_answered) this.questions(session);
    else if (session.page) await this.rate(session);
    else if (!session.is_finished) this.lastWord();
    else this.thanks();
  }

  then(event) {
    this.queue.push(event);
    this.go().catch(failed);
  }

  consent(session) {
    const box = element("input", { type: "checkbox", id: "agree" });
    const start = button("Go on", () => {
      if (box.checked) this.then({ kind: "consent" });
      else {
        alertLine.textContent = "Please tick the box to take part.";
        box.focus();
      }
    });
    const alertLine = element("p", { className: "hint", role: "alert" });
    show(
      element("h1", { textContent: session.title }),
      ...paragraphs(session.introduction),
      element("h2", { textContent: "Consent" }),
      ...paragraphs(session.consent),
      element("label", { className: "check" }, box, "I have read this and want to take part."),
      alertLine,
      start,
    );
  }

  questions(session) {
    const fields = session.questions.map(questionField);
    const form = element("form", { noValidate: false }, ...fields.map((field) => field.row));
    form.append(element("div", { className: "actions" },
      element("button", { type: "submit", className: "primary", textContent: "Go on" })));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const answers = Object.fromEntries(
        fields.map((field) => [field.name, field.read()]).filter(([, answer]) => answer !== null),
      );
      this.then({ kind: "answers", detail: JSON.stringify(answers) });
    });
    show(element("h1", { textContent: "About you" }), form);
  }

  async rate(session) {
    const keys = session.page.slots.map((slot) => slot.audio);
    const progress = element("p", { role: "status", textContent: "Loading the sounds …" });
    show(element("h1", { textContent: "One moment" }), progress);
    let n = 0;
    const files = await Promise.all(
      keys.map(async (key) => {
        const bytes = await this._sound(key);
        n += 1;
        progress.textContent = `Loading the sounds … ${n} of ${keys.length}`;
        return bytes;
      }),
    );
    this.audio.clear();
    this.engine ??= new Engine(audioContext(session.rate_hz));
    await this.engine.load(files);
    const page = new RatingPage({
      engine: this.engine,
      session,
      push: (event) => this.queue.push(event),
      onDone: () => this.go().catch(failed),
    });
    show(...page.root);
    this._loadEarly(session.page.next_audio);
  }

  lastWord() {
    const text = element("textarea", { id: "last", rows: 4, maxLength: 1900 });
    show(
      element("h1", { textContent: "That was the last page" }),
      element("label", { for: "last", textContent: "Anything you want to say? (optional)" }),
      text,
      button("Finish", () => this.then({ kind: "finish", detail: text.value })),
    );
  }

  thanks() {
    show(
      element("h1", { textContent: "Thank you" }),
      element("p", { textContent: "Everything is saved. You can close this page." }),
    );
  }

  _sound(key) {
    if (!this.audio.has(key)) this.audio.set(key, this.api.audio(key));
    return this.audio.get(key);
  }

  /** Fetch the next page's sounds one by one, so that they do not hold up the ratings. */
  async _loadEarly(keys) {
    for (const key of keys) {
      const loading = this._sound(key);
      try {
        await loading;
      } catch {
        this.audio.delete(key); // It will be asked for again when it is needed.
        return;
      }
    }
  }

  _refused(reason) {
    // Another window of this session has gone on: show where it is.
    console.warn(`refused: ${reason}`);
    if (this.isReloading) return;
    this.isReloading = true;
    this.queue.settled().then(() => location.reload());
  }
}

function audioContext(rateHz) {
  try {
    return new AudioContext({ sampleRate: rateHz, latencyHint: "interactive" });
  } catch {
    return new AudioContext(); // A browser that knows its device's rate only: all sounds alike.
  }
}

function questionField(question) {
  const id = `q-${question.name}`;
  const { required } = question;
  let input;
  let read;
  if (question.kind === "choice") {
    input = element("div", { className: "options", role: "radiogroup", "aria-labelledby": `${id}-t` },
      ...question.options.map((option) =>
        element("label", { className: "check" },
          element("input", { type: "radio", name: id, value: option, required }), option)));
    read = () => input.querySelector("input:checked")?.value ?? null;
  } else if (question.kind === "number") {
    input = element("input", { type: "number", id, required, min: question.low, max: question.high,
      step: "any", inputMode: "numeric", "aria-labelledby": `${id}-t` });
    read = () => (input.value === "" ? null : Number(input.value));
  } else {
    input = element("input", { type: "text", id, required, maxLength: 500, "aria-labelledby": `${id}-t` });
    read = () => storable(input.value).trim() || null;
    // Blanks alone would pass the browser's own check, and not the server's.
    input.addEventListener("input", () =>
      input.setCustomValidity(required && input.value && !read() ? "Please write an answer." : ""));
  }
  const text = question.text + (required ? "" : " (optional)");
  const label = element("div", { id: `${id}-t`, className: "label", textContent: text });
  return { name: question.name, read, row: element("div", { className: "field" }, label, input) };
}

window.addEventListener("hashchange", () => location.reload());
const token = location.hash.slice(1);
if (token) begin(token);
else welcome();
