// What the page asks of the server. The token travels in a header, never in an address.

// A connection that went away without a word: nothing else would end the wait for minutes.
const LONGEST_POST_MS = 30000;

export class Api {
  constructor(token) {
    this.token = token;
  }

  fetch(path, options = {}) {
    const headers = { Authorization: `Bearer ${this.token}`, ...options.headers };
    return fetch(path, { ...options, headers, credentials: "omit", cache: "default" });
  }

  async json(path, options) {
    const response = await this.fetch(path, options);
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) {
      const error = new Error(answer.error ?? `the server answers ${response.status}`);
      error.status = response.status;
      throw error;
    }
    return answer;
  }

  post(path, body) {
    const text = new TextEncoder().encode(JSON.stringify(body));
    // `keepalive` lets the last message go out while the page closes; it has a limit of 64 KiB,
    // beyond which the browser sends nothing at all.
    return this.fetch(path, {
      method: "POST",
      body: text,
      keepalive: text.length < 60000,
      signal: AbortSignal.timeout?.(LONGEST_POST_MS),
      headers: { "Content-Type": "application/json" },
    });
  }

  async audio(key) {
    const response = await this.fetch(`/api/audio/${key}`);
    if (!response.ok) throw new Error(`a sound could not be loaded (${response.status})`);
    return response.arrayBuffer();
  }
}
