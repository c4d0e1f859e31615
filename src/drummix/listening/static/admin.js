// The experimenter's page: how many, how far, links and the table.

import { Api } from "./api.js";
import { element, show } from "./dom.js";

const EVERY_MS = 3000;
const status = document.getElementById("saved");

function when(seconds) {
  if (seconds === null) return "–";
  return new Date(seconds * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
}

function askForToken(message) {
  const field = element("input", { type: "password", id: "token", autocomplete: "off" });
  const form = element(
    "form",
    {},
    element("label", { for: "token", className: "label", textContent: "Token" }),
    field,
    element("div", { className: "actions" },
      element("button", { className: "primary", type: "submit", textContent: "Open" })),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = field.value.trim();
  });
  show(
    element("h1", { textContent: "Experimenter" }),
    element("p", { textContent: "drummix listen serve printed a link with the token in it." }),
    message ? element("p", { className: "hint", role: "alert", textContent: message }) : null,
    form,
  );
}

class AdminPage {
  constructor(token) {
    this.api = new Api(token);
    this.counts = element("dl", { className: "counts" });
    this.rows = element("tbody");
    this.invited = element("div", { className: "invited", "aria-live": "polite" });
    this.name = element("input", { type: "text", id: "name", maxLength: 60, autocomplete: "off" });
  }

  async start() {
    const progress = await this.api.json("/api/admin/progress");
    document.getElementById("title").textContent = progress.study;
    const head = ["Listener", "State", "Pages", "Ratings", "Actions", "Enrolled", "Last seen", "Link"];
    show(
      element("h1", { textContent: progress.title }),
      this.counts,
      element("div", { className: "actions left" },
        this._button("Download ratings (CSV)", () => this.download()),
        element("span", { className: "inline" },
          element("label", { for: "name", textContent: "Name (optional)" }), this.name,
          this._button("New link", () => this.invite()))),
      this.invited,
      element("div", { className: "scroll" },
        element("table", {},
          element("thead", {}, element("tr", {}, ...head.map((text) =>
            element("th", { scope: "col", textContent: text })))),
          this.rows)),
    );
    this.update(progress);
    setInterval(() => this.refresh(), EVERY_MS);
  }

  async refresh() {
    try {
      this.update(await this.api.json("/api/admin/progress"));
      status.textContent = `Live, ${new Date().toLocaleTimeString()}`;
      status.dataset.state = "saved";
    } catch (error) {
      status.textContent = `No news: ${error.message}`;
      status.dataset.state = "offline";
    }
  }

  update(progress) {
    const counts = { enrolled: "Enrolled", started: "Started", finished: "Finished", ratings: "Ratings" };
    this.counts.replaceChildren(...Object.entries(counts).map(([key, text]) =>
      element("div", {}, element("dt", { textContent: text }),
        element("dd", { textContent: progress[key] }))));
    this.rows.replaceChildren(...progress.listeners.map((one) =>
      element("tr", {}, ...[one.listener, one.state, `${one.pages_done} / ${one.pages}`,
        one.ratings, one.actions, when(one.enrolled_s), when(one.last_s)].map((text) =>
        element("td", { textContent: text })),
        element("td", {}, this._button("Replace", () => this.renew(one.listener))))));
  }

  renew(listener) {
    const question = `Give ${listener} a new link? The one they have stops working.`;
    if (window.confirm(question)) this.link({ listener, again: true });
  }

  async invite() {
    const name = this.name.value.trim();
    if (await this.link(name ? { listener: name } : {})) this.name.value = "";
  }

  /** Ask for a link and show it; false where there is none. */
  async link(asked) {
    try {
      const response = await this.api.post("/api/admin/invite", asked);
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.error);
      const link = `${location.origin}/#${answer.token}`;
      this.invited.replaceChildren(
        element("p", { textContent: `Link of ${answer.listener}. It is shown only once.` }),
        element("code", { textContent: link }),
      );
      this.refresh();
      return true;
    } catch (error) {
      this.invited.replaceChildren(element("p", { role: "alert", textContent: error.message }));
      return false;
    }
  }

  async download() {
    const response = await this.api.fetch("/api/admin/ratings");
    if (!response.ok) {
      this.invited.textContent = `The table could not be loaded (${response.status}).`;
      return;
    }
    const link = element("a", { download: "ratings.csv" });
    link.href = URL.createObjectURL(await response.blob());
    link.click();
    URL.revokeObjectURL(link.href);
  }

  _button(text, onClick) {
    const made = element("button", { type: "button", textContent: text });
    made.addEventListener("click", onClick);
    return made;
  }
}

window.addEventListener("hashchange", () => location.reload());
const token = location.hash.slice(1);
if (token) new AdminPage(token).start().catch((error) => askForToken(`${error.message}.`));
else askForToken("");
