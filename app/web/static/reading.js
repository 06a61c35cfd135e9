/* One study: its images on the left, its report on the right, and everything a person does to it.

   study id -> what is known by now -> draft -> edits -> signature

   The report's text is shown first; the viewer and its volume are loaded beside it. While a draft is made, each part is shown as soon
   as it is known. */

import { Refused } from "./api.js";
import { Dictating } from "./dictating.js";
import { button, dialog, fill, h, menu } from "./dom.js";
import { Panel } from "./panel.js";
import { paste } from "./pasting.js";
import { Saver } from "./saving.js";
import { appendDialog, correctBar, signDialog, takeBackDialog, versionsDialog } from "./signing.js";
import { bar } from "./worklist.js";

const SIGNED = ["final", "amended", "corrected", "appended"];
const FORMATS = [["pdf", "pdf"], ["html", "html"], ["text", "txt"], ["fhir-r4", "json"]];
const RETRY_MS = 3000;

/** Show a study; returns what closes it. */
export function openStudy(place, room, studyId, known = null) {
  const reading = new Reading(place, room, studyId);
  reading.start(known);
  return reading;
}

class Reading {
  constructor(place, room, studyId) {
    Object.assign(this, { place, room, say: room.say, api: room.api, person: room.person, studyId, report: null, pending: null });
    this.stopping = new AbortController();
  }

  async start(known) {
    const { say } = this;
    this.place.classList.add("mo-reading");
    this.title = h("h1", { text: "" });
    this.facts = h("span", { class: "mo-soft" });
    this.state = h("span", { class: "mo-state" });
    this.saved = h("span", { class: "mo-saved", role: "status" });
    this.acts = h("div", { class: "mo-acts" });
    this.banner = h("div", { class: "mo-banner", role: "status", hidden: true });
    this.line = h("p", { class: "mo-line-told", role: "status", hidden: true });
    this.images = h("section", { class: "mo-images", aria: { label: say("where") } }, h("p", { class: "mo-empty", text: say("viewer_waits") }));
    this.side = h("section", { class: "mo-side" }, h("p", { class: "mo-empty", text: say("loading") }));
    fill(this.place,
      h("header", { class: "mo-bar" }, button(`‹ ${say("back")}`, () => this.leave(), { class: "mo-quiet mo-back" }), h("div", { class: "mo-who" }, this.title, this.facts), this.state, this.saved, this.acts, this.room.languageSwitch()),
      this.banner,
      this.line,
      h("div", { class: "mo-split" }, this.images, this.side),
    );
    this.onKey = (event) => this.key(event);
    this.onPaste = (event) => paste(event, this);
    document.addEventListener("keydown", this.onKey);
    document.addEventListener("paste", this.onPaste);
    await this.load(known);
  }

  /** Find the study in the list, then its report, or its draft on the way. */
  async load(known = null) {
    try {
      const study = known ?? (await this.api.get("/studies")).find((one) => one.id === this.studyId);
      if (!study) throw new Refused(404, { wrong: "there is no such study", remedy: "go back to the list" });
      this.study = study;
      this.title.textContent = study.title;
      this.facts.textContent = [study.facts.sex, study.facts.age && this.say("years", { n: study.facts.age }), study.facts.description, study.facts.date].filter(Boolean).join(" · ");
      if (study.report_id) await this.show(await this.api.get(`/reports/${study.report_id}`));
      else await this.follow(study);
    } catch (refused) {
      if (!this.isClosed) this.fail(refused);
    }
  }

  fail(refused) {
    const text = refused.status === 401 ? this.say("session_over") : refused.words ?? String(refused);
    fill(this.side, h("div", { class: "mo-error", role: "alert" }, h("p", { text }), button(this.say("reload"), () => this.load())));
  }

  /** Show a draft on its way: stages, then what is known, then the report. */
  async follow(study) {
    const { say } = this;
    if (study.job_state === "failed") return this.failed(study);
    const stage = h("p", { class: "mo-stage", role: "status" });
    const meter = bar(0);
    const known = h("div", { class: "mo-known" });
    fill(this.side, h("div", { class: "mo-progress" }, stage, meter), known);
    let seen = "";
    const refresh = async (job) => {
      stage.textContent = job.state === "queued" ? `${say("queued")}${job.ahead ? ` · ${say("ahead", { n: job.ahead })}` : ""}` : say(job.stage ? `stage_${job.stage}` : "drafting");
      if (job.attempts > 1) stage.textContent += ` · ${say("retry_note")}`;
      if (job.remaining_s !== null) stage.textContent += ` · ${left(job.remaining_s, say)}`;
      meter.firstChild.style.width = `${100 * job.share}%`;
      if (job.state === "running" && job.stage !== seen) {
        seen = job.stage;
        this.known(await this.api.get(`/studies/${this.studyId}/parts`), known);
      }
    };
    let last = null;
    while (!this.isClosed && last?.state !== "done" && last?.state !== "failed") {
      try {
        await this.api.follow(`/jobs/${study.job_id}/events`, (job) => { last = job; refresh(job); }, this.stopping.signal);
      } catch (error) {
        if (this.isClosed || error.name === "AbortError") return;
        stage.textContent = error.words ?? String(error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    if (!this.isClosed) await this.load();
  }

  known(parts, place) {
    fill(place,
      (parts.sections ?? []).map((section) => h("section", { class: "mo-section" }, h("h2", { text: section.heading }), section.sentences.map((text) => h("p", { class: "mo-sentence", text })))),
      parts.measurements ? h("section", { class: "mo-section" }, h("h2", { text: this.say("measurements") }), parts.measurements.map((text) => h("p", { class: "mo-sentence", text }))) : null,
    );
    if (parts.grid) this.view(parts);
  }

  failed(study) {
    const again = async () => {
      try {
        const answer = await this.api.post(`/studies/${this.studyId}/draft`, { language: this.room.language });
        await this.follow({ ...study, job_id: answer.job_id, job_state: "queued" });
      } catch (refused) {
        this.fail(refused);
      }
    };
    fill(this.images, h("p", { class: "mo-empty", text: this.say("no_images") }));
    fill(this.side, h("div", { class: "mo-error", role: "alert" }, h("h2", { text: this.say("draft_failed") }), h("p", { text: study.reason }), button(this.say("again"), again, { class: "mo-primary" })));
  }

  /** Show a report: its text at once, the images beside it. */
  async show(report) {
    const { say } = this;
    this.report = report;
    this.saver = new Saver(this.api, report.report_id, report.number, {
      status: (word) => this.status(word),
      saved: (answer, what) => this.took(answer.report, what),
      conflict: (what, refused) => this.settle(what, refused),
      refused: (what, refused) => this.turnedAway(refused, what.body.edits),
      leaving: () => { this.panel.keepNow(); return Boolean(this.pending?.length); },
    });
    this.saver.undoable = Array.from({ length: report.number - 1 }, (_, k) => k + 1);
    this.panel = new Panel(this);
    this.dictating = new Dictating(this);
    fill(this.side, this.panel.element, this.dictating.element);
    this.draw(report);
    await this.beside(report);
  }

  /** What stands beside the text: images, and who holds the report. Without a network the text stays and can be written in. */
  async beside(report) {
    try {
      this.view(await this.api.get(`/studies/${this.studyId}/parts`));
      if (this.person.mayEdit && !SIGNED.includes(report.state)) {
        const held = await this.api.post(`/reports/${report.report_id}/hold`);
        this.tellHolder(held.is_mine ? "" : held.holder);
      }
    } catch (refused) {
      if (this.isClosed) return;
      if (refused.status !== 0) throw refused;
      if (!this.viewer) fill(this.images, h("div", { class: "mo-error", role: "alert" }, h("p", { text: refused.words }), button(this.say("reload"), () => this.beside(report))));
    }
  }

  tellHolder(name) {
    this.banner.hidden = !name;
    this.banner.textContent = name ? this.say("held_by", { name }) : "";
  }

  /** Draw a report that was saved, or one that is only shown (while a signed one is corrected). */
  draw(report) {
    this.report = this.kept = report;
    this.state.className = `mo-state ${report.state}`;
    this.state.textContent = this.pending ? this.say("correcting") : this.say(report.state);
    this.panel.draw(report);
    this.dictating.element.hidden = !this.mayEdit;
    this.drawActs();
  }

  get isSigned() { return SIGNED.includes(this.report.state); }

  get mayEdit() { return this.person.mayEdit && (this.pending !== null || ["draft", "preliminary"].includes(this.report.state)); }

  drawActs() {
    const { say, person, report } = this;
    const isOpen = ["draft", "preliminary"].includes(report.state);
    const nameless = h("input", { type: "checkbox", checked: this.isNameless ?? false, on: { change: (event) => { this.isNameless = event.target.checked; } } });
    const exporting = menu(say("export"), [...FORMATS.map(([format, ending]) => button(say(format === "fhir-r4" ? "fhir" : format), () => this.download(format, ending))), h("label", { class: "mo-soft" }, nameless, say("nameless"))]);
    const left = isOpen ? report.findings.filter((finding) => !finding.verdict && finding.presence !== "absent").length + report.to_confirm.length : 0;
    fill(this.acts,
      isOpen && person.mayEdit ? button(say("undo"), () => this.step("undo"), { title: "Ctrl+Z", disabled: !this.saver.undoable.length, class: "mo-quiet" }) : null,
      isOpen && person.mayEdit ? button(say("redo"), () => this.step("redo"), { title: "Ctrl+Shift+Z", disabled: !this.saver.redoable.length, class: "mo-quiet" }) : null,
      button(say("versions"), () => versionsDialog(this), { class: "mo-quiet" }),
      exporting,
      report.state === "draft" && person.mayEdit ? button(say("mark_preliminary"), () => this.markPreliminary(), { class: "mo-quiet" }) : null,
      left ? button(say("to_check", { n: left }), () => this.panel.showMore(), { class: "mo-quiet mo-left" }) : null,
      isOpen && person.maySign ? button(say("sign"), () => signDialog(this, "final"), { class: "mo-primary", title: "Ctrl+Enter" }) : null,
      this.isSigned && person.maySign && !this.pending ? [
        button(say("addendum"), () => appendDialog(this), { class: "mo-primary" }),
        button(say("correct"), () => this.beginCorrection(), { class: "mo-quiet" }),
        button(say("take_back"), () => takeBackDialog(this), { class: "mo-quiet" }),
      ] : null,
    );
  }

  markPreliminary() {
    const { say } = this;
    const open = dialog(say("mark_preliminary"), h("p", { text: say("preliminary_text") }), h("div", { class: "mo-choices" },
      button(say("mark_preliminary"), () => { open.close(); this.saver.act("state", { state: "preliminary" }).catch(() => {}); }, { class: "mo-primary" }),
      button(say("cancel"), () => open.close())));
  }

  /** Undo or redo, after what is written now is saved. */
  async step(name) {
    this.panel.leaveEditor();
    await this.saver.settled();
    this.saver[name]();
  }

  /** Do edits: saved one by one, or collected and shown, one after another, while a signed report is corrected. */
  edit(edits) {
    if (this.pending === null) this.saver.edit(edits);
    else this.collecting = this.collecting.then(() => this.collect(edits));
  }

  async collect(edits) {
    try {
      const wanted = [...this.pending, ...edits];
      const shown = await this.api.post(`/reports/${this.report.report_id}/preview`, { edits: wanted });
      this.pending = wanted;
      this.draw(shown);
    } catch (refused) {
      this.saver.refusals += 1;
      this.turnedAway(refused, edits);
    }
  }

  beginCorrection() {
    this.pending = [];
    this.collecting = Promise.resolve();
    this.banner.hidden = false;
    fill(this.banner, correctBar(this));
    this.draw(this.report);
  }

  async endCorrection() {
    this.pending = null;
    this.banner.hidden = true;
    this.draw(await this.api.get(`/reports/${this.report.report_id}`));
  }

  took(report, what) {
    if (what.step !== "edit") this.panel.leaveEditor();
    this.draw(report);
  }

  status(word) {
    this.saved.textContent = this.say(word);
    this.saved.className = `mo-saved ${word}`;
  }

  /** Say why nothing was saved, and what: the page then shows the report as it is kept. */
  async turnedAway(refused, edits = []) {
    this.status("unsaved");
    dialog(this.say("unsaved"), h("p", { text: refused.status === 401 ? this.say("session_over") : refused.words }), listOf(edits), closing(this.say("close")));
    if (refused.status === 401) return; // what waits is sent when the page has a new token
    this.panel.dropEditor();
    this.draw(this.pending === null ? await this.api.get(`/reports/${this.report.report_id}`) : this.kept);
  }

  /** Somebody else saved meanwhile: show theirs, keep mine until the person has decided. */
  async settle(what, refused) {
    const { say, kept: before } = this;
    this.status("unsaved");
    const theirs = await this.api.get(`/reports/${this.report.report_id}`);
    this.panel.keepNow();
    this.panel.dropEditor();
    this.draw(theirs);
    this.tellHolder(theirs.is_mine ? "" : theirs.holder);
    const shown = dialog(say("conflict"), h("p", { text: say("conflict_text", { n: refused.number }) }), listOf(this.saver.waiting.flatMap((one) => one.body.edits ?? [])),
      h("div", { class: "mo-choices" },
        button(say("keep_mine"), () => { decided = true; aimAnew(this.saver.waiting, before, theirs); this.saver.resume(theirs.number, { keep: true }); shown.close(); }, { class: "mo-primary" }),
        button(say("drop_mine"), () => { decided = true; this.panel.dropEditor(); this.draw(theirs); this.saver.resume(theirs.number, { keep: false }); this.status("saved"); shown.close(); }),
      ));
    let decided = false;
    shown.addEventListener("cancel", (event) => { if (!decided) event.preventDefault(); });
  }

  async download(format, ending) {
    try {
      await this.saver.settled();
      const link = h("a", { href: URL.createObjectURL(await this.api.blob(`/reports/${this.report.report_id}/export/${format}${this.isNameless ? "" : "?identified=true"}`)), download: `report-${this.studyId.slice(0, 8)}.${ending}` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    } catch (refused) {
      dialog(this.say("export"), h("p", { text: refused.words }), closing(this.say("close")));
    }
  }

  /** Load the viewer once there is a volume, and the masks once they are there. */
  async view(parts) {
    if (this.viewer && !Object.keys(this.structures).length && parts.structures) {
      Object.assign(this.structures, parts.structures);
      Object.assign(this.names, this.titles(parts));
      await this.viewer.reload();
    }
    if (!parts.grid || this.isViewing || this.isClosed) return;
    this.isViewing = true;
    this.grid = parts.grid;
    try {
      const { createViewer } = await import("./viewer.js");
      if (this.isClosed) return;
      this.images.replaceChildren();
      this.structures = { ...parts.structures };
      this.viewer = await createViewer(this.images, {
        load: (name) => (name === "mask" && !Object.keys(this.structures).length ? null : this.api.bytes(`/studies/${this.studyId}/${name}`)),
        structures: this.structures,
        titles: (this.names = this.titles(parts)),
        language: this.room.language,
        hasPrior: Boolean(parts.prior),
      });
      if (this.wantedReceipt) this.look(this.wantedReceipt);
    } catch (error) {
      this.isViewing = false;
      fill(this.images, h("p", { class: "mo-error", role: "alert", text: error.words ?? String(error) }));
    }
  }

  /** The structures' names in the words of the report. */
  titles(parts) {
    return Object.fromEntries(Object.values(this.structures).map((name) => [name, parts.names?.[name] ?? name.replaceAll("_", " ")]));
  }

  /** Move the viewer to what a receipt points to and light its mask. */
  look(receipt) {
    this.wantedReceipt = receipt;
    if (!this.viewer) return;
    const began = performance.now();
    this.viewer.light(receipt.structures ?? []);
    this.viewer.box?.(receipt.box_mm ?? null);
    if (receipt.target_mm) this.viewer.goTo(receipt.target_mm);
    requestAnimationFrame(() => requestAnimationFrame(() => performance.measure("medomni receipt", { start: began, end: performance.now() })));
  }

  /** Say something about the images in a line; "" takes it away. */
  tell(text) {
    this.line.hidden = !text;
    this.line.textContent = text;
  }

  key(event) {
    const isText = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
    const isCommand = event.ctrlKey || event.metaKey;
    if (isCommand && event.key.toLowerCase() === "z" && !isText && this.mayEdit && !this.pending) {
      event.preventDefault();
      this.step(event.shiftKey ? "redo" : "undo");
    } else if (isCommand && event.key === "Enter" && this.report && this.person.maySign && !this.isSigned && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      signDialog(this, "final");
    }
  }

  /** Whether the page may go elsewhere: a correction that is not signed is asked about first. */
  async mayLeave() {
    this.panel?.leaveEditor();
    await this.collecting;
    if (!this.pending?.length) return true;
    return new Promise((resolve) => {
      const asked = dialog(this.say("correct_title"), h("p", { text: this.say("leave_correction") }), h("div", { class: "mo-choices" },
        button(this.say("discard"), () => { this.pending = null; resolve(true); asked.close(); }, { class: "mo-danger" }), button(this.say("cancel"), () => asked.close())));
      asked.addEventListener("close", () => resolve(false));
    });
  }

  /** The page has a new token: what waited for it is sent. */
  renewed() { this.saver?.again(); }

  async leave() {
    if (!(await this.mayLeave())) return;
    if (this.saver?.isPending && this.saver.isHalted !== true) await Promise.race([this.saver.settled(), new Promise((resolve) => setTimeout(resolve, 3000))]);
    if (this.saver?.isPending) return; // the page says that it is not saved yet
    this.room.go();
  }

  close() {
    this.panel?.keepNow();
    this.isClosed = true;
    this.stopping.abort();
    document.removeEventListener("keydown", this.onKey);
    document.removeEventListener("paste", this.onPaste);
    this.saver?.close();
    this.dictating?.close();
    this.viewer?.destroy();
  }
}

/** Aim edits at the sentences they were made for, which another version may hold elsewhere, or in other words. */
function aimAnew(waiting, before, theirs) {
  const sentences = (report, name) => report.sections.find((section) => section.name === name)?.sentences ?? [];
  const done = [];
  for (const edit of waiting.flatMap((one) => one.body.edits)) {
    if (edit.was === undefined) continue;
    const [old, now] = [sentences(before, edit.section), sentences(theirs, edit.section)];
    const follows = done.find((one) => one.section === edit.section && one.text === edit.was);
    const at = now.findIndex((sentence) => sentence.text === edit.was);
    if (follows) edit.index = follows.index;
    else if (at >= 0) edit.index = at;
    else if (now.length === old.length) edit.was = now[edit.index]?.text; // reworded by them: mine takes its place, as was decided
    done.push(edit);
  }
}

/** Seconds that are left, as people say them. */
function left(seconds, say) {
  return seconds < 90 ? say("left_s", { n: Math.max(5, 5 * Math.round(seconds / 5)) }) : say("left_min", { n: Math.round(seconds / 60) });
}

/** What edits would have changed, so that nobody has to remember what they wrote. */
function listOf(edits) {
  return edits.length ? h("ul", {}, edits.map((edit) => h("li", { text: edit.text ?? `${edit.kind} ${edit.finding_id ?? edit.label ?? ""}` }))) : null;
}

/** A button that closes the dialog it stands in. */
export function closing(text) {
  return h("div", { class: "mo-choices" }, button(text, (event) => event.target.closest("dialog").close()));
}
