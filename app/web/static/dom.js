/* Elements from plain values: every text becomes a text node, so nothing that a file or a person wrote is ever markup. */

/** Return an element. Properties: `class`, `data`, `aria`, `on` (events), `text`; others are set as they are. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key === "class") element.className = value;
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key === "aria") for (const [name, said] of Object.entries(value)) element.setAttribute(`aria-${name}`, String(said));
    else if (key === "on") for (const [name, handler] of Object.entries(value)) element.addEventListener(name, handler);
    else if (key === "text") element.textContent = value;
    else if (key === "role" || key === "for") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Give an element these children. Those it has already are not touched: they keep focus, selection and what is open in them. */
export function fill(element, ...children) {
  const wanted = children.flat().filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(child)));
  const staying = new Set(wanted);
  for (const child of [...element.childNodes]) if (!staying.has(child)) child.remove();
  wanted.forEach((child, k) => { if (element.childNodes[k] !== child) element.insertBefore(child, element.childNodes[k] ?? null); });
  return element;
}

/** Return a button that says what it does, also to a screen reader. */
export function button(text, onClick, properties = {}) {
  return h("button", { type: "button", text, on: { click: onClick }, ...properties });
}

/** Return a menu that closes when something of it is chosen, on Escape, and when something else is looked at. */
export function menu(title, buttons) {
  const elsewhere = (event) => { if (!shown.contains(event.target)) shown.open = false; };
  const shown = h("details", { class: "mo-menu", on: {
    click: (event) => { if (event.target.tagName === "BUTTON") shown.open = false; },
    keydown: (event) => { if (event.key === "Escape") { shown.open = false; shown.firstChild.focus(); } },
    focusout: (event) => { if (event.relatedTarget && !shown.contains(event.relatedTarget)) shown.open = false; },
    toggle: () => document[shown.open ? "addEventListener" : "removeEventListener"]("pointerdown", elsewhere),
  } }, h("summary", { text: title }), h("div", {}, buttons));
  return shown;
}

/** Show a dialog and return it; it is gone when it is closed, and focus goes back to where it was. */
export function dialog(title, ...children) {
  const before = document.activeElement;
  const heading = h("h2", { text: title, id: `d${Math.random().toString(36).slice(2)}` });
  const shown = h("dialog", { class: "mo-dialog", aria: { labelledby: heading.id } }, heading, ...children);
  (document.querySelector(".medomni-room") ?? document.body).append(shown);
  shown.addEventListener("close", () => { shown.remove(); before?.focus?.(); });
  shown.showModal();
  return shown;
}
