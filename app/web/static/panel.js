/* The report beside the images: sections, sentences with their receipts, findings to check, notices.

   A click on a sentence shows its proof on the image; the pencil, Enter or F2 opens it for writing; what is written is saved
   while it is written. */

import { button, fill, h } from "./dom.js";

const FOLDED = ["examination", "indication", "technique", "comparison"]; // one line each, until somebody opens them
const PAUSE_MS = 500; // after so long without a key, what was written is saved
const CLOSE_MS = 120; // an editor that is done closes with the answer to its save, or after so long

export class Panel {
  constructor(reading) {
    this.reading = reading;
    this.say = reading.say;
    this.hasInfluence = false;
    this.opened = new Set();
    this.sections = h("div", { class: "mo-report" });
    this.element = h("div", { class: "mo-panel" }, this.sections);
    this.isFirst = true;
    this.kept = new Map();
  }

  /** The element of a name as it was drawn before, or made anew where what it shows has changed. */
  once(name, facts, make) {
    const { mayEdit } = this.reading;
    const told = JSON.stringify([facts, mayEdit, this.hasInfluence]);
    const before = this.kept.get(name);
    if (before?.told === told) return before.element;
    const element = make();
    this.kept.set(name, { told, element });
    return element;
  }

  /** Let a line be drawn anew, because something else was put into it. */
  forget(section, index) {
    this.kept.delete(`section ${section}`);
    this.kept.delete(`line ${section} ${index}`);
  }

  draw(report) {
    const done = this.editing?.closing ? this.editing : null;
    if (done) { clearTimeout(done.closing); this.editing = null; }
    const focus = this.focusOf(document.activeElement);
    const open = this.editing;
    const written = open ?? done;
    if (written && !written.isNew) report = this.reading.report = withText(report, written); // also what is not answered yet
    if (open?.area && document.activeElement === open.area) open.caret = [open.area.selectionStart, open.area.selectionEnd];
    fill(this.sections, report.sections.map((section) => this.once(`section ${section.name}`, section, () => this.section(section))), this.signatures(report));
    const { findings, notices, to_confirm, also_considered, not_evaluated } = report;
    fill(this.element, this.sections, this.once("more", [findings, notices, to_confirm, also_considered, not_evaluated], () => this.more(report)));
    if (open) this.reopen(open);
    else if (done) this.focusLine(done);
    else if (focus) this.sections.querySelector(focus)?.focus({ preventScroll: true });
    if (this.isFirst) {
      this.isFirst = false;
      if (performance.getEntriesByName("medomni open").length) performance.measure("medomni first text", "medomni open");
    }
  }

  focusOf(element) {
    const line = element?.closest?.(".mo-line");
    return line && this.sections.contains(line) ? `[data-section="${line.dataset.section}"][data-index="${line.dataset.index}"] ${element.dataset.act ? `[data-act="${element.dataset.act}"]` : ".mo-text"}` : null;
  }

  section(section) {
    const { say, reading } = this;
    let organ = "";
    const lines = section.sentences.flatMap((sentence, index) => {
      const heads = section.name === "findings" && sentence.organ && sentence.organ !== organ ? [h("h3", { text: sentence.organ })] : [];
      organ = sentence.organ;
      return [...heads, this.once(`line ${section.name} ${index}`, sentence, () => this.line(section, sentence, index))];
    });
    const adder = reading.mayEdit && section.name !== "addendum"
      ? button(`+ ${say("add_sentence")}`, () => this.add(section), { class: "mo-quiet mo-add", data: { act: `add-${section.name}` }, aria: { label: say("add_to", { section: section.heading }) } })
      : null;
    const title = h("h2", { text: section.heading });
    const body = [h("div", { class: "mo-lines" }, lines), adder];
    const told = { class: `mo-section ${section.name}`, aria: { label: section.heading }, data: { name: section.name } };
    const isStated = section.sentences.some((one) => one.finding_ids.length); // a comparison that tells what changed
    if (isStated || !FOLDED.includes(section.name)) return h("section", told, title, body);
    const isOpen = this.opened.has(section.name);
    const toggled = (event) => { if (event.target.open) this.opened.add(section.name); else this.opened.delete(section.name); };
    return h("details", { ...told, open: isOpen, on: { toggle: toggled } }, h("summary", {}, title, h("span", { text: section.sentences.map((one) => one.text).join(" ") })), body);
  }

  line(section, sentence, index) {
    const { say, reading } = this;
    const { receipt } = sentence;
    const isPlaced = Boolean(receipt.target_mm || receipt.structures.length);
    const text = h("p", {
      class: "mo-text", tabIndex: 0, role: "button", aria: { label: `${sentence.text} ${receipt.summary}` },
      on: {
        click: () => { this.choose(line); if (isPlaced) reading.look(receipt); },
        dblclick: () => this.open(section, sentence, index),
        keydown: (event) => {
          if (event.key === "Enter" || event.key === " ") { event.preventDefault(); this.choose(line); if (isPlaced) reading.look(receipt); }
          if (event.key === "F2" && reading.mayEdit) { event.preventDefault(); this.open(section, sentence, index); }
          if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); this.move(event.key === "ArrowDown" ? 1 : -1, text); }
        },
      },
    }, sentence.spans.map((span) => h("span", { class: `mo-by ${span.origin}`, title: say(span.origin), text: sentence.text.slice(span.start, span.end) })));
    const chip = this.receipt(sentence, isPlaced);
    const acts = reading.mayEdit ? h("span", { class: "mo-line-acts" },
      button("✎", () => this.open(section, sentence, index), { class: "mo-icon", title: `${say("edit")} (F2)`, data: { act: "edit" }, aria: { label: `${say("edit")}: ${sentence.text}` } }),
      button("✕", () => this.change([{ kind: "remove", section: section.name, index, was: sentence.text }]), { class: "mo-icon", title: say("remove"), data: { act: "remove" }, aria: { label: `${say("remove")}: ${sentence.text}` } }),
    ) : null;
    const line = h("div", { class: `mo-line ${sentence.is_by_person ? "by-person" : ""}`, data: { section: section.name, index } }, text, chip, acts);
    return line;
  }

  receipt(sentence, isPlaced) {
    const { say, reading } = this;
    const { receipt } = sentence;
    const influence = this.hasInfluence && sentence.influence !== null ? h("span", { class: "mo-influence", text: `${Math.round(100 * sentence.influence)}%` }) : null;
    const details = receipt.details.length
      ? h("dl", {}, receipt.details.flatMap(([name, value]) => [name ? h("dt", { text: name }) : null, h("dd", { text: value })]))
      : null;
    const shows = isPlaced ? button("◎", () => { this.choose(box.closest(".mo-line")); reading.look(receipt); }, { class: "mo-icon mo-look", title: say("where"), data: { act: "look" }, aria: { label: `${say("where")}: ${sentence.text}` } }) : null;
    const box = details
      ? h("details", { class: `mo-receipt ${receipt.kind}` }, h("summary", {}, h("span", { text: receipt.summary }), influence), details)
      : h("div", { class: `mo-receipt ${receipt.kind}` }, h("span", { text: receipt.summary }), influence);
    return h("div", { class: "mo-proof" }, shows, box);
  }

  choose(line) {
    this.sections.querySelector(".mo-line.chosen")?.classList.remove("chosen");
    line?.classList.add("chosen");
  }

  move(step, from) {
    const all = [...this.sections.querySelectorAll(".mo-text")];
    const next = all[all.indexOf(from) + step];
    next?.focus();
    next?.click();
  }

  /** Open a sentence for writing; a sentence that is to be added has index -1 until its first save. */
  open(section, sentence, index) {
    if (!this.reading.mayEdit) return;
    this.leaveEditor();
    this.editing = { section: section.name, index, original: sentence.text, value: sentence.text, isNew: false };
    this.reopen(this.editing);
  }

  add(section) {
    this.leaveEditor();
    this.editing = { section: section.name, index: section.sentences.length, original: "", value: "", isNew: true };
    this.reopen(this.editing);
  }

  /** Put the editor where its sentence stands, with the words and the caret it had. */
  reopen(open) {
    const place = this.sections.querySelector(`.mo-section[data-name="${open.section}"] .mo-lines`);
    const line = this.sections.querySelector(`.mo-line[data-section="${open.section}"][data-index="${open.index}"]`);
    if (!place || (!line && !open.isNew)) { this.editing = null; return; }
    const { caret } = open;
    const area = h("textarea", { class: "mo-editor", value: open.value, rows: 2, maxLength: 4000, placeholder: this.say("write"), aria: { label: this.say("edit") },
      on: {
        input: () => { open.value = area.value; grow(area); clearTimeout(open.timer); open.timer = setTimeout(() => this.keep(open), PAUSE_MS); },
        keydown: (event) => {
          if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey)) { event.preventDefault(); event.stopPropagation(); this.finish(open); }
        },
      } });
    open.area = area;
    this.forget(open.section, open.index);
    if (line) line.replaceChildren(area);
    else place.append(h("div", { class: "mo-line" }, area));
    grow(area);
    area.focus({ preventScroll: Boolean(caret) });
    if (caret) area.setSelectionRange(...caret);
    open.caret = null;
  }

  /** Change something else than what stands in the editor, which is saved first: places in the text may move. */
  change(edits) {
    this.leaveEditor();
    this.reading.edit(edits);
  }

  /** Drop the editor with what was written in it, because it cannot be saved. */
  dropEditor() {
    clearTimeout(this.editing?.timer);
    clearTimeout(this.editing?.closing);
    this.editing = null;
  }

  /** Save what stands in the editor now, because the page may be gone in a moment. */
  keepNow() {
    if (this.editing) this.keep(this.editing);
  }

  /** Bring what is to be checked into view. */
  showMore() {
    this.element.querySelector(".mo-more")?.scrollIntoView({ block: "start" });
    this.element.querySelector(".mo-more summary")?.focus({ preventScroll: true });
  }

  /** Save what was written so far. */
  keep(open) {
    clearTimeout(open.timer);
    const text = open.value.trim();
    if (!text || text === open.original) return;
    const { section, index } = open;
    const kind = open.isNew ? "insert" : "reword";
    const was = open.isNew ? {} : { was: open.original };
    this.reading.edit([{ kind, section, index, text, ...was, origin: "typed" }]);
    open.original = text;
    open.isNew = false;
  }

  /** Close the editor with the answer to its save, which is drawn then: one change of the page, not two. */
  finish(open) {
    this.keep(open);
    open.area.readOnly = true;
    open.closing = setTimeout(() => { if (this.editing === open) { this.leaveEditor(); this.focusLine(open); } }, this.reading.saver.isPending ? CLOSE_MS : 0);
  }

  /** Close the editor; what was written stands there at once, though it is saved a moment later. */
  leaveEditor() {
    const open = this.editing;
    if (!open) return;
    this.keep(open);
    clearTimeout(open.closing);
    this.editing = null;
    this.reading.report = withText(this.reading.report, open);
    this.draw(this.reading.report);
  }

  focusLine(open) {
    this.sections.querySelector(`.mo-line[data-section="${open.section}"][data-index="${open.index}"] .mo-text`)?.focus({ preventScroll: true });
  }

  signatures(report) {
    if (!report.signatures.length) return null;
    return h("section", { class: "mo-signatures" }, report.signatures.map((one) => h("p", {},
      h("strong", { text: this.say(one.state) }), ` · ${one.name} (${one.role}) · ${new Date(one.at).toLocaleString(this.reading.room.language)}`)));
  }

  /** Findings to check, notices, the second look, and what was left out. */
  more(report) {
    const { say, reading } = this;
    const open = [...this.element.querySelectorAll(".mo-more > details[open]")].map((one) => one.dataset.name);
    const group = (name, title, children, isOpen = false) => children.length
      ? h("details", { class: `mo-group ${name}`, data: { name }, open: isOpen || open.includes(name) }, h("summary", {}, title, " ", h("span", { class: "mo-count", text: children.length })), children)
      : null;
    return h("div", { class: "mo-more" },
      group("findings", say("findings_list"), report.findings.map((finding) => this.finding(finding)), true),
      group("notices", say("notices"), report.notices.map((notice) => h("p", { class: `mo-notice ${notice.level}`, text: notice.text })), report.notices.some((notice) => notice.level === "unsafe")),
      group("second", say("second_look"), report.to_confirm.filter((one) => one.kind === "differs").map((one) => h("p", { class: "mo-notice warning", text: one.text }))),
      report.also_considered.length ? h("details", { class: "mo-group", data: { name: "also" }, open: open.includes("also") }, h("summary", {}, say("also"), " ", h("span", { class: "mo-count", text: report.also_considered.length })), h("p", { class: "mo-soft", text: say("also_hint") }), report.also_considered.map((finding) => this.finding(finding))) : null,
      group("unseen", say("not_evaluated"), report.not_evaluated.map((finding) => h("p", { class: "mo-soft", text: `${finding.name}: ${finding.reason}` }))),
      h("label", { class: "mo-switch" }, h("input", { type: "checkbox", checked: this.hasInfluence, on: { change: (event) => { this.hasInfluence = event.target.checked; this.draw(reading.report); } } }), say("influence"), h("span", { class: "mo-soft", text: say("influence_hint") })),
      h("p", { class: "mo-soft", text: say("not_device") }),
    );
  }

  finding(finding) {
    const { say, reading } = this;
    const score = finding.probability === null ? null : h("span", { text: say("probability", { p: finding.probability.toFixed(2) }), title: say("score_hint") });
    const facts = [...[finding.place, ...finding.values.slice(0, 3)].filter(Boolean).map((text) => h("span", { text })), score].filter(Boolean);
    const isPlaced = finding.receipt.target_mm || finding.receipt.structures.length;
    const judge = (verdict, word) => button(say(word), () => this.change([{ kind: "judge", finding_id: finding.id, verdict }]), {
      class: "mo-quiet", data: { act: verdict }, aria: { label: `${say(word)}: ${finding.name}` } });
    const isOpen = finding.presence === "uncertain";
    const acts = [
      finding.verdict ? null : judge("accepted", isOpen ? "keep_possible" : "accept"),
      isOpen ? judge("confirmed", "is_there") : null,
      finding.verdict === "rejected" ? null : judge("rejected", "reject"),
    ];
    const isJudged = Boolean(finding.verdict);
    return h("div", { class: `mo-finding ${finding.presence} ${finding.verdict}`, data: { finding: finding.id } },
      h("div", {}, h("strong", { text: finding.name }), h("span", { class: "mo-soft", text: ` ${isJudged ? say(finding.verdict) : finding.presence_word}` }), h("p", { class: "mo-soft mo-facts" }, facts)),
      h("div", { class: "mo-choices" },
        isPlaced ? button("◎", () => reading.look(finding.receipt), { class: "mo-icon", title: say("where"), aria: { label: `${say("where")}: ${finding.name}` } }) : null,
        reading.mayEdit && finding.presence !== "absent" ? acts : null,
      ));
  }
}

/** The report as it will be when what was written is saved. */
function withText(report, open) {
  const text = open.original;
  return { ...report, sections: report.sections.map((section) => {
    if (section.name !== open.section || !text || section.sentences[open.index]?.text === text) return section;
    const before = section.sentences[open.index] ?? { receipt: { kind: "missing", summary: "", details: [], structures: [] }, organ: "", finding_ids: [], influence: null };
    const sentences = [...section.sentences];
    sentences[open.index] = { ...before, text, is_by_person: true, spans: [{ start: 0, end: text.length, origin: "typed" }] };
    return { ...section, sentences };
  }) };
}

function grow(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}
