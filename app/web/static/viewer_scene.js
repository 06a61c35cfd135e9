/* NIfTI bytes and a place in LPS millimetres -> drawn CT slices. The only file of the viewer where RAS and niivue exist.

niivue reads the files, knows the geometry and draws the slices. Its own way to windows and label colours paints the whole volume
anew for every change (10 to 48 s on a software renderer for 95 to 300 slices of 512 x 512). So the CT lies on the card as HU and
the label map as labels, and a slice shader of our own looks both up for the pixels on the screen: a new window or colour costs one frame.
The members of Niivue that are overridden here are checked against the vendored version 0.69.0 only. */

import { Niivue, NVImage } from "./vendor/niivue/niivue.js";

/* Which patient axis (0 right-left, 1 front-back, 2 foot-head) runs across, up and through each plane. */
export const PLANES = {
  axial: { type: 0, across: 0, up: 1, through: 2, letters: ["R", "L", "A", "P"] },
  coronal: { type: 1, across: 0, up: 2, through: 1, letters: ["R", "L", "H", "F"] },
  sagittal: { type: 2, across: 1, up: 2, through: 0, letters: ["A", "P", "H", "F"] },
};
const PLANE_OF_TYPE = ["axial", "coronal", "sagittal"];

const CT_UNIT = 11;
const MASK_UNIT = 12;
const PALETTE_UNIT = 13;
const SLAB_BYTES = 16 << 20;
const LABELS = 256;
const CHEST_AIR_SHARE = 0.06;

const SLICE_SHADER = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler3D;
precision highp usampler3D;
uniform sampler3D ct;
uniform usampler3D labels;
uniform highp sampler2D palette;
uniform mat4 toCt;
uniform mat4 toMask;
uniform vec2 windowHu;
uniform float maskShown;
uniform float outlinePixels;
in vec3 texPos;
out vec4 color;

int labelAt(vec3 place) {
  if (any(lessThan(place, vec3(0.0))) || any(greaterThanEqual(place, vec3(1.0)))) return 0;
  return int(texelFetch(labels, ivec3(place * vec3(textureSize(labels, 0))), 0).r);
}

void main() {
  float hu = texture(ct, (toCt * vec4(texPos, 1.0)).xyz).r;
  vec3 shade = vec3(clamp((hu - windowHu.x) / windowHu.y, 0.0, 1.0));
  vec3 place = (toMask * vec4(texPos, 1.0)).xyz;
  vec3 right = dFdx(place) * outlinePixels;
  vec3 up = dFdy(place) * outlinePixels;
  if (maskShown > 0.5) {
    int label = labelAt(place);
    if (label > 0) {
      vec4 fill = texelFetch(palette, ivec2(label, 0), 0);
      float alpha = fill.a;
      float line = texelFetch(palette, ivec2(label, 1), 0).a;
      if (line > 0.0 && (labelAt(place + right) != label || labelAt(place - right) != label
          || labelAt(place + up) != label || labelAt(place - up) != label)) alpha = line;
      shade = mix(shade, fill.rgb, alpha);
    }
  }
  color = vec4(shade, 1.0);
}`;

/** Whether this browser can draw at all. */
export function hasWebGl2() {
  const gl = document.createElement("canvas").getContext("webgl2");
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return gl !== null;
}

/** A CT or label map read from NIfTI bytes (.nii or .nii.gz), with its geometry. Throws when the bytes are no such file. */
export async function readImage(bytes) {
  const head = new Uint8Array(bytes, 0, Math.min(2, bytes.byteLength));
  const name = head[0] === 0x1f && head[1] === 0x8b ? "image.nii.gz" : "image.nii";
  // Given limits keep niivue from searching all voxels for a display range, which nothing here uses.
  const image = await NVImage.new(bytes, name, "gray", 1, null, -1000, 400);
  if (!image?.img || image.hdr.dims[1] < 1) throw new Error("not a NIfTI volume");
  return image;
}

/** Whether a good part of the volume is lung or other air inside the body: samples between -950 and -600 HU. */
export function isMostlyChest(image) {
  const { img, hdr } = image;
  const stride = Math.max(1, Math.floor(img.length / 200000)) | 1;
  let [lung, tissue] = [0, 0];
  for (let k = 0; k < img.length; k += stride) {
    const hu = img[k] * hdr.scl_slope + hdr.scl_inter;
    if (hu > -950 && hu < -600) lung++;
    else if (hu > -200) tissue++;
  }
  return lung / Math.max(1, lung + tissue) > CHEST_AIR_SHARE;
}

/** The slices of one study on one canvas. Points are LPS mm outside and [0..1] of the volume, in RAS order, inside. */
export class Scene {
  constructor(canvas) {
    this.canvas = canvas;
    this.engine = null;
    this.image = null;
    this.mask = null;
    this.isSoftware = false;
    this.windowHu = [-1350, 1500];
    this.isMaskShown = true;
  }

  async start() {
    this.engine = new SliceEngine({
      isRadiologicalConvention: true, sagittalNoseLeft: true, isOrientationTextVisible: false, isColorbar: false, crosshairWidth: 0,
      show3Dcrosshair: false, interactive: false, isResizeCanvas: false, forceDevicePixelRatio: -1, dragAndDropEnabled: false,
      loadingText: "", logLevel: "error", backColor: [0, 0, 0, 1],
    });
    // The first context of a canvas is the one niivue gets: without alpha the page need not blend it.
    this.canvas.getContext("webgl2", { alpha: false, antialias: false });
    await this.engine.attachToCanvas(this.canvas, false);
    this.gl = this.engine.gl;
    this.engine.setCustomSliceShader(SLICE_SHADER);
    this.isSoftware = isSoftwareRenderer(this.gl);
    this.ct = emptyTexture(this.gl, CT_UNIT, this.gl.TEXTURE_3D);
    this.labels = noLabels(this.gl);
    this.palette = null;
    this.setPalette(new Uint8Array(LABELS * 2 * 4));
  }

  /** Show a volume instead of the one shown before. `pause` runs between slabs, so that the page stays alive. */
  async setVolume(image, pause) {
    const dims = image.hdr.dims;
    if (Math.max(dims[1], dims[2], dims[3]) > this.gl.getParameter(this.gl.MAX_3D_TEXTURE_SIZE)) throw new Error("too large");
    const texture = await uploadHu(this.gl, image, pause);
    this.gl.deleteTexture(this.ct);
    this.ct = texture;
    this.image = image;
    this.engine.show(image);
    this.bind();
  }

  /** Lay a label map over the volume; its grid may be finer or coarser. null takes it away. */
  async setMask(image, pause) {
    this.gl.deleteTexture(this.labels);
    this.labels = image ? await uploadLabels(this.gl, image, pause) : noLabels(this.gl);
    this.mask = image;
    if (this.image) this.bind();
  }

  /** Colours of the labels: 256 x RGBA, the alpha being the strength of the fill, then 256 x RGBA with that of the outline. */
  setPalette(rgba) {
    const gl = this.gl;
    gl.deleteTexture(this.palette);
    this.palette = emptyTexture(gl, PALETTE_UNIT, gl.TEXTURE_2D);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, LABELS, 2);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, LABELS, 2, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  }

  /** The labels that occur in the mask. */
  labelsPresent() {
    const seen = new Uint8Array(LABELS);
    for (const label of this.mask?.img ?? []) seen[label] = 1;
    return [...seen.keys()].filter((label) => label > 0 && seen[label]);
  }

  /** Draw `panes` ({plane, x, y, width, height} in pixels of the page, x from `view.originX`) at a point; a pane also gets its visible range. */
  draw(panes, mm, view, ratio) {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const size = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) [this.canvas.width, this.canvas.height] = size;
    const centre = this.#orthogonal(this.fracOf(view.centre));
    for (const pane of panes) {
      const { across, up } = PLANES[pane.plane];
      const perPixel = view.mmPerPixel[pane.plane];
      pane.range = { left: centre[across] + (pane.width / 2) * perPixel, top: centre[up] + (pane.height / 2) * perPixel, perPixel };
    }
    const engine = this.engine;
    engine.panes = panes;
    engine.customLayout = panes.map((pane) => ({
      sliceType: PLANES[pane.plane].type,
      position: [(pane.x - view.originX) / width, pane.y / height, pane.width / width, pane.height / height],
    }));
    engine.scene.crosshairPos = this.#snapped(this.fracOf(mm));
    engine.drawScene();
  }

  bind() {
    const gl = this.gl;
    for (const [unit, target, texture] of [
      [CT_UNIT, gl.TEXTURE_3D, this.ct], [MASK_UNIT, gl.TEXTURE_3D, this.labels], [PALETTE_UNIT, gl.TEXTURE_2D, this.palette],
    ]) {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(target, texture);
    }
    const { uniforms } = this.#shader();
    gl.uniform1i(uniforms.ct, CT_UNIT);
    gl.uniform1i(uniforms.labels, MASK_UNIT);
    gl.uniform1i(uniforms.palette, PALETTE_UNIT);
    gl.uniform1f(uniforms.outlinePixels, 1.5);
    gl.uniformMatrix4fv(uniforms.toCt, false, textureMatrix(this.image, this.image));
    if (this.mask) gl.uniformMatrix4fv(uniforms.toMask, false, textureMatrix(this.image, this.mask));
    this.setWindow(...this.windowHu);
    this.showMask(this.isMaskShown);
  }

  setWindow(lowHu, widthHu) {
    this.windowHu = [lowHu, widthHu];
    this.gl.uniform2f(this.#shader().uniforms.windowHu, lowHu, Math.max(1, widthHu));
  }

  showMask(isShown) {
    this.isMaskShown = isShown;
    this.gl.uniform1f(this.#shader().uniforms.maskShown, isShown && this.mask ? 1 : 0);
  }

  /** Place of an LPS point on a pane, in pixels. */
  toPane(pane, mm) {
    const place = this.#orthogonal(this.fracOf(mm));
    const { across, up } = PLANES[pane.plane];
    const { left, top, perPixel } = pane.range;
    return [pane.x + (left - place[across]) / perPixel, pane.y + (top - place[up]) / perPixel];
  }

  /** LPS point under a pixel of a pane, on the slice through `mm`. */
  fromPane(pane, x, y, mm) {
    const { across, up } = PLANES[pane.plane];
    const { left, top, perPixel } = pane.range;
    const place = this.#orthogonal(this.fracOf(mm));
    place[across] = left - (x - pane.x) * perPixel;
    place[up] = top - (y - pane.y) * perPixel;
    return this.lpsOf(this.image.convertMM2Frac(place, false));
  }

  fracOf([x, y, z]) {
    return [...this.image.convertMM2Frac([-x, -y, z], true)];
  }

  lpsOf(frac) {
    const [x, y, z] = this.image.convertFrac2MM(frac, true);
    return [-x, -y, z];
  }

  /** Size of the volume along (right-left, front-back, foot-head) in mm of the display. */
  extentMm() {
    const [low, high] = [this.#orthogonal([0, 0, 0]), this.#orthogonal([1, 1, 1])];
    return low.map((value, axis) => Math.abs(high[axis] - value));
  }

  /** Index from 0 of the slice of a plane through a point, as the file counts; null outside. `count` is how many there are. */
  sliceAt(plane, mm) {
    const axis = Math.abs(this.image.permRAS[PLANES[plane].through]) - 1;
    const count = this.image.hdr.dims[axis + 1];
    const index = Math.round(voxelOf(this.image, mm)[axis]);
    return { index: index >= 0 && index < count ? index : null, count };
  }

  /** The point `n` slices on (rising index of the file), held inside the volume. */
  stepped(plane, mm, n) {
    const axis = Math.abs(this.image.permRAS[PLANES[plane].through]) - 1;
    const voxel = voxelOf(this.image, mm);
    voxel[axis] = Math.min(Math.max(Math.round(voxel[axis]) + n, 0), this.image.hdr.dims[axis + 1] - 1);
    return worldOf(this.image, voxel);
  }

  huAt(mm) {
    return valueAt(this.image, mm);
  }

  labelAt(mm) {
    return this.mask ? valueAt(this.mask, mm) ?? 0 : 0;
  }

  destroy() {
    this.engine?.cleanup();
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    this.image = this.mask = this.engine = null;
  }

  #shader() {
    const shader = this.engine.customSliceShader;
    shader.use(this.gl);
    return shader;
  }

  /** Place in niivue's upright display space: the volume's own axes, so that tilted slices stay whole slices. */
  #orthogonal(frac) {
    return [...this.image.convertFrac2MM(frac, false)].slice(0, 3);
  }

  /** The centre of the voxel that holds a point: a slice is shown as it was taken, never between two. */
  #snapped(frac) {
    const dims = this.image.dimsRAS;
    return frac.map((value, axis) => {
      const count = dims[axis + 1];
      return (Math.min(Math.max(Math.floor(value * count), 0), count - 1) + 0.5) / count;
    });
  }
}

/** Niivue that fills each pane with a range we choose, and leaves volumes and text to us. */
class SliceEngine extends Niivue {
  panes = [];

  /** No font, no matcap: both would be fetched from data: addresses, and words are drawn by the page. */
  async initText() {}

  drawLoadingText() {}

  show(image) {
    this.volumes = [image];
    this.back = image;
    this.overlays = [];
    this.updateGLVolume();
  }

  /** Take the geometry of the volume; no texture is painted (see the head of this file). */
  refreshLayers(image, layer) {
    if (layer !== 0) return;
    const size = image.dimsRAS.slice(1).map((count, axis) => count * image.pixDimsRAS[axis + 1]);
    this.volumeObject3D = { fieldOfViewDeObliqueMM: size, extentsMin: [0, 0, 0], extentsMax: size, furthestVertexFromOrigin: 0 };
    this.back.dims = image.dimsRAS;
    this.back.pixDims = image.pixDimsRAS;
  }

  updateGLVolume() {
    if (this.volumes.length > 0) this.refreshLayers(this.volumes[0], 0);
  }

  calculateWidthHeight(sliceType, volScale, width, height) {
    return [width, height];
  }

  screenFieldOfViewExtendedVox(axCorSag) {
    const screen = super.screenFieldOfViewExtendedVox(axCorSag);
    const pane = this.panes.find(({ plane }) => plane === PLANE_OF_TYPE[axCorSag]);
    if (pane) {
      const { left, top, perPixel } = pane.range;
      [screen.mnMM[0], screen.mxMM[0]] = [left - pane.width * perPixel, left];
      [screen.mnMM[1], screen.mxMM[1]] = [top - pane.height * perPixel, top];
      [screen.fovMM[0], screen.fovMM[1]] = [pane.width * perPixel, pane.height * perPixel];
    }
    return screen;
  }
}

function isSoftwareRenderer(gl) {
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  return info ? /swiftshader|llvmpipe|software|basic render/i.test(gl.getParameter(info.UNMASKED_RENDERER_WEBGL)) : false;
}

function emptyTexture(gl, unit, target) {
  const texture = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(target, texture);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(target, name, gl.NEAREST);
  for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) gl.texParameteri(target, name, gl.CLAMP_TO_EDGE);
  return texture;
}

/** A label map of one empty voxel: the shader reads from something before there is a mask. */
function noLabels(gl) {
  const texture = emptyTexture(gl, MASK_UNIT, gl.TEXTURE_3D);
  gl.texStorage3D(gl.TEXTURE_3D, 1, gl.R8UI, 1, 1, 1);
  return texture;
}

/** HU as half floats: exact up to 2048 HU, within 1 HU up to 4096, and the card interpolates them. */
async function uploadHu(gl, image, pause) {
  const { scl_slope: slope, scl_inter: intercept } = image.hdr;
  const half = halfFloats();
  const isPlain = image.img instanceof Int16Array && slope === 1 && intercept === 0;
  const convert = (values) => {
    const out = new Uint16Array(values.length);
    if (isPlain) for (let k = 0; k < out.length; k++) out[k] = half[values[k] + 32768];
    else for (let k = 0; k < out.length; k++) out[k] = half[clampedHu(values[k] * slope + intercept) + 32768];
    return out;
  };
  const texture = await uploadSlabs(gl, image, CT_UNIT, [gl.R16F, gl.RED, gl.HALF_FLOAT], convert, pause);
  gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
  gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
  return texture;
}

async function uploadLabels(gl, image, pause) {
  const convert = (values) => (values instanceof Uint8Array ? values : Uint8Array.from(values, (v) => (v > 0 && v < LABELS ? v : 0)));
  return uploadSlabs(gl, image, MASK_UNIT, [gl.R8UI, gl.RED_INTEGER, gl.UNSIGNED_BYTE], convert, pause);
}

async function uploadSlabs(gl, image, unit, [inside, format, type], convert, pause) {
  const [width, height, depth] = image.hdr.dims.slice(1, 4);
  const texture = emptyTexture(gl, unit, gl.TEXTURE_3D);
  gl.texStorage3D(gl.TEXTURE_3D, 1, inside, width, height, depth);
  const step = Math.max(1, Math.floor(SLAB_BYTES / (width * height * 2)));
  for (let first = 0; first < depth; first += step) {
    const count = Math.min(step, depth - first);
    const values = convert(image.img.subarray(first * width * height, (first + count) * width * height));
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_3D, texture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, first, width, height, count, format, type, values);
    if (pause) await pause((first + count) / depth);
  }
  gl.bindTexture(gl.TEXTURE_3D, texture);
  return texture;
}

const clampedHu = (value) => Math.min(Math.max(Math.round(value), -32768), 32767);

let halfTable = null;

/** The half float of each int16, by value + 32768. */
function halfFloats() {
  if (halfTable) return halfTable;
  halfTable = new Uint16Array(65536);
  for (let value = -32768; value < 32768; value++) {
    const size = Math.abs(value);
    if (size === 0) continue;
    const exponent = 31 - Math.clz32(size);
    const bits = ((exponent + 15) << 10) + Math.round((size / 2 ** exponent - 1) * 1024);
    halfTable[value + 32768] = bits | (value < 0 ? 0x8000 : 0);
  }
  return halfTable;
}

/** Matrix (column major) from [0..1] of one volume, RAS order, to texture coordinates of another, file order. */
function textureMatrix(from, to) {
  const place = (frac) => {
    const [x, y, z] = from.convertFrac2MM(frac, true);
    return voxelOf(to, [-x, -y, z]).map((value, axis) => (value + 0.5) / to.hdr.dims[axis + 1]);
  };
  const origin = place([0, 0, 0]);
  const columns = [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map((corner) => place(corner).map((value, axis) => value - origin[axis]));
  return new Float32Array([...columns.flatMap((column) => [...column, 0]), ...origin, 1]);
}

/** Voxel index (column, row, slice; fractional) of an LPS point, as the file counts. */
function voxelOf(image, [x, y, z]) {
  const [a, b, c] = image.hdr.affine;
  const [p, q, r] = [-x - a[3], -y - b[3], z - c[3]];
  const cofactor = [b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]];
  const det = a[0] * cofactor[0] + a[1] * cofactor[1] + a[2] * cofactor[2];
  return [
    (cofactor[0] * p + (a[2] * c[1] - a[1] * c[2]) * q + (a[1] * b[2] - a[2] * b[1]) * r) / det,
    (cofactor[1] * p + (a[0] * c[2] - a[2] * c[0]) * q + (a[2] * b[0] - a[0] * b[2]) * r) / det,
    (cofactor[2] * p + (a[1] * c[0] - a[0] * c[1]) * q + (a[0] * b[1] - a[1] * b[0]) * r) / det,
  ];
}

function worldOf(image, voxel) {
  const [x, y, z] = image.hdr.affine.slice(0, 3).map((row) => row[0] * voxel[0] + row[1] * voxel[1] + row[2] * voxel[2] + row[3]);
  return [-x, -y, z];
}

function valueAt(image, mm) {
  const dims = image.hdr.dims;
  const [i, j, k] = voxelOf(image, mm).map(Math.round);
  if (i < 0 || j < 0 || k < 0 || i >= dims[1] || j >= dims[2] || k >= dims[3]) return null;
  return image.img[i + dims[1] * (j + dims[2] * k)] * image.hdr.scl_slope + image.hdr.scl_inter;
}
