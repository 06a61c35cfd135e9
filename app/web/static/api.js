/* The API of this server, as the page uses it: a token that lives in memory alone, answers or an error in words. */

/** An answer that says no; `wrong`, `found`, `remedy` are for people, `status` is HTTP's (0 where nothing came back). */
export class Refused extends Error {
  constructor(status, error) {
    super(error.wrong);
    this.status = status;
    this.found = error.found ?? "";
    this.remedy = error.remedy ?? "";
    this.number = error.number;
  }

  /** The whole as one sentence or two. */
  get words() {
    const start = this.message.charAt(0).toUpperCase() + this.message.slice(1);
    const found = this.found ? ` (${this.found})` : "";
    const rest = this.remedy ? ` ${this.remedy.charAt(0).toUpperCase()}${this.remedy.slice(1)}.` : "";
    return `${start}${found}.${rest}`;
  }
}

const KEPT_ALIVE = 20000; // a browser sends 64 KiB at most for a page that is gone
const AWAY = { wrong: "the server cannot be reached", remedy: "what is typed stays on this page and is sent again" };

export class Api {
  constructor(token) {
    this.token = token;
  }

  get(path) { return this.#json("GET", path); }
  post(path, body) { return this.#json("POST", path, body); }
  put(path, body) { return this.#json("PUT", path, body); }

  async bytes(path) { return (await this.#fetch("GET", path)).arrayBuffer(); }

  async blob(path) { return (await this.#fetch("GET", path)).blob(); }

  /** Send a recording or other bytes. */
  async send(path, bytes, type) {
    return (await this.#fetch("POST", path, bytes, { "Content-Type": type })).json();
  }

  /** Upload files with `fields`; `onShare` is told 0 to 1. Returns a promise with `abort()`. */
  upload(path, files, fields, onShare) {
    const request = new XMLHttpRequest();
    const promise = new Promise((resolve, reject) => {
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.append(name, value);
      for (const file of files) form.append("files", file, file.name);
      request.open("POST", `/api${path}`);
      request.setRequestHeader("Authorization", `Bearer ${this.token}`);
      request.upload.addEventListener("progress", (event) => event.lengthComputable && onShare(event.loaded / event.total));
      request.addEventListener("load", () => {
        const answer = parsed(request.responseText);
        if (request.status < 300) resolve(answer);
        else reject(new Refused(request.status, answer?.error ?? { wrong: `the server answered ${request.status}` }));
      });
      request.addEventListener("error", () => reject(new Refused(0, AWAY)));
      request.addEventListener("abort", () => reject(new Refused(0, { wrong: "the upload was stopped" })));
      request.send(form);
    });
    promise.abort = () => request.abort();
    return promise;
  }

  /** Follow server-sent events; `onEvent` gets each as JSON. Ends with the stream, or when `signal` aborts. */
  async follow(path, onEvent, signal) {
    const answer = await this.#fetch("GET", path, undefined, {}, signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const events = rest.split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event.split("\n").find((line) => line.startsWith("data: "));
        if (data) onEvent(JSON.parse(data.slice(6)));
      }
    }
  }

  async #json(method, path, body) {
    const headers = body === undefined ? {} : { "Content-Type": "application/json" };
    return (await this.#fetch(method, path, body === undefined ? undefined : JSON.stringify(body), headers)).json();
  }

  async #fetch(method, path, body, headers = {}, signal = undefined) {
    let answer;
    try {
      const own = { Authorization: `Bearer ${this.token}`, ...headers };
      const keepalive = method === "POST" && typeof body === "string" && body.length < KEPT_ALIVE; // also when the page is left meanwhile
      answer = await fetch(`/api${path}`, { method, body, headers: own, signal, keepalive, cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, AWAY);
    }
    if (answer.ok) return answer;
    const told = parsed(await answer.text());
    throw new Refused(answer.status, told?.error ?? { wrong: `the server answered ${answer.status}` });
  }
}

/** A key that makes a request count once, however often it is sent. */
export function newKey() {
  return crypto.randomUUID ? crypto.randomUUID() : [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16)).join("");
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
