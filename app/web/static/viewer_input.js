/* Mouse, touch and keys -> what the viewer is asked to do. It keeps only what is under way: a drag, a pinch, a turn of the wheel.

`desk` is the viewer's desk: {viewer, state, isReady, sides, centre, request, zoomBy, act, removeDistance, hasPrior}. */

import { WINDOWS } from "./viewer_words.js";

const WHEEL_STEP_PIXELS = 50;
const LEAST_DRAG_PIXELS = 3;

/** Listen inside a viewer until `signal` aborts. */
export class Input {
  #controls;
  #frame;
  #desk;
  #drag = null;
  #touches = new Map();
  #wheel = 0;

  constructor(frame, controls, desk, signal) {
    this.#frame = frame;
    this.#controls = controls;
    this.#desk = desk;
    this.#listen(signal);
  }

  #listen(signal) {
    const { stage } = this.#controls;
    const on = (target, type, handle, more = {}) => target.addEventListener(type, handle, { signal, ...more });
    on(stage, "pointerdown", (event) => this.#pressed(event));
    on(stage, "pointermove", (event) => this.#dragged(event));
    for (const type of ["pointerup", "pointercancel"]) on(stage, type, (event) => this.#released(event));
    on(stage, "wheel", (event) => this.#wheeled(event), { passive: false });
    on(stage, "contextmenu", (event) => event.preventDefault());
    on(stage, "dragover", (event) => event.preventDefault());
    on(window, "keydown", (event) => this.#keyed(event), { capture: true });
    on(document, "pointerdown", (event) => {
      const { list, help, bar } = this.#controls;
      const path = event.composedPath();
      if (![list, help, bar].some((part) => path.includes(part))) for (const name of ["list", "help"]) this.#controls.togglePopover(name, false);
    });
  }

  #hit(event) {
    const frame = this.#controls.stage.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    for (const side of this.#desk.sides()) {
      const pane = side.panes.find((one) => x >= one.x && x < one.x + one.width && y >= one.y && y < one.y + one.height);
      if (pane) return { side, pane, x, y };
    }
    return null;
  }

  #pressed(event) {
    if (!this.#desk.isReady() || event.target.closest(".mv-tag")) return;
    const hit = this.#hit(event);
    if (!hit) return;
    event.preventDefault();
    this.#controls.stage.focus({ preventScroll: true });
    this.#controls.stage.setPointerCapture(event.pointerId);
    this.#touches.set(event.pointerId, [event.clientX, event.clientY]);
    this.#desk.state.plane = hit.pane.plane;
    const tool = event.button === 2 ? "window" : event.button === 1 ? "pan" : this.#desk.state.tool;
    this.#drag = { ...hit, tool, startX: event.clientX, startY: event.clientY, window: { ...this.#desk.state.window }, centre: this.#desk.centre() };
    if (tool === "crosshair") this.#moveTo(hit, hit.x, hit.y);
    if (tool === "distance") {
      const point = this.#pointAt(hit, hit.x, hit.y);
      this.#desk.state.draft = { side: hit.side.name, plane: hit.pane.plane, from: point, to: point };
    }
    this.#desk.request();
  }

  #dragged(event) {
    if (!this.#desk.isReady()) return;
    if (this.#touches.size === 2 && this.#touches.has(event.pointerId)) return this.#pinched(event);
    const drag = this.#drag;
    if (!drag) return;
    const frame = this.#controls.stage.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    const [dx, dy] = [event.clientX - drag.startX, event.clientY - drag.startY];
    this.#touches.set(event.pointerId, [event.clientX, event.clientY]);
    if (drag.tool === "crosshair") this.#moveTo(drag, x, y);
    if (drag.tool === "window") this.#desk.viewer.setWindow({ center: drag.window.center + dy * 2, width: drag.window.width + dx * 4 });
    if (drag.tool === "pan") {
      const { scene } = drag.side;
      const [from, to] = [scene.fromPane(drag.pane, drag.x, drag.y, this.#desk.state.mm), scene.fromPane(drag.pane, drag.x + dx, drag.y + dy, this.#desk.state.mm)];
      // The pane's range moves with the view: only differences inside one range may be used.
      this.#desk.state.centre = drag.centre.map((value, axis) => value + from[axis] - to[axis]);
      this.#desk.request();
    }
    if (drag.tool === "distance" && this.#desk.state.draft) {
      this.#desk.state.draft = { ...this.#desk.state.draft, to: this.#pointAt(drag, x, y) };
      this.#desk.request();
    }
  }

  #released(event) {
    this.#touches.delete(event.pointerId);
    const { draft } = this.#desk.state;
    const drag = this.#drag;
    this.#drag = null;
    this.#desk.state.draft = null;
    if (draft && drag && Math.hypot(event.clientX - drag.startX, event.clientY - drag.startY) >= LEAST_DRAG_PIXELS && event.type === "pointerup") {
      this.#desk.state.distances = [...this.#desk.state.distances, draft];
    }
    if (this.#desk.isReady()) this.#desk.request();
  }

  #pinched(event) {
    const spread = () => {
      const [a, b] = [...this.#touches.values()];
      return Math.hypot(a[0] - b[0], a[1] - b[1]);
    };
    const before = spread();
    this.#touches.set(event.pointerId, [event.clientX, event.clientY]);
    this.#drag = null;
    this.#desk.state.draft = null;
    if (before > 0) this.#desk.zoomBy(spread() / before);
  }

  #wheeled(event) {
    if (!this.#desk.isReady()) return;
    const hit = this.#hit(event);
    if (!hit) return;
    event.preventDefault();
    this.#desk.state.plane = hit.pane.plane;
    const amount = event.deltaMode === 0 ? event.deltaY : event.deltaY * WHEEL_STEP_PIXELS;
    if (event.ctrlKey) return this.#desk.zoomBy(Math.exp(-amount / 400), this.#pointAt(hit, hit.x, hit.y));
    this.#wheel += amount;
    // A notch of a mouse wheel (100 or 120) is one slice; a trackpad adds up.
    const isNotch = Math.abs(amount) >= WHEEL_STEP_PIXELS;
    const steps = isNotch ? Math.sign(amount) : Math.trunc(this.#wheel / WHEEL_STEP_PIXELS);
    if (steps === 0) return;
    this.#wheel = isNotch ? 0 : this.#wheel - steps * WHEEL_STEP_PIXELS;
    this.#desk.viewer.step(-steps);
  }

  #keyed(event) {
    const target = event.composedPath()[0];
    const isInside = this.#frame.contains(target);
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTextField(target)) return;
    if (!isInside && target !== document.body && target !== document.documentElement) return;
    if (event.key === "Escape" && this.#controls.closePopovers()) return void event.preventDefault();
    if (target.tagName === "INPUT" && event.key.startsWith("Arrow")) return;
    if (!this.#desk.isReady()) return;
    const done = this.#actOnKey(event.key);
    if (!done) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  #actOnKey(key) {
    const name = key.length === 1 ? key.toLowerCase() : key;
    const windows = Object.keys(WINDOWS);
    if (name >= "1" && name <= String(windows.length) && key.length === 1) return this.#done(() => this.#desk.viewer.setWindow(windows[Number(name) - 1]));
    const actions = {
      ArrowUp: () => this.#desk.viewer.step(1),
      ArrowDown: () => this.#desk.viewer.step(-1),
      PageUp: () => this.#desk.viewer.step(10),
      PageDown: () => this.#desk.viewer.step(-10),
      a: () => this.#desk.viewer.setLayout("axial"),
      c: () => this.#desk.viewer.setLayout("coronal"),
      s: () => this.#desk.viewer.setLayout("sagittal"),
      m: () => this.#desk.viewer.setLayout("mpr"),
      o: () => this.#desk.act("flipMask", []),
      d: () => this.#desk.viewer.setTool("distance"),
      p: () => this.#desk.hasPrior && this.#desk.act("flipPrior", []),
      r: () => this.#desk.act("reset", []),
      Escape: () => this.#desk.viewer.setTool("crosshair"),
      Delete: () => this.#desk.removeDistance(this.#desk.state.distances.at(-1)),
      "+": () => this.#desk.zoomBy(1.25),
      "=": () => this.#desk.zoomBy(1.25),
      "-": () => this.#desk.zoomBy(0.8),
      "?": () => this.#controls.togglePopover("help"),
    };
    return actions[name] ? this.#done(actions[name]) : false;
  }

  #done(action) {
    action();
    return true;
  }

  #moveTo(hit, x, y) {
    const point = this.#pointAt(hit, x, y);
    const frac = this.#desk.sides()[0].scene.fracOf(point).map((value) => Math.min(Math.max(value, 0), 0.999999));
    this.#desk.state.mm = this.#desk.sides()[0].scene.lpsOf(frac);
    this.#desk.request();
  }

  #pointAt({ side, pane }, x, y) {
    return side.scene.fromPane(pane, x, y, this.#desk.state.mm);
  }
}

function isTextField(target) {
  if (!(target instanceof Element)) return false;
  if (target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName)) return true;
  return target.tagName === "INPUT" && !["checkbox", "radio", "range", "button", "submit"].includes(target.type);
}
