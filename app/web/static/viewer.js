/* A place in the page and a way to load NIfTI bytes -> a CT viewer: three planes, windows, outlines, distances, a prior beside.

Coordinates outside are LPS millimetres, as everywhere in MedOmni; `viewer_scene.js` alone turns them. The viewer keeps one state
and draws it at most once per frame; nothing else is remembered by the parts. It knows no studies, findings or addresses. */

import { Controls, element } from "./viewer_controls.js";
import { Input } from "./viewer_input.js";
import { fitted, panesFor, stripsFor } from "./viewer_layout.js";
import { drawMarks, placeTags } from "./viewer_marks.js";
import { framesOut, nextFrame, pauseBetweenSlabs } from "./viewer_pace.js";
import { Scene, hasWebGl2, isMostlyChest, readImage } from "./viewer_scene.js";
import { LAYOUTS, TOOLS, WINDOWS, paintOf, paletteOf, signed, wordsFor } from "./viewer_words.js";

const MOVE_DELAY_MS = 100;
/* Without a graphics card a frame costs about 100 ns a pixel: coarse while something moves, sharp once it rests. */
const SOFTWARE_PIXELS = { moving: 0.5e6, resting: 1.4e6 };
const REST_MS = 300;
const ZOOM_LIMITS = [0.5, 24];

/**
 * Build a viewer inside `root` and resolve when the images are drawn (or their failure is shown; outlines may still be loading).
 * Options: load(name, onProgress) -> ArrayBuffer or null for 'volume', 'mask', 'prior'; structures {label: name}; titles {name: words};
 * language 'en' or 'zh'; words {own words}; onMove({mm, slice, hu}); initialWindow; initialLayout; hasPrior (false hides the button).
 */
export async function createViewer(root, options) {
  const viewer = new Viewer(root, options);
  await viewer.reload();
  return viewer;
}

class Viewer {
  #options;
  #words;
  #controls;
  #frame;
  #marks;
  #tags;
  #sides = [];
  #paints = new Map();
  #state = {
    mm: null, layout: "mpr", plane: "axial", tool: "crosshair", window: null, zoom: 1, centre: null, isMaskShown: true, opacity: 0.5,
    hidden: new Set(), lit: [], isPriorShown: false, box: null, distances: [], draft: null,
  };
  #isReady = false;
  #isDestroyed = false;
  #waiting = [];
  #frameRequest = 0;
  #moveTimer = 0;
  #restTimer = 0;
  #drawn = 0;
  #lastMove = "";
  #run = 0;
  #priorLoading = null;
  #off = new AbortController();

  constructor(root, options) {
    this.#options = options;
    this.#words = wordsFor(options.language, options.words);
    this.#state.layout = LAYOUTS.includes(options.initialLayout) ? options.initialLayout : "mpr";
    this.#frame = element("section", { class: "medomni-viewer", lang: options.language === "zh" ? "zh" : "en" });
    root.append(this.#frame);
    this.#controls = new Controls(this.#frame, this.#words, (name, ...values) => this.#act(name, values), options.hasPrior !== false);
    this.#marks = element("canvas", { class: "mv-marks", "aria-hidden": "true" });
    this.#tags = element("div", { class: "mv-tags" });
    this.#controls.stage.append(this.#marks, this.#tags);
    this.#takeInput();
    this.#showControls();
  }

  #takeInput() {
    const { signal } = this.#off;
    const desk = {
      viewer: this,
      state: this.#state,
      hasPrior: this.#options.hasPrior !== false,
      isReady: () => this.#isReady,
      sides: () => this.#shownSides,
      centre: () => this.#centre,
      request: () => this.#request(),
      zoomBy: (factor, fixed) => this.#zoomBy(factor, fixed),
      act: (name, values) => this.#act(name, values),
      removeDistance: (distance) => this.#removeDistance(distance),
    };
    new Input(this.#frame, this.#controls, desk, signal);
    const observer = new ResizeObserver(() => this.#request());
    observer.observe(this.#controls.stage);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  /* ---- what the page may ask ---- */

  /** Show a point in all planes; resolves after the frame that shows it. */
  goTo(mmLps) {
    if (!isPoint(mmLps)) throw new TypeError("goTo needs [x, y, z] in LPS millimetres");
    this.#state.mm = [...mmLps];
    if (this.#isReady) this.#keepInView();
    return this.#request();
  }

  /** Paint these structures strongly and the others faintly; [] paints all as usual. */
  light(names) {
    this.#state.lit = [...names];
    this.#paint();
  }

  showMask(isShown) {
    this.#state.isMaskShown = Boolean(isShown);
    for (const { scene } of this.#sides) if (scene.image) scene.showMask(this.#state.isMaskShown);
    this.#request();
  }

  setOpacity(opacity) {
    this.#state.opacity = Math.min(Math.max(Number(opacity), 0), 1);
    this.#paint();
  }

  toggle(name, isShown) {
    if (isShown) this.#state.hidden.delete(name);
    else this.#state.hidden.add(name);
    this.#paint();
    this.#fillList();
  }

  /** 'lung', 'mediastinum', 'bone', 'brain', 'abdomen', or {center, width} in HU. */
  setWindow(window) {
    const { center, width } = typeof window === "string" ? WINDOWS[window] ?? WINDOWS.mediastinum : window;
    this.#state.window = { center, width: Math.max(1, width) };
    for (const { scene } of this.#sides) if (scene.image) this.#applyWindow(scene);
    this.#request();
  }

  get layout() { return this.#state.layout; }

  setLayout(layout) {
    if (!LAYOUTS.includes(layout)) return;
    this.#state.layout = layout;
    if (layout !== "mpr") this.#state.plane = layout;
    if (this.#state.centre) this.#state.centre = [...this.#state.mm];
    this.#request();
  }

  setTool(tool) {
    if (!TOOLS.includes(tool)) return;
    this.#state.tool = tool;
    this.#state.draft = null;
    this.#controls.stage.dataset.tool = tool;
    this.#request();
  }

  /** Scroll `n` slices in the active plane; positive is the rising index: to the head, the back or the left. */
  step(n) {
    if (!this.#isReady) return;
    this.#state.mm = this.#current.scene.stepped(this.#state.plane, this.#state.mm, n);
    this.#request();
  }

  /** The prior study beside the current one, at the same LPS position. Resolves to whether it is shown. */
  async showPrior(isShown) {
    this.#state.isPriorShown = Boolean(isShown) && this.#isReady;
    if (this.#state.isPriorShown && !this.#prior) {
      this.#priorLoading ??= this.#loadPrior().finally(() => (this.#priorLoading = null));
      if (!(await this.#priorLoading)) this.#state.isPriorShown = false;
    }
    if (this.#isDestroyed) return false;
    const canvas = this.#prior?.scene.canvas;
    if (canvas) canvas.hidden = !this.#state.isPriorShown;
    if (canvas) this.#controls.say(this.#state.isPriorShown ? this.#words.prior_note : "");
    await this.#request();
    return this.#state.isPriorShown;
  }

  /** Outline a box [[x, y, z], [x, y, z]] in LPS mm on the slices; null takes it away. */
  box(boxMm) {
    this.#state.box = boxMm ? boxMm.map((corner) => [...corner]) : null;
    this.#request();
  }

  /** Show other bytes of the same study, for example at full resolution after a reduced one; position, zoom and window stay. */
  async replaceVolume(bytes) {
    if (!this.#isReady) return;
    const image = await readImage(bytes);
    if (this.#isDestroyed) return;
    const { scene } = this.#current;
    await scene.setVolume(image, pauseBetweenSlabs());
    if (!this.#isDestroyed) await this.#request();
  }

  /** Load everything anew; also what the retry button does. */
  async reload() {
    const run = ++this.#run;
    this.#isReady = false;
    for (const side of this.#sides.splice(0)) this.#dropSide(side);
    this.#state.isPriorShown = false;
    this.#showControls();
    if (!hasWebGl2()) {
      this.#controls.showCover("error", this.#words.no_webgl, this.#words.no_webgl_what);
      return;
    }
    try {
      await this.#loadVolume(run);
    } catch (error) {
      if (run !== this.#run || this.#isDestroyed) return;
      console.error("viewer: the volume could not be shown:", error?.message ?? error);
      const detail = error?.message === "too large" ? this.#words.too_large : this.#words.failed_what;
      this.#controls.showCover("error", this.#words.failed, detail, { retry: () => this.reload() });
      return;
    }
    if (run === this.#run && !this.#isDestroyed) this.maskReady = this.#loadMask(run);
  }

  destroy() {
    this.#isDestroyed = true;
    this.#isReady = false;
    this.#off.abort();
    cancelAnimationFrame(this.#frameRequest);
    clearTimeout(this.#moveTimer);
    clearTimeout(this.#restTimer);
    for (const side of this.#sides.splice(0)) this.#dropSide(side);
    for (const done of this.#waiting.splice(0)) done();
    this.#frame.remove();
  }

  /* ---- loading ---- */

  get #current() {
    return this.#sides.find((side) => side.name === "current");
  }

  get #prior() {
    return this.#sides.find((side) => side.name === "prior");
  }

  get #shownSides() {
    return this.#state.isPriorShown && this.#prior?.scene.image ? [this.#current, this.#prior] : [this.#current];
  }

  async #loadVolume(run) {
    const words = this.#words;
    const cover = (text, share = null) => run === this.#run && this.#controls.showCover("loading", text, "", { share });
    cover(words.loading_images);
    const side = await this.#addSide("current");
    const bytes = await this.#options.load("volume", (share) => cover(words.loading_images, share));
    if (!bytes) throw new Error("no volume");
    cover(words.unpacking);
    await nextFrame();
    const image = await readImage(bytes);
    if (run !== this.#run || this.#isDestroyed) return;
    this.#state.window ??= WINDOWS[this.#options.initialWindow] ?? (isMostlyChest(image) ? WINDOWS.lung : WINDOWS.abdomen);
    await side.scene.setVolume(image, pauseBetweenSlabs((share) => cover(words.preparing, share)));
    if (run !== this.#run || this.#isDestroyed) return;
    this.#state.mm ??= side.scene.lpsOf([0.5, 0.5, 0.5]);
    this.#applyWindow(side.scene);
    this.#isReady = true;
    this.#controls.showCover(null);
    this.setTool(this.#state.tool);
    await this.#request();
  }

  async #loadMask(run) {
    this.#controls.say(this.#words.loading_mask);
    try {
      const bytes = await this.#options.load("mask");
      if (run !== this.#run || this.#isDestroyed) return;
      if (!bytes) return void this.#controls.say(this.#words.mask_none);
      const image = await readImage(bytes);
      const { scene } = this.#current ?? {};
      if (!scene || run !== this.#run) return;
      await scene.setMask(image, pauseBetweenSlabs());
      const known = this.#options.structures ?? {};
      const present = scene.labelsPresent().filter((label) => known[label]);
      this.#paints = new Map(present.map((label) => [label, { name: known[label], ...paintOf(known[label]) }]));
      for (const paint of this.#paints.values()) if (!paint.isShown && !this.#state.lit.includes(paint.name)) this.#state.hidden.add(paint.name);
      this.#controls.say("");
      this.#fillList();
      this.#paint();
    } catch (error) {
      if (run !== this.#run || this.#isDestroyed) return;
      console.error("viewer: the outlines could not be shown:", error?.message ?? error);
      this.#controls.say(this.#words.mask_failed);
    }
  }

  async #loadPrior() {
    this.#controls.say(this.#words.loading_prior);
    try {
      const bytes = await this.#options.load("prior");
      if (!bytes) return void this.#controls.say(this.#words.prior_none);
      const image = await readImage(bytes);
      if (this.#isDestroyed || !this.#isReady) return false;
      const side = await this.#addSide("prior");
      await side.scene.setVolume(image, pauseBetweenSlabs());
      if (this.#isDestroyed) return false;
      this.#applyWindow(side.scene);
      return true;
    } catch (error) {
      console.error("viewer: the prior study could not be shown:", error?.message ?? error);
      if (this.#prior) this.#dropSide(this.#sides.pop());
      this.#controls.say(this.#words.prior_failed);
      return false;
    }
  }

  async #addSide(name) {
    const canvas = element("canvas", { class: "mv-images", "aria-hidden": "true" });
    this.#controls.stage.insertBefore(canvas, this.#marks);
    const side = { name, scene: new Scene(canvas), panes: [], label: "" };
    this.#sides.push(side);
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      if (this.#isDestroyed || !this.#sides.includes(side)) return;
      this.#isReady = false;
      this.#controls.showCover("error", this.#words.lost, this.#words.lost_what, { retry: () => this.reload() });
    });
    await side.scene.start();
    return side;
  }

  #dropSide(side) {
    side.scene.destroy();
    side.scene.canvas.remove();
  }

  /* ---- drawing ---- */

  /** Ask for a frame; resolves after it is drawn. */
  #request() {
    if (this.#isDestroyed) return Promise.resolve();
    return new Promise((done) => {
      this.#waiting.push(done);
      this.#frameRequest ||= requestAnimationFrame(() => {
        this.#frameRequest = 0;
        const waiting = this.#waiting.splice(0);
        if (this.#isReady) this.#draw("moving");
        this.#showControls();
        for (const resolve of waiting) resolve();
      });
    });
  }

  #draw(pace) {
    const { stage } = this.#controls;
    const [width, height] = [stage.clientWidth, stage.clientHeight];
    if (width < 2 || height < 2) return;
    const sides = this.#shownSides;
    const strips = stripsFor(sides.length, width);
    const view = {
      centre: this.#centre,
      mmPerPixel: fitted(panesFor(this.#state.layout, 0, strips[0].width, height), this.#current.scene.extentMm(), this.#state.zoom),
    };
    for (const [k, side] of sides.entries()) {
      const { left, width: wide } = strips[k];
      side.panes = panesFor(this.#state.layout, left, wide, height);
      side.label = sides.length > 1 ? this.#words[side.name === "prior" ? "prior_short" : "current"] : "";
      Object.assign(side.scene.canvas.style, { left: `${left}px`, width: `${wide}px` });
      side.scene.draw(side.panes, this.#state.mm, { ...view, originX: left }, this.#pixelRatio(width * height, pace));
    }
    const { mm, plane, box, distances, draft, tool } = this.#state;
    drawMarks(this.#marks, sides, { mm, activePlane: plane, box, distances, draft, words: this.#words, isCrosshairShown: tool === "crosshair" || tool === "pan" });
    placeTags(this.#tags, sides, this.#state, this.#words, (distance) => this.#removeDistance(distance));
    this.#showStatus();
    this.#tellMove();
    clearTimeout(this.#restTimer);
    if (pace === "moving" && this.#current.scene.isSoftware) this.#sharpenAtRest(++this.#drawn);
  }

  /** Draw finely once nothing has moved for a while. Counted from when the frame is out, which takes long without a card. */
  async #sharpenAtRest(drawn) {
    await framesOut();
    if (drawn !== this.#drawn || this.#isDestroyed) return;
    this.#restTimer = setTimeout(() => this.#isReady && drawn === this.#drawn && this.#draw("resting"), REST_MS);
  }

  /** LPS point in the middle of every pane; all planes are fitted to the current study, the prior gets the same scale. */
  get #centre() {
    return this.#state.centre ?? this.#current.scene.lpsOf([0.5, 0.5, 0.5]);
  }

  #pixelRatio(pixels, pace) {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    if (!this.#current.scene.isSoftware) return ratio;
    return Math.min(ratio, Math.sqrt(SOFTWARE_PIXELS[pace] / pixels));
  }

  #applyWindow(scene) {
    const { center, width } = this.#state.window;
    scene.setWindow(center - width / 2, width);
  }

  #paint() {
    const { lit, hidden, opacity } = this.#state;
    if (this.#current?.scene.image) this.#current.scene.setPalette(paletteOf(this.#paints, lit, hidden, opacity));
    this.#request();
  }

  #fillList() {
    const structures = [...this.#paints.values()].map((paint) => ({
      ...paint, title: this.#titleOf(paint.name), isShown: !this.#state.hidden.has(paint.name),
    }));
    this.#controls.fillList(structures, this.#state.opacity);
  }

  #titleOf(name) {
    return this.#options.titles?.[name] ?? name.replaceAll("_", " ");
  }

  #showControls() {
    const { layout, tool, isMaskShown, isPriorShown, distances, window: shown } = this.#state;
    const windowName = Object.keys(WINDOWS).find((name) => shown && WINDOWS[name].center === shown.center && WINDOWS[name].width === shown.width);
    this.#controls.show({
      layout, tool, windowName, isMaskShown, isPriorShown, hasMask: this.#paints.size > 0, hasDistances: distances.length > 0, isReady: this.#isReady,
    });
  }

  #showStatus() {
    const { mm, plane, window: shown } = this.#state;
    const { scene } = this.#current;
    const { index, count } = scene.sliceAt(plane, mm);
    const hu = scene.huAt(mm);
    const structure = this.#state.isMaskShown ? this.#paints.get(scene.labelAt(mm)) : undefined;
    this.#controls.showStatus({
      hu: hu === null ? "— HU" : `${signed(hu, 0)} HU`,
      mm: `${mm.map((value) => signed(value, 1)).join("  ")} mm`,
      slice: index === null ? this.#words.outside : this.#words.slice.replace("{n}", index + 1).replace("{of}", count),
      structure: structure ? this.#titleOf(structure.name) : "",
      window: `C ${signed(Math.round(shown.center), 0)}  W ${Math.round(shown.width)}`,
    });
  }

  #tellMove() {
    const { mm } = this.#state;
    const key = mm.join();
    if (!this.#options.onMove || key === this.#lastMove) return;
    this.#lastMove = key;
    clearTimeout(this.#moveTimer);
    this.#moveTimer = setTimeout(() => {
      const { scene } = this.#current ?? {};
      if (scene?.image) this.#options.onMove({ mm: [...mm], slice: scene.sliceAt("axial", mm).index, hu: scene.huAt(mm) });
    }, MOVE_DELAY_MS);
  }

  #removeDistance(distance) {
    this.#removeDistances(this.#state.distances.filter((one) => one !== distance));
  }

  #removeDistances(kept) {
    this.#state.distances = kept;
    this.#controls.stage.focus({ preventScroll: true });
    this.#request();
  }

  /* ---- moving ---- */

  /** When zoomed in, move the view so that the point is well inside every pane. */
  #keepInView() {
    const { mm, centre } = this.#state;
    const { scene, panes } = this.#current;
    if (!centre) return;
    const isLost = panes.some((pane) => {
      if (!pane.range) return true;
      const [x, y] = scene.toPane(pane, mm);
      const [marginX, marginY] = [pane.width * 0.12, pane.height * 0.12];
      return x < pane.x + marginX || x > pane.x + pane.width - marginX || y < pane.y + marginY || y > pane.y + pane.height - marginY;
    });
    if (isLost) this.#state.centre = [...mm];
  }

  /** Change the zoom and keep the point `fixed` where it is on the screen. */
  #zoomBy(factor, fixed = this.#state.mm) {
    const before = this.#state.zoom;
    const zoom = Math.min(Math.max(before * factor, ZOOM_LIMITS[0]), ZOOM_LIMITS[1]);
    const centre = this.#centre;
    this.#state.zoom = zoom;
    this.#state.centre = centre.map((value, axis) => fixed[axis] + ((value - fixed[axis]) * before) / zoom);
    this.#request();
  }

  #act(name, values) {
    if (!this.#isReady) return;
    const actions = {
      flipMask: () => this.#paints.size > 0 && this.showMask(!this.#state.isMaskShown),
      flipPrior: () => this.showPrior(!this.#state.isPriorShown),
      zoom_in: () => this.#zoomBy(1.25),
      zoom_out: () => this.#zoomBy(0.8),
      reset: () => this.#reset(),
      clearDistances: () => this.#removeDistances([]),
      showOnly: (which) => this.#showOnly(which),
    };
    if (actions[name]) actions[name](...values);
    else this[name](...values);
  }

  #reset() {
    this.#state.zoom = 1;
    this.#state.centre = null;
    this.setWindow(WINDOWS[this.#options.initialWindow] ?? (isMostlyChest(this.#current.scene.image) ? WINDOWS.lung : WINDOWS.abdomen));
  }

  #showOnly(which) {
    for (const { name, isLesion } of this.#paints.values()) {
      if (which === "all" || (which === "lesions" && isLesion)) this.#state.hidden.delete(name);
      else this.#state.hidden.add(name);
    }
    this.#paint();
    this.#fillList();
  }
}

const isPoint = (value) => Array.isArray(value) && value.length === 3 && value.every(Number.isFinite);
