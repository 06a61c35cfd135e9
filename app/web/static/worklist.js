/* The worklist: every study with its state, the most urgent first; and the door through which studies come in. */

import { button, fill, h } from "./dom.js";

const BUSY_MS = 1500;
const IDLE_MS = 8000;
const SIGNED = ["final", "amended", "corrected", "appended"];
const FILTERS = {
  all: () => true,
  to_read: (study) => ["draft", "preliminary"].includes(study.report_state),
  signed: (study) => SIGNED.includes(study.report_state),
  failed: (study) => study.job_state === "failed" && !study.report_state,
};

/** Show the worklist; returns what closes it. */
export function openWorklist(place, room) {
  const list = new Worklist(place, room);
  list.start();
  return list;
}

class Worklist {
  constructor(place, room) {
    Object.assign(this, { place, room, say: room.say, api: room.api, filter: "all", wanted: "", studies: null });
  }

  start() {
    const { say } = this;
    this.rows = h("div", { class: "mo-rows", aria: { live: "polite", busy: "true" } }, h("p", { class: "mo-empty", text: say("loading") }));
    this.filters = h("div", { class: "mo-filters", role: "group", aria: { label: say("state") } });
    const search = h("input", {
      type: "search", class: "mo-search", placeholder: say("search"), autocomplete: "off", aria: { label: say("search") },
      on: { input: (event) => { this.wanted = event.target.value.toLowerCase(); this.draw(); } },
    });
    this.adding = new Adding(this.room, () => this.look());
    fill(
      this.place,
      h("header", { class: "mo-bar" }, h("h1", { text: say("worklist") }), this.filters, search, this.room.languageSwitch(), this.adding.opener),
      this.adding.element,
      this.rows,
    );
    this.place.classList.add("mo-worklist");
    this.adding.catchDrops(this.place);
    this.look();
  }

  async look() {
    clearTimeout(this.timer);
    try {
      this.studies = await this.api.get("/studies");
      this.refused = null;
    } catch (refused) {
      this.refused = refused;
    }
    if (this.isClosed) return;
    this.draw();
    const isBusy = this.studies?.some((study) => ["queued", "running"].includes(study.job_state));
    this.timer = setTimeout(() => this.look(), isBusy ? BUSY_MS : IDLE_MS);
  }

  draw() {
    const { say } = this;
    const all = this.studies ?? [];
    fill(this.filters, Object.entries(FILTERS).map(([name, fits]) => button(`${say(name)} ${all.filter(fits).length}`, () => { this.filter = name; this.draw(); }, {
      class: "mo-filter", aria: { pressed: this.filter === name },
    })));
    this.rows.setAttribute("aria-busy", "false");
    if (this.refused) {
      const text = this.refused.status === 401 ? say("session_over") : this.refused.words;
      fill(this.rows, h("div", { class: "mo-error", role: "alert" }, h("p", { text }), button(say("reload"), () => this.look())));
      return;
    }
    const shown = all.filter(FILTERS[this.filter]).filter((study) => `${study.title} ${study.facts.description ?? ""}`.toLowerCase().includes(this.wanted));
    const text = JSON.stringify([shown, this.room.language, Math.floor(Date.now() / 60000)]);
    this.adding.drawer.hidden = !all.length;
    if (text === this.drawn) return;
    this.drawn = text;
    if (!shown.length) {
      fill(this.rows, h("div", { class: "mo-empty" }, h("p", { text: say(all.length ? "none_match" : "empty") }), all.length ? null : h("p", { class: "mo-soft", text: say("demo") }), all.length ? null : this.adding.demo({ class: "mo-primary" })));
      this.adding.show(!all.length);
      return;
    }
    const focused = document.activeElement?.dataset?.study;
    const heads = ["priority", "patient", "exam", "state", "received", "held"];
    fill(this.rows, h("table", { class: "mo-table" },
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col", text: say(head) })))),
      h("tbody", {}, shown.map((study) => this.row(study))),
    ));
    if (focused) this.rows.querySelector(`[data-study="${focused}"]`)?.focus();
  }

  row(study) {
    const { say } = this;
    const { facts } = study;
    const person = [facts.sex, facts.age && say("years", { n: facts.age })].filter(Boolean).join(", ");
    const exam = [facts.description, facts.date].filter(Boolean).join(" · ");
    const [level, word] = study.report_state ? [["routine", "findings", "critical"][study.priority], say(["routine", "findings_word", "critical"][study.priority])] : ["", say("unread")];
    return h("tr", { class: `mo-row ${study.job_state === "failed" && !study.report_state ? "failed" : ""}`, on: { click: () => this.room.go(study) } },
      h("td", {}, h("span", { class: `mo-priority ${level}`, text: word })),
      h("td", {}, h("button", { type: "button", class: "mo-link", data: { study: study.id }, text: study.title, on: { click: (event) => { event.stopPropagation(); this.room.go(study); } } }), h("span", { class: "mo-soft", text: person })),
      h("td", {}, h("span", { text: exam }), h("span", { class: "mo-soft", text: say("images", { n: facts.images ?? "?" }) })),
      h("td", {}, this.state(study)),
      h("td", { text: ago(study.received_at, say) }),
      h("td", { text: study.holder }),
    );
  }

  state(study) {
    const { say } = this;
    if (study.report_state) return h("span", { class: `mo-state ${study.report_state}`, text: say(study.report_state) });
    if (study.job_state === "queued") return h("span", { class: "mo-state", text: say("queued") });
    if (study.job_state === "running") {
      return h("span", { class: "mo-running" }, h("span", { class: "mo-state running", text: say(study.stage ? `stage_${study.stage}` : "drafting") }), bar(study.share));
    }
    return h("span", { class: "mo-failure" }, h("span", { class: "mo-state failed", text: say("failed") }), h("span", { class: "mo-soft", text: study.reason }));
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.adding.close();
  }
}

/** The door: a panel that takes files, a history and a language, and tells how far the sending is. */
class Adding {
  constructor(room, onDone) {
    Object.assign(this, { room, say: room.say, api: room.api, onDone, files: [] });
    const { say } = this;
    this.opener = button(say("add"), () => this.show(this.element.hidden), { class: "mo-primary", aria: { expanded: false } });
    const choose = (properties) => h("input", { type: "file", multiple: true, class: "mo-file", ...properties, on: { change: (event) => this.take([...event.target.files]) } });
    const files = choose({ id: "mo-files", accept: "" });
    const folder = choose({ id: "mo-folder", webkitdirectory: true });
    this.told = h("p", { class: "mo-told", role: "status" });
    this.history = h("textarea", { id: "mo-history", rows: 2, placeholder: say("history_hint"), maxLength: 1 << 20 });
    this.language = h("select", { id: "mo-language" }, h("option", { value: "en", text: "English" }), h("option", { value: "zh", text: "中文" }));
    this.language.value = room.language;
    this.sender = button(say("send"), () => this.send(), { class: "mo-primary", disabled: true });
    this.drawer = this.demo({ class: "mo-quiet", title: say("demo") });
    this.stopper = button(say("stop"), () => this.sending?.abort(), { hidden: true });
    this.element = h("section", { class: "mo-adding", hidden: true, aria: { label: say("add") } },
      h("div", { class: "mo-drop" }, h("p", { text: say("drop") }),
        h("div", { class: "mo-choices" }, h("label", { class: "mo-button", for: "mo-files", text: say("choose_files") }), files, h("label", { class: "mo-button", for: "mo-folder", text: say("choose_folder") }), folder)),
      h("div", { class: "mo-fields" }, h("label", { for: "mo-history", text: say("history") }), this.history, h("label", { for: "mo-language", text: say("language") }), this.language),
      this.told,
      h("div", { class: "mo-choices" }, this.sender, this.stopper, this.drawer),
    );
  }

  /** A button that draws a phantom and drafts it, for whoever has no CT at hand. */
  demo(properties) {
    const { say } = this;
    const drawer = button(say("demo_add"), async () => {
      drawer.disabled = true;
      drawer.textContent = say("demo_wait");
      try {
        const answer = await this.api.post("/studies/demo");
        if (answer.is_new) this.show(false);
        else this.isThere(answer.study_id);
      } catch (refused) {
        this.tell(refused.words, "mo-error");
      }
      drawer.disabled = false;
      drawer.textContent = say("demo_add");
      this.onDone();
    }, properties);
    return drawer;
  }

  /** Say that a study came before, and lead to it. */
  isThere(studyId) {
    this.tell(this.say("same"));
    this.told.append(" ", button(this.say("open"), () => this.room.go({ id: studyId }), { class: "mo-link" }));
  }

  show(isShown) {
    this.element.hidden = !isShown;
    this.opener.setAttribute("aria-expanded", String(isShown));
  }

  catchDrops(place) {
    place.addEventListener("dragover", (event) => { event.preventDefault(); this.show(true); this.element.classList.add("over"); });
    place.addEventListener("dragleave", (event) => { if (!place.contains(event.relatedTarget)) this.element.classList.remove("over"); });
    place.addEventListener("drop", async (event) => {
      event.preventDefault();
      this.element.classList.remove("over");
      this.take(await dropped(event.dataTransfer));
    });
  }

  take(files) {
    this.files = files;
    const bytes = files.reduce((sum, file) => sum + file.size, 0);
    const size = bytes < 1048576 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
    this.tell(files.length ? this.say(files.length === 1 ? "chosen_one" : "chosen", { n: files.length, name: files[0].name, size }) : "");
    this.sender.disabled = !files.length;
    if (files.length) this.sender.focus();
  }

  async send() {
    const { say } = this;
    this.sender.disabled = true;
    this.stopper.hidden = false;
    const meter = bar(0);
    fill(this.told, h("span", { text: say("sending", { share: 0 }) }), meter);
    try {
      this.sending = this.api.upload("/studies", this.files, { history: this.history.value, language: this.language.value }, (share) => {
        this.told.firstChild.textContent = share < 1 ? say("sending", { share: Math.round(100 * share) }) : say("reading");
        meter.firstChild.style.width = `${100 * share}%`;
      });
      const answer = await this.sending;
      this.take([]);
      if (answer.is_new) {
        this.history.value = "";
        this.show(false);
      } else {
        this.isThere(answer.study_id);
      }
      this.onDone();
    } catch (refused) {
      this.tell(named(refused.words, this.files), "mo-error");
      this.sender.disabled = false;
    }
    this.stopper.hidden = true;
  }

  tell(text, kind = "") {
    this.told.className = `mo-told ${kind}`;
    fill(this.told, text ? h("span", { text }) : null);
  }

  close() {
    this.sending?.abort();
  }
}

/** Words about files of an upload, which the server only knows by their number ("000013"), with the names they have here. */
function named(words, files) {
  return words.replace(/\b\d{6}\b/g, (number) => files[Number(number)]?.name ?? number);
}

/** A bar that shows a share of 0 to 1. */
export function bar(share) {
  return h("span", { class: "mo-meter", role: "progressbar", aria: { valuemin: 0, valuemax: 100, valuenow: Math.round(100 * share) } }, h("span", { style: `width: ${100 * share}%` }));
}

/** How long ago a moment (seconds since 1970) was. */
function ago(at, say) {
  const minutes = Math.max(0, Date.now() / 1000 - at) / 60;
  if (minutes < 1) return say("ago_now");
  if (minutes < 60) return say("ago_min", { n: Math.floor(minutes) });
  return minutes < 2880 ? say("ago_h", { n: Math.floor(minutes / 60) }) : say("ago_d", { n: Math.floor(minutes / 1440) });
}

/** The files of a drop, those of folders within it included. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const files = [];
  const walk = async (entry) => {
    if (entry.isFile) files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    else {
      const reader = entry.createReader();
      for (;;) {
        const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!batch.length) return;
        for (const one of batch) await walk(one);
      }
    }
  };
  for (const entry of entries) await walk(entry);
  return files;
}
