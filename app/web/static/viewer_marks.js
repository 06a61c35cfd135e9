/* Panes and what the reader must see on them -> lines and letters on a canvas over the images, and buttons. It knows no voxels. */

import { element } from "./viewer_controls.js";
import { PLANES } from "./viewer_scene.js";

const LINE_OF_PLANE = { axial: "#5aa9ff", coronal: "#7ddc8b", sagittal: "#ffc857" };
const GAP_PIXELS = 14;
const FONT = 'system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", sans-serif';

/** Draw all marks. `sides` are {scene, panes, label}; `what` is {mm, activePlane, box, distances, draft, words, isCrosshairShown}. */
export function drawMarks(canvas, sides, what) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  }
  // Kept off the graphics card: lines and letters are quicker without it where the card is software.
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  for (const side of sides) {
    for (const pane of side.panes) {
      pen.save();
      pen.beginPath();
      pen.rect(pane.x, pane.y, pane.width, pane.height);
      pen.clip();
      if (what.isCrosshairShown) drawCrosshair(pen, side, pane, what);
      if (what.box && side.name === "current") drawBox(pen, side, pane, what);
      drawDistances(pen, side, pane, what);
      drawFrame(pen, side, pane, what);
      pen.restore();
    }
  }
}

/** A distance that lies on the slice shown by a pane: its two ends in pixels; else null. */
export function distanceOnPane(side, pane, distance, mm) {
  if (distance.plane !== pane.plane || distance.side !== side.name) return null;
  const here = side.scene.sliceAt(pane.plane, mm).index;
  if (here === null || here !== side.scene.sliceAt(pane.plane, distance.from).index) return null;
  return [side.scene.toPane(pane, distance.from), side.scene.toPane(pane, distance.to)];
}

/** Keep a real button beside each distance on a shown slice, so that mouse and keyboard can remove it. */
export function placeTags(tags, sides, { distances, mm }, words, remove) {
  const shown = new Map();
  for (const side of sides) {
    for (const pane of side.panes) {
      for (const distance of distances) {
        const ends = distanceOnPane(side, pane, distance, mm);
        if (ends) shown.set(distance, ends[0][0] > ends[1][0] ? ends[0] : ends[1]);
      }
    }
  }
  const buttons = new Map([...tags.children].map((button) => [button.distance, button]));
  for (const [distance, button] of buttons) if (!shown.has(distance)) button.remove();
  for (const [distance, [x, y]] of shown) {
    const button = buttons.get(distance) ?? tagFor(distance, words, remove);
    if (!button.isConnected) tags.append(button);
    Object.assign(button.style, { left: `${x + 76}px`, top: `${y - 10}px` });
  }
}

function tagFor(distance, words, remove) {
  const label = `${words.remove_distance}: ${lengthMm(distance).toFixed(1)} mm`;
  const button = element("button", { type: "button", class: "mv-tag", "aria-label": label, title: label, onclick: () => remove(distance) }, "×");
  button.distance = distance;
  return button;
}

export function lengthMm({ from, to }) {
  return Math.hypot(from[0] - to[0], from[1] - to[1], from[2] - to[2]);
}

/* Lines in the colour of the plane they stand for, open in the middle so that nothing hides the finding. */
function drawCrosshair(pen, side, pane, { mm }) {
  const [x, y] = side.scene.toPane(pane, mm).map((value) => Math.round(value) + 0.5);
  const { across, up } = PLANES[pane.plane];
  const planeThrough = (axis) => Object.keys(PLANES).find((name) => PLANES[name].through === axis);
  pen.lineWidth = 1;
  pen.globalAlpha = 0.85;
  pen.strokeStyle = LINE_OF_PLANE[planeThrough(across)];
  strokeLine(pen, [x, pane.y], [x, y - GAP_PIXELS]);
  strokeLine(pen, [x, y + GAP_PIXELS], [x, pane.y + pane.height]);
  pen.strokeStyle = LINE_OF_PLANE[planeThrough(up)];
  strokeLine(pen, [pane.x, y], [x - GAP_PIXELS, y]);
  strokeLine(pen, [x + GAP_PIXELS, y], [pane.x + pane.width, y]);
  pen.globalAlpha = 1;
}

/* The box is drawn on slices that it crosses; elsewhere a dashed shadow tells where to scroll. */
function drawBox(pen, side, pane, { box, mm }) {
  const corners = [];
  for (const x of [box[0][0], box[1][0]]) for (const y of [box[0][1], box[1][1]]) for (const z of [box[0][2], box[1][2]]) corners.push([x, y, z]);
  const places = corners.map((corner) => side.scene.toPane(pane, corner));
  const [left, right] = [Math.min(...places.map(([x]) => x)) - 3, Math.max(...places.map(([x]) => x)) + 3];
  const [top, bottom] = [Math.min(...places.map(([, y]) => y)) - 3, Math.max(...places.map(([, y]) => y)) + 3];
  const depth = PLANES[pane.plane].through;
  const through = corners.map((corner) => side.scene.fracOf(corner)[depth]);
  const here = side.scene.fracOf(mm)[depth];
  const isCrossed = here >= Math.min(...through) - 1e-6 && here <= Math.max(...through) + 1e-6;
  pen.lineWidth = isCrossed ? 1.5 : 1;
  pen.globalAlpha = isCrossed ? 1 : 0.4;
  pen.setLineDash(isCrossed ? [] : [4, 4]);
  pen.strokeStyle = "#ffb020";
  pen.strokeRect(left, top, right - left, bottom - top);
  pen.setLineDash([]);
  pen.globalAlpha = 1;
}

function drawDistances(pen, side, pane, { distances, draft, mm }) {
  for (const distance of draft ? [...distances, draft] : distances) {
    const ends = distanceOnPane(side, pane, distance, mm);
    if (!ends) continue;
    const [from, to] = ends;
    for (const [style, width] of [["rgba(0,0,0,.75)", 4], ["#ffe08a", 1.6]]) {
      pen.strokeStyle = style;
      pen.lineWidth = width;
      strokeLine(pen, from, to);
      for (const [x, y] of [from, to]) {
        strokeLine(pen, [x - 5, y], [x + 5, y]);
        strokeLine(pen, [x, y - 5], [x, y + 5]);
      }
    }
    const [x, y] = from[0] > to[0] ? from : to;
    write(pen, `${lengthMm(distance).toFixed(1)} mm`, x + 9, y + 4, { colour: "#ffe08a", size: 13, weight: 600 });
  }
}

function drawFrame(pen, side, pane, { activePlane, words, mm }) {
  const { letters } = PLANES[pane.plane];
  const [left, right, top, bottom] = letters;
  const middle = [pane.x + pane.width / 2, pane.y + pane.height / 2];
  const size = Math.max(12, Math.min(16, pane.height / 26));
  const letter = { colour: "#ffd479", size, weight: 600 };
  write(pen, left, pane.x + 8, middle[1], { ...letter, baseline: "middle" });
  write(pen, right, pane.x + pane.width - 8, middle[1], { ...letter, baseline: "middle", align: "right" });
  write(pen, top, middle[0], pane.y + 7, { ...letter, baseline: "top", align: "center" });
  write(pen, bottom, middle[0], pane.y + pane.height - 7, { ...letter, baseline: "bottom", align: "center" });
  const { index, count } = side.scene.sliceAt(pane.plane, mm);
  const place = index === null ? words.outside : `${index + 1} / ${count}`;
  const first = { colour: LINE_OF_PLANE[pane.plane], size: 12, weight: 600, baseline: "top" };
  const second = { colour: "#c9d1d9", size: 12, baseline: "top" };
  if (side.label) {
    write(pen, side.label, pane.x + 9, pane.y + 8, { ...first, colour: "#ffffff" });
    write(pen, words[pane.plane], pane.x + 9, pane.y + 25, first);
    write(pen, place, pane.x + 9, pane.y + 42, second);
  } else {
    write(pen, words[pane.plane], pane.x + 9, pane.y + 8, first);
    write(pen, place, pane.x + 9, pane.y + 25, second);
  }
  drawScale(pen, pane);
  pen.strokeStyle = pane.plane === activePlane ? "#3d5a80" : "#23282f";
  pen.lineWidth = 1;
  pen.strokeRect(pane.x + 0.5, pane.y + 0.5, pane.width - 1, pane.height - 1);
}

/* A ruler of a round length, at the lower right. */
function drawScale(pen, pane) {
  const longest = pane.width * 0.28 * pane.range.perPixel;
  const mm = [200, 100, 50, 20, 10, 5, 2, 1].find((step) => step <= longest);
  if (!mm || pane.width < 160) return;
  const pixels = mm / pane.range.perPixel;
  const [x, y] = [pane.x + pane.width - 12, pane.y + pane.height - 12];
  pen.strokeStyle = "#c9d1d9";
  pen.lineWidth = 1;
  strokeLine(pen, [x - pixels, y + 0.5], [x, y + 0.5]);
  strokeLine(pen, [x - pixels + 0.5, y - 5], [x - pixels + 0.5, y]);
  strokeLine(pen, [x - 0.5, y - 5], [x - 0.5, y]);
  write(pen, mm >= 10 ? `${mm / 10} cm` : `${mm} mm`, x, y - 6, { colour: "#c9d1d9", size: 11, align: "right", baseline: "bottom" });
}

function write(pen, text, x, y, { colour, size, weight = 400, align = "left", baseline = "alphabetic" }) {
  pen.font = `${weight} ${size}px ${FONT}`;
  pen.textAlign = align;
  pen.textBaseline = baseline;
  pen.lineWidth = 3;
  pen.lineJoin = "round";
  pen.strokeStyle = "rgba(0,0,0,.8)";
  pen.strokeText(text, x, y);
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
}

function strokeLine(pen, from, to) {
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}
