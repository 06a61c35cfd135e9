/* Words and a state -> the toolbar, the list of outlines, the help and the status line around the images. It knows no volumes.

Every text goes in as textContent. `act(name, value)` tells the viewer what the reader asked for. */

import { LAYOUTS, TOOLS, WINDOWS } from "./viewer_words.js";

/* 20 x 20 line drawings. */
const ICONS = {
  axial: "M10 4c4.6 0 7.5 2.4 7.5 6s-2.9 6-7.5 6-7.5-2.4-7.5-6S5.4 4 10 4zM10 13.5v1",
  coronal: "M7 3h6M10 3v3M4 7c2-1.300 10-1.300 12 0v7c-2 3-10 3-12 0zM8 8v5M12 8v5",
  sagittal: "M9 3c3 0 5 2 5 5 0 2-1 3-1 5v4H7v-4c-1.500-1-2-3-2-5 0-3 1-5 4-5zM14 8l2 2-2 .5",
  mpr: "M3 3h8v14H3zM13 3h4v6h-4zM13 11h4v6h-4z",
  crosshair: "M10 2v5M10 13v5M2 10h5M13 10h5",
  distance: "M3 14L14 3l3 3L6 17zM6 11l1.500 1.500M8.500 8.500L10 10M11 6l1.500 1.500",
  window: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 3v14M10 6h4.500M10 9h6.500M10 12h6M10 15h4",
  pan: "M10 2v16M2 10h16M10 2L8 4M10 2l2 2M10 18l-2-2M10 18l2-2M2 10l2-2M2 10l2 2M18 10l-2-2M18 10l-2 2",
  zoom_in: "M8.500 3a5.500 5.500 0 1 0 0 11 5.500 5.500 0 0 0 0-11zM13 13l4 4M8.500 6v5M6 8.500h5",
  zoom_out: "M8.500 3a5.500 5.500 0 1 0 0 11 5.500 5.500 0 0 0 0-11zM13 13l4 4M6 8.500h5",
  reset: "M4 10a6 6 0 1 1 2 4.500M4 15v-4h4",
  mask: "M5 7c1-4 7-5 10-2 2 2 2 6-1 8-2 1.500-3 4-6 3-4-1-4-6-3-9z",
  list: "M5 8l5 5 5-5",
  prior: "M3 4h6v12H3zM11 4h6v12h-6zM5 7h2M13 7h2",
  help: "M7.500 7.500a2.500 2.500 0 1 1 3.500 2.300c-.8.4-1 .9-1 1.700M10 14v.5",
  clear_distances: "M4 6h12M8 6V4h4v2M6 6l.7 10h6.600L14 6",
};
const KEYS = {
  axial: "A", coronal: "C", sagittal: "S", mpr: "M", mask: "O", distance: "D", crosshair: "Esc", prior: "P", reset: "R", zoom_in: "+", zoom_out: "−",
};

/** An element with attributes and children; strings become text. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

let created = 0;

/** Build everything around the images inside `frame`; the caller puts canvases into `stage`. */
export class Controls {
  constructor(frame, words, act, hasPriorButton) {
    this.words = words;
    this.act = act;
    this.id = `medomni-viewer-${++created}`;
    this.buttons = new Map();
    this.bar = element("div", { class: "mv-bar", role: "group", "aria-label": words.toolbar }, ...this.#groups(hasPriorButton));
    this.stage = element("div", { class: "mv-stage", tabindex: "0", role: "group", "aria-label": words.images });
    this.cover = element("div", { class: "mv-cover" });
    this.list = this.#popover("list", words.mask_list);
    this.help = this.#popover("help", words.help);
    this.#fillHelp();
    this.message = element("span", { class: "mv-message", role: "status" });
    this.fields = Object.fromEntries(["hu", "mm", "slice", "structure", "window"].map((name) => [name, element("span", { class: `mv-${name}` })]));
    this.fields.mm.title = words.position;
    this.status = element("div", { class: "mv-status" }, ...Object.values(this.fields), this.message);
    frame.append(this.bar, element("div", { class: "mv-body" }, this.stage, this.cover, this.list, this.help), this.status);
  }

  #groups(hasPriorButton) {
    const { words } = this;
    const group = (label, ...children) => element("div", { class: "mv-group", role: "group", "aria-label": label }, ...children);
    const windows = Object.keys(WINDOWS).map((name, k) => this.#button(`window:${name}`, { text: words[name], key: String(k + 1), act: ["setWindow", name] }));
    const mask = group(words.mask,
      this.#button("mask", { icon: "mask", text: words.mask, act: ["flipMask"] }),
      this.#button("list", { icon: "list", label: words.mask_list, popup: "list" }));
    return [
      group(words.layout, ...LAYOUTS.map((name) => this.#button(`layout:${name}`, { icon: name, label: words[name], key: KEYS[name], act: ["setLayout", name] }))),
      group(words.window, ...windows),
      group(words.tool, ...TOOLS.map((name) => this.#button(`tool:${name}`, {
        icon: name, label: name === "window" ? words.window_tool : words[name], key: KEYS[name], act: ["setTool", name],
      })), this.#button("clear", { icon: "clear_distances", label: words.clear_distances, act: ["clearDistances"] })),
      mask,
      ...(hasPriorButton ? [group(words.prior, this.#button("prior", { icon: "prior", text: words.prior_short, label: words.prior, key: KEYS.prior, act: ["flipPrior"] }))] : []),
      group(words.reset,
        ...["zoom_out", "zoom_in", "reset"].map((name) => this.#button(name, { icon: name, label: words[name], key: KEYS[name], act: [name] })),
        this.#button("help", { icon: "help", label: words.help, key: "?", popup: "help" })),
    ];
  }

  #button(name, { icon: drawing, text, label = text, key = KEYS[name], act, popup }) {
    const button = element("button", {
      type: "button", class: text ? "mv-button mv-worded" : "mv-button", "aria-label": label, title: key ? `${label} (${key})` : label,
      onclick: () => (popup ? this.togglePopover(popup) : this.act(...act)),
    });
    if (popup) {
      button.setAttribute("aria-expanded", "false");
      button.setAttribute("aria-controls", `${this.id}-${popup}`);
    }
    if (drawing) button.append(icon(drawing));
    if (text) button.append(element("span", {}, text));
    this.buttons.set(name, button);
    return button;
  }

  /** Show which of layouts, windows and tools are chosen, and what cannot be used now. */
  show({ layout, windowName, tool, isMaskShown, hasMask, isPriorShown, hasDistances, isReady }) {
    for (const [name, button] of this.buttons) {
      const [kind, value] = name.split(":");
      const isOn = { layout: value === layout, window: value === windowName, tool: value === tool, mask: isMaskShown && hasMask, prior: isPriorShown }[kind];
      if (isOn !== undefined && !button.hasAttribute("aria-expanded")) button.setAttribute("aria-pressed", String(isOn));
      button.disabled = !isReady && name !== "help";
    }
    for (const name of ["mask", "list"]) this.buttons.get(name).disabled = !hasMask || !isReady;
    this.buttons.get("clear").hidden = !hasDistances;
  }

  showStatus(texts) {
    for (const [name, field] of Object.entries(this.fields)) if (field.textContent !== texts[name]) field.textContent = texts[name];
  }

  say(text) {
    this.message.textContent = text;
  }

  /** Words over the images: what is being done (`share` 0..1 or null), or what failed with a way to try again. */
  showCover(kind, title, detail = "", { share = null, retry = null } = {}) {
    this.cover.replaceChildren();
    this.cover.hidden = kind === null;
    if (kind === null) return;
    this.cover.className = `mv-cover mv-${kind}`;
    const box = element("div", { class: "mv-note", role: kind === "error" ? "alert" : "status" }, element("strong", {}, title));
    if (kind === "loading") {
      const fill = element("i");
      if (share !== null) fill.style.width = `${Math.round(share * 100)}%`;
      box.append(element("div", { class: share === null ? "mv-progress mv-waiting" : "mv-progress", "aria-hidden": "true" }, fill));
    }
    if (detail) box.append(element("p", {}, detail));
    if (retry) box.append(element("button", { type: "button", class: "mv-retry", onclick: retry }, this.words.retry));
    this.cover.append(box);
  }

  /** The structures of the mask: {name, title, rgb, isLesion, isShown}, lesions first. */
  fillList(structures, opacity) {
    const { words } = this;
    const rows = [...structures].sort((a, b) => b.isLesion - a.isLesion || a.title.localeCompare(b.title)).map((one) => {
      const box = element("input", { type: "checkbox", onchange: (event) => this.act("toggle", one.name, event.target.checked) });
      box.checked = one.isShown;
      const swatch = element("i", { class: "mv-swatch" });
      swatch.style.backgroundColor = `rgb(${one.rgb.join(" ")})`;
      return element("label", { class: one.isLesion ? "mv-row mv-lesion" : "mv-row" }, box, swatch, element("span", {}, one.title));
    });
    const slider = element("input", { type: "range", min: "0", max: "100", value: String(Math.round(opacity * 100)),
      oninput: (event) => this.act("setOpacity", event.target.valueAsNumber / 100) });
    const choice = (name, which) => element("button", { type: "button", class: "mv-choice", onclick: () => this.act("showOnly", which) }, words[name]);
    this.list.replaceChildren(
      this.#head(words.mask_list, "list"),
      element("label", { class: "mv-row mv-opacity" }, element("span", {}, words.opacity), slider),
      element("div", { class: "mv-choices" }, choice("show_all", "all"), choice("show_lesions", "lesions"), choice("show_none", "none")),
      element("div", { class: "mv-rows" }, ...rows),
    );
  }

  togglePopover(name, isOpen = this[name].hidden) {
    for (const other of ["list", "help"]) {
      const isShown = other === name && isOpen;
      this[other].hidden = !isShown;
      this.buttons.get(other).setAttribute("aria-expanded", String(isShown));
    }
    if (isOpen) this[name].querySelector("input, button")?.focus();
  }

  /** Close what is open; true when something was. The button that opened it gets the focus back. */
  closePopovers() {
    const open = ["list", "help"].find((name) => !this[name].hidden);
    if (!open) return false;
    this.togglePopover(open, false);
    this.buttons.get(open).focus();
    return true;
  }

  #popover(name, label) {
    const made = element("div", { class: `mv-popover mv-${name}-popover`, id: `${this.id}-${name}`, role: "dialog", "aria-label": label });
    made.hidden = true;
    return made;
  }

  #head(title, name) {
    const close = element("button", { type: "button", class: "mv-choice", "aria-label": this.words.close, title: `${this.words.close} (Esc)`, onclick: () => this.closePopovers() }, "×");
    return element("div", { class: "mv-head", "data-of": name }, element("strong", {}, title), close);
  }

  #fillHelp() {
    const { words } = this;
    const rows = [
      [words.keys_wheel, words.keys_scroll], ["1 – 5", words.keys_windows], ["A C S M", words.keys_layouts], ["O", words.keys_mask], ["P", words.keys_prior],
      ["D", words.keys_distance], ["Del", words.keys_delete], ["Esc", words.keys_escape], [words.keys_ctrl_wheel, words.keys_zoom], ["R", words.keys_reset],
      [words.keys_right_drag, words.window_tool], [words.keys_middle_drag, words.pan],
    ];
    const terms = rows.flatMap(([key, does]) => [element("dt", {}, key), element("dd", {}, does)]);
    this.help.replaceChildren(this.#head(words.help, "help"), element("dl", {}, ...terms));
  }
}
