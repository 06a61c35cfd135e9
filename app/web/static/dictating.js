/* Dictation, spoken or typed: words -> typed edits, shown before any is applied; or plain text for a section; and one's phrases. */

import { button, dialog, fill, h } from "./dom.js";
import { closing } from "./reading.js";
import { record } from "./recording.js";

export class Dictating {
  constructor(reading) {
    this.reading = reading;
    const { say } = (this.say = reading.say, reading);
    this.area = h("textarea", { id: "mo-dictation", rows: 2, placeholder: this.hint(), maxLength: 4000,
      on: {
        keydown: (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); this.understand(); } },
        input: () => { this.wasHeard = false; fill(this.heard); },
      } });
    this.recorder = button(`● ${say("record")}`, () => this.toggle(), { class: "mo-record", aria: { pressed: false } });
    this.heard = h("p", { class: "mo-heard" });
    this.told = h("div", { class: "mo-understood", aria: { live: "polite" } });
    this.element = h("section", { class: "mo-dictating", aria: { label: say("dictate") } },
      h("label", { for: "mo-dictation", text: say("dictate") }), this.area, this.heard,
      h("div", { class: "mo-choices" }, this.recorder, button(say("understand"), () => this.understand(), { class: "mo-primary" }), button(say("as_text"), () => this.asText()), button(say("phrases"), () => this.phrases(), { class: "mo-quiet" })),
      this.told);
  }

  /** What can be said of this report. */
  hint() {
    const { say, reading } = this;
    const finding = reading.report?.findings.find((one) => one.presence !== "absent");
    const isSized = finding?.values.some((value) => / mm$/.test(value));
    const example = finding ? say(isSized ? "dictate_size" : "dictate_deny", { name: finding.name.toLowerCase() }) : say("dictate_add");
    return say("dictate_hint", { example });
  }

  async toggle() {
    const { say, reading } = this;
    if (!this.recording) {
      try {
        this.recording = await record();
      } catch {
        this.tell(h("p", { class: "mo-error", text: say("no_microphone") }));
        return;
      }
      this.recorder.textContent = `■ ${say("stop_recording")}`;
      this.recorder.setAttribute("aria-pressed", "true");
      return;
    }
    const recording = this.recording;
    this.recording = null;
    this.recorder.textContent = `● ${say("record")}`;
    this.recorder.setAttribute("aria-pressed", "false");
    this.recorder.disabled = true;
    this.tell(h("p", { class: "mo-soft", text: say("hearing") }));
    try {
      const heard = await reading.api.send(`/reports/${reading.report.report_id}/hear`, await recording.stop(), "audio/wav");
      this.area.value = heard.text;
      this.wasHeard = true;
      this.showDoubtful(heard);
      this.tell();
      await this.understand();
    } catch (refused) {
      this.tell(h("p", { class: "mo-error", role: "alert", text: refused.words ?? String(refused) }));
    }
    this.recorder.disabled = false;
  }

  /** Mark the words that the recogniser is not sure of. */
  showDoubtful(heard) {
    const pieces = [];
    let at = 0;
    for (const [start, end] of heard.doubtful) {
      pieces.push(heard.text.slice(at, start), h("mark", { text: heard.text.slice(start, end), title: this.say("please_confirm") }));
      at = end;
    }
    fill(this.heard, heard.doubtful.length ? [...pieces, heard.text.slice(at), h("em", { class: "mo-soft", text: ` ${this.say("please_confirm")}` })] : null);
  }

  /** Show what the words would change; nothing is applied yet. */
  async understand() {
    const { say, reading } = this;
    const text = this.area.value.trim();
    if (!text) { this.area.focus(); return; }
    try {
      reading.panel.leaveEditor();
      await reading.saver.settled();
      await reading.collecting;
      const { number } = reading.saver;
      const meant = await reading.api.post(`/reports/${reading.report.report_id}/understand`, { text, edits: reading.pending ?? [] });
      const boxes = meant.edits.map((edit, k) => h("label", { class: "mo-confirm" }, h("input", { type: "checkbox", checked: true, data: { k } }), h("span", { text: meant.lines[k] ?? edit.kind })));
      const apply = button(say("apply"), () => {
        const chosen = meant.edits.filter((_, k) => boxes[k].firstChild.checked).map((edit) => ("origin" in edit ? { ...edit, origin: this.wasHeard ? "dictated" : "typed" } : edit));
        if (reading.saver.number !== number) { this.understand(); return; } // the text is another one by now: shown anew first
        if (chosen.length) reading.panel.change(chosen);
        this.clear();
      }, { class: "mo-primary" });
      this.tell(
        boxes.length ? [h("p", { text: say("meant") }), ...boxes] : h("p", { class: "mo-soft", text: say("nothing_meant") }),
        meant.conflicts.length ? [h("p", { class: "mo-notice warning", text: `${say("conflicts")} ${meant.conflicts.join(" ")}` })] : null,
        meant.unclear.length ? [h("p", { class: "mo-notice warning", text: `${say("unclear")} ${meant.unclear.join(" ")}` })] : null,
        h("div", { class: "mo-choices" }, boxes.length ? apply : null, button(say("cancel"), () => this.clear())),
      );
      if (boxes.length) apply.focus();
    } catch (refused) {
      this.tell(h("p", { class: "mo-error", role: "alert", text: refused.words ?? String(refused) }));
    }
  }

  /** Put the words as they are into a section that is chosen. */
  asText() {
    const { say, reading } = this;
    const text = this.area.value.trim();
    if (!text) { this.area.focus(); return; }
    const put = (section, words) => {
      reading.panel.change([{ kind: "insert", section: section.name, index: section.sentences.length, text: words, origin: this.wasHeard ? "dictated" : "typed" }]);
      this.clear();
    };
    const sections = reading.report.sections.filter((section) => section.name !== "addendum");
    const named = sections.find((section) => text.toLowerCase().startsWith(section.heading.toLowerCase()) && /^\s*[:：]\s*\S/.test(text.slice(section.heading.length)));
    if (named) { put(named, text.slice(named.heading.length).replace(/^\s*[:：]\s*/, "")); return; }
    this.tell(h("p", { text: say("into") }), h("div", { class: "mo-choices" }, sections.map((section) => button(section.heading, () => put(section, text))), button(say("cancel"), () => this.clear(), { class: "mo-quiet" })));
  }

  /** One's own phrases: insert, keep, take away. */
  async phrases() {
    const { say, reading } = this;
    const list = h("ul", { class: "mo-phrases" });
    const name = h("input", { id: "mo-phrase-name", maxLength: 64 });
    const text = h("textarea", { id: "mo-phrase-text", rows: 2, maxLength: 4000, value: this.area.value });
    const draw = (all) => fill(list, Object.entries(all).length ? Object.entries(all).map(([called, words]) => h("li", {}, h("strong", { text: called }), h("span", { text: words }),
      h("span", { class: "mo-choices" }, button(say("insert"), () => { this.area.value = [this.area.value, words].filter(Boolean).join(" "); open.close(); this.area.focus(); }),
        button("✕", async () => draw(await reading.api.put("/phrases", { [called]: "" })), { class: "mo-icon", aria: { label: `${say("remove")}: ${called}` } })))) : h("li", { class: "mo-soft", text: say("phrase_none") }));
    const keep = button(say("phrase_keep"), async () => {
      if (name.value.trim() && text.value.trim()) draw(await reading.api.put("/phrases", { [name.value.trim()]: text.value.trim() }));
    }, { class: "mo-primary" });
    draw(await reading.api.get("/phrases"));
    const open = dialog(say("phrases"), list, h("label", { for: "mo-phrase-name", text: say("phrase_name") }), name, h("label", { for: "mo-phrase-text", text: say("phrase_text") }), text, h("div", { class: "mo-choices" }, keep), closing(say("close")));
  }

  clear() {
    this.area.value = "";
    this.wasHeard = false;
    fill(this.heard);
    this.tell();
    this.area.focus();
  }

  tell(...children) {
    fill(this.told, ...children);
  }

  close() {
    this.recording?.drop();
  }
}
