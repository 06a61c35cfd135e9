/* A layout and the size of the stage -> where the panes lie, and how many millimetres a pixel of each stands for. */

import { PLANES } from "./viewer_scene.js";

const PANE_GAP = 2;
const STUDY_GAP = 6;

/** Strips of the stage for the studies side by side: {left, width} in pixels. */
export function stripsFor(count, width) {
  const edge = (k) => Math.round((k * width) / count);
  return Array.from({ length: count }, (_, k) => {
    const left = edge(k) + (k > 0 ? STUDY_GAP : 0);
    return { left, width: edge(k + 1) - left };
  });
}

/** The panes of a layout inside a strip of the stage: {plane, x, y, width, height} in pixels. */
export function panesFor(layout, left, width, height) {
  const pane = (plane, x, y, w, h) => ({ plane, x: left + x, y, width: w, height: h });
  if (layout !== "mpr") return [pane(layout, 0, 0, width, height)];
  if (width >= height * 1.15) {
    const wide = Math.round(width * (width > height * 1.6 ? 0.58 : 0.62));
    const high = Math.round(height / 2);
    return [
      pane("axial", 0, 0, wide - PANE_GAP, height),
      pane("coronal", wide, 0, width - wide, high - PANE_GAP),
      pane("sagittal", wide, high, width - wide, height - high),
    ];
  }
  const high = Math.round(height * 0.58);
  const half = Math.round(width / 2);
  return [
    pane("axial", 0, 0, width, high - PANE_GAP),
    pane("coronal", 0, high, half - PANE_GAP, height - high),
    pane("sagittal", half, high, width - half, height - high),
  ];
}

/** Millimetres per pixel that fit the whole volume of `extentMm` into each pane, divided by the zoom. */
export function fitted(panes, extentMm, zoom) {
  return Object.fromEntries(panes.map(({ plane, width, height }) => {
    const { across, up } = PLANES[plane];
    return [plane, Math.max(extentMm[across] / width, extentMm[up] / height) / zoom];
  }));
}
