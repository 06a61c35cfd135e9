/* Saves edits one after another: each is acknowledged before the next is sent, and is sent again until it is.

   edits -> version + report, or a conflict that a person settles

   Nothing waits in the browser's storage; what is not saved yet lives on this page, which says so and asks before it is left. */

import { newKey } from "./api.js";

const PAUSES_MS = [500, 1000, 2000, 4000, 8000];

export class Saver {
  /** `told.status(word, refused)`, `told.saved(answer, what)`, `told.conflict(what, refused)`, `told.refused(what, refused)`,
      `told.leaving()` before the page is left: whether something of it is not even on its way. */
  constructor(api, reportId, number, told) {
    Object.assign(this, { api, reportId, number, told });
    this.waiting = [];
    this.isBusy = false;
    this.undoable = [];
    this.redoable = [];
    this.refusals = 0;
    this.guard = (event) => {
      if (told.leaving() || this.isPending) event.preventDefault();
    };
    window.addEventListener("beforeunload", this.guard);
  }

  get isPending() { return this.isBusy || this.waiting.length > 0; }

  /** Save edits. */
  edit(edits) { this.#push({ path: "edits", body: { edits }, step: "edit" }); }

  undo() {
    if (this.undoable.length && !this.isPending) this.#push({ path: "back", body: { number: this.undoable.at(-1) }, step: "undo" });
  }

  redo() {
    if (this.redoable.length && !this.isPending) this.#push({ path: "back", body: { number: this.redoable.at(-1) }, step: "redo" });
  }

  /** Send something else that makes a version (sign, addendum, state); resolves with the answer. */
  act(path, body) {
    return new Promise((resolve, reject) => this.#push({ path, body, step: "act", resolve, reject }));
  }

  /** Wait until everything is saved, or a person has to decide first. */
  async settled() {
    while (this.isPending && !this.isHalted) await new Promise((resolve) => setTimeout(resolve, 30));
  }

  /** Try again what waits, after the page has a new token. */
  again() {
    if (!this.isSignedOut) return;
    this.isSignedOut = this.isHalted = false;
    this.#run();
  }

  /** Go on from a version that somebody else saved, with what is still waiting or without it. */
  resume(number, { keep }) {
    this.number = number;
    if (!keep) this.waiting = [];
    for (const one of this.waiting) Object.assign(one, { key: newKey(), isSent: false });
    this.isHalted = false;
    this.#run();
  }

  /** Nobody looks any more: what waits is saved still, and the page asks before it is left until then. */
  close() {
    this.isClosed = true;
    if (!this.isPending) window.removeEventListener("beforeunload", this.guard);
  }

  #push(what) {
    this.waiting.push({ ...what, key: newKey() });
    this.#run();
  }

  async #run() {
    if (this.isBusy || this.isHalted) return;
    this.isBusy = true;
    let tries = 0;
    const tell = (what, ...facts) => { if (!this.isClosed) this.told[what](...facts); };
    while (this.waiting.length && !this.isHalted) {
      const next = this.waiting[0];
      tell("status", "saving");
      let answer = null;
      try {
        if (!next.isSent) next.expected = this.number; // sent again exactly as before, so that it counts once
        next.isSent = true;
        const [before, began] = [this.number, performance.now()];
        answer = await this.api.post(`/reports/${this.reportId}/${next.path}`, { ...next.body, expected: next.expected, key: next.key });
        this.number = answer.number;
        performance.measure("medomni save", { start: began, end: performance.now() });
        this.#remember(next.step, before);
      } catch (refused) {
        if (refused.status === 0 || refused.status >= 502) {
          tell("status", "retrying", refused);
          await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[Math.min(tries++, PAUSES_MS.length - 1)]));
          continue;
        }
        this.refusals += 1;
        next.reject?.(refused);
        if (refused.status === 409 && refused.number) {
          this.isHalted = true;
          this.waiting = this.waiting.filter((one) => one.step === "edit"); // a signature is for the text that was looked at
          tell("conflict", next, refused);
        } else if (refused.status === 401 && next.step !== "act") {
          this.isHalted = this.isSignedOut = true;
          tell("refused", next, refused);
        } else {
          this.waiting.shift();
          tell("refused", next, refused);
        }
        continue;
      }
      this.waiting.shift();
      tries = 0;
      try {
        tell("saved", answer, next);
      } catch (error) {
        reportError(error); // a fault of the page must not lose what waits behind
      }
      next.resolve?.(answer);
      if (!this.waiting.length) tell("status", "saved");
    }
    this.isBusy = false;
    if (this.isClosed && !this.isPending) window.removeEventListener("beforeunload", this.guard);
  }

  #remember(step, before) {
    if (step === "edit") {
      this.undoable.push(before);
      this.redoable = [];
    } else if (step === "undo") {
      this.undoable.pop();
      this.redoable.push(before);
    } else if (step === "redo") {
      this.redoable.pop();
      this.undoable.push(before);
    }
  }
}
