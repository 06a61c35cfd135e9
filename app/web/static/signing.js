/* Signing, adding below, correcting, taking back, and looking at earlier versions: each a dialog that says what it will do. */

import { button, dialog, fill, h } from "./dom.js";

/** Ask for a signature: every point of the second look is shown and confirmed first. */
export async function signDialog(reading, state) {
  const { say, person } = reading;
  reading.panel.leaveEditor();
  const { refusals } = reading.saver;
  await allSaved(reading);
  if (reading.saver.isHalted || reading.saver.isPending || reading.saver.refusals > refusals) return;
  const points = reading.report.to_confirm.map(({ code, kind, text }) => [code, kind === "unproven" ? say("confirm_unproven", { text }) : text, { unsafe: "unsafe", unproven: "" }[kind] ?? "warning"]);
  const boxes = points.map(([code, text, level]) => h("label", { class: `mo-confirm ${level}` }, h("input", { type: "checkbox", data: { code }, on: { change: () => check() } }), h("span", { text })));
  const open_ = reading.report.findings.filter((finding) => finding.presence === "uncertain" && !finding.verdict).map((finding) => finding.name.toLowerCase());
  const told = h("p", { class: "mo-told", role: "status" });
  const name = nameField(reading);
  const signer = button(say("sign_as", { state: say(state).toLowerCase() }), async () => {
    signer.disabled = true;
    try {
      const confirmed = points.map(([code]) => code);
      await name.keep();
      await reading.saver.act("sign", { state, confirmed, edits: reading.pending ?? [] });
      reading.pending = null;
      reading.banner.hidden = true;
      open.close();
      reading.draw(reading.report);
    } catch (refused) {
      if (refused.status === 409) { open.close(); return; } // another version is there: it is looked at first
      told.className = "mo-told mo-error";
      told.textContent = refused.words ?? refused.message;
      signer.disabled = false;
    }
  }, { class: "mo-primary" });
  const check = () => { signer.disabled = boxes.some((box) => !box.firstChild.checked); };
  const open = dialog(say("sign_title"),
    h("p", { text: points.length ? say("confirm_all") : say("sign_nothing") }), boxes,
    open_.length ? h("p", { class: "mo-notice warning", text: say("sign_open", { names: open_.join(", ") }) }) : null, told, name.element,
    h("p", { class: "mo-soft", text: say("sign_scope") }), h("p", { class: "mo-soft", text: say("not_device") }),
    h("div", { class: "mo-choices" }, signer, button(say("cancel"), () => open.close())));
  check();
  (boxes[0]?.firstChild ?? signer).focus();
}

/** Wait until everything is saved; where that takes long, say what is waited for. */
async function allSaved(reading) {
  const late = setTimeout(() => {
    const told = dialog(reading.say("sign_title"), h("p", { text: reading.say("sign_waits") }), h("div", { class: "mo-choices" }, button(reading.say("cancel"), () => told.close())));
    told.addEventListener("close", () => { isGivenUp = true; });
    waiting = told;
  }, 1500);
  let waiting = null;
  let isGivenUp = false;
  await reading.collecting;
  while (reading.saver.isPending && !reading.saver.isHalted && !isGivenUp) await new Promise((resolve) => setTimeout(resolve, 30));
  clearTimeout(late);
  waiting?.close();
}

/** Under which name one signs: to be written where nothing else says it. */
function nameField({ say, person, api }) {
  if (!person.mayRename) return { element: h("p", { class: "mo-soft", text: say("sign_who", person) }), keep: async () => {} };
  const field = h("input", { id: "mo-signer", value: person.isNamed ? person.name : "", maxLength: 255, autocomplete: "name" });
  const keep = async () => {
    const name = field.value.trim();
    if (!name) { field.focus(); throw new Error(say("sign_nameless")); }
    person.name = (await api.put("/me", { name })).name;
    person.isNamed = true;
  };
  return { element: h("div", { class: "mo-fields" }, h("label", { for: field.id, text: `${say("sign_name")} (${person.role})` }), field), keep };
}

/** Write an addendum below a signed report. */
export function appendDialog(reading) {
  const { say } = reading;
  const area = h("textarea", { rows: 4, maxLength: 4000, aria: { label: say("addendum") } });
  const told = h("p", { class: "mo-told mo-error", role: "status" });
  const name = nameField(reading);
  const signer = button(say("addendum_sign"), async () => {
    if (!area.value.trim()) { area.focus(); return; }
    signer.disabled = true;
    try {
      await name.keep();
      await reading.saver.act("addendum", { text: area.value.trim() });
      open.close();
    } catch (refused) {
      told.textContent = refused.words ?? refused.message;
      signer.disabled = false;
    }
  }, { class: "mo-primary" });
  const open = dialog(say("addendum_title"), area, told, name.element,
    h("div", { class: "mo-choices" }, signer, button(say("cancel"), () => open.close())));
  area.focus();
}

/** What stands above a signed report while it is corrected. */
export function correctBar(reading) {
  const { say } = reading;
  return h("div", { class: "mo-correcting" }, h("strong", { text: say("correct_title") }), h("span", { text: say("correct_hint") }),
    h("div", { class: "mo-choices" },
      button(say("sign_as", { state: say("corrected").toLowerCase() }), () => signDialog(reading, "corrected"), { class: "mo-primary" }),
      button(say("sign_as", { state: say("amended").toLowerCase() }), () => signDialog(reading, "amended")),
      button(say("discard"), () => reading.endCorrection())));
}

/** Ask whether a report is to be taken back. */
export function takeBackDialog(reading) {
  const { say } = reading;
  const open = dialog(say("take_back_title"), h("p", { text: say("take_back_text") }),
    h("div", { class: "mo-choices" },
      button(say("take_back"), () => reading.saver.act("state", { state: "entered-in-error" }).then(() => open.close(), () => open.close()), { class: "mo-danger" }),
      button(say("cancel"), () => open.close(), { autofocus: true })));
}

/** Show every version, who made it, and what it changed. */
export async function versionsDialog(reading) {
  const { say, api, report } = reading;
  await reading.saver.settled();
  const all = (await api.get(`/reports/${report.report_id}/versions`)).reverse();
  const text = h("div", { class: "mo-difference", aria: { live: "polite" } });
  const show = async (number) => {
    const pieces = number > 1 ? await api.get(`/reports/${report.report_id}/difference?before=${number - 1}&after=${number}`) : [];
    const shown = pieces.map((piece, k) => h(piece.kind === "gone" ? "del" : piece.kind === "new" ? "ins" : "span", { text: piece.kind === "same" ? around(piece.text, k === 0, k === pieces.length - 1) : piece.text }));
    fill(text, h("h3", { text: say("version", { n: number }) }), h("p", { class: "mo-diff", text: pieces.some((piece) => piece.kind !== "same") ? null : say("no_change") }, shown.length > 1 ? shown : []));
  };
  const open = dialog(say("versions"),
    h("div", { class: "mo-versions" },
      h("ol", { reversed: true }, all.map((one) => h("li", {}, button(`${say("version", { n: one.number })} · ${say(one.state)}`, () => show(one.number), { class: "mo-link", title: say("compare") }), h("span", { class: "mo-soft", text: ` ${say("author", { name: one.author })}, ${new Date(1000 * one.saved_at).toLocaleString(reading.room.language)}` })))),
      text),
    h("div", { class: "mo-choices" }, button(say("close"), () => open.close())));
  if (all.length) show(all[0].number);
}

/** Text that stayed, cut to the lines next to what changed. */
function around(text, isFirst, isLast) {
  const lines = text.split("\n");
  if (lines.length < 6) return text;
  const [head, tail] = [isFirst ? [] : lines.slice(0, 3), isLast ? [] : lines.slice(-3)];
  return [...head, "…", ...tail].join("\n");
}
