/* Fixed tables of the CT viewer: words, HU windows, planes and mask colours. It knows nothing about pages or pixels. */

export const WINDOWS = {
  lung: { center: -600, width: 1500 },
  mediastinum: { center: 40, width: 400 },
  bone: { center: 400, width: 1800 },
  brain: { center: 40, width: 80 },
  abdomen: { center: 50, width: 350 },
};

export const LAYOUTS = ["axial", "coronal", "sagittal", "mpr"];
export const TOOLS = ["crosshair", "distance", "window", "pan"];

/* Lesions are strong, organs pale: a reader must see the finding first and the anatomy through its colour. */
const LESIONS = {
  nodule: [255, 176, 32],
  lung_opacity: [255, 84, 78],
  consolidation: [255, 84, 78],
  pleural_effusion: [38, 205, 226],
  pericardial_effusion: [150, 130, 255],
  low_attenuation: [255, 221, 87],
  lymph_node: [255, 122, 196],
  hiatal_hernia: [240, 150, 90],
  coronary_artery_wall_calcification: [120, 255, 120],
  arterial_wall_calcification: [190, 255, 60],
  medical_material: [90, 150, 255],
  atelectasis: [214, 92, 236],
  pulmonary_fibrotic_sequela: [206, 176, 255],
  bronchiectasis: [64, 224, 170],
  peribronchial_thickening: [150, 235, 215],
  interlobular_septal_thickening: [255, 200, 160],
  mosaic_attenuation_pattern: [170, 200, 110],
  kidney_cyst_left: [94, 214, 160],
  kidney_cyst_right: [94, 214, 160],
};
const ORGANS = {
  lung_upper_lobe_left: [122, 170, 214],
  lung_lower_lobe_left: [110, 140, 200],
  lung_upper_lobe_right: [128, 196, 190],
  lung_middle_lobe_right: [160, 205, 170],
  lung_lower_lobe_right: [104, 168, 176],
  lung_left: [122, 170, 214],
  lung_right: [128, 196, 190],
  lung: [122, 180, 205],
  airway: [196, 222, 236],
  trachea: [196, 222, 236],
  heart: [206, 120, 124],
  aorta: [214, 142, 128],
  pulmonary_artery: [134, 150, 214],
  superior_vena_cava: [120, 136, 206],
  inferior_vena_cava: [112, 128, 196],
  esophagus: [196, 168, 130],
  vertebrae: [222, 212, 178],
  ribs: [206, 198, 166],
  sternum: [214, 205, 172],
  bone: [214, 206, 180],
  liver: [180, 134, 110],
  spleen: [170, 122, 168],
  kidney_right: [190, 150, 110],
  kidney_left: [202, 162, 118],
  kidney: [196, 156, 114],
  stomach: [176, 186, 130],
  pancreas: [216, 190, 134],
  gallbladder: [138, 190, 130],
  urinary_bladder: [206, 200, 130],
  prostate: [196, 154, 178],
  brain: [196, 180, 196],
  body: [120, 128, 138],
};

/* The outer contour would tint everything. */
const HIDDEN_AT_FIRST = new Set(["body"]);

/** How one structure is painted: colour, strength of fill and outline (0..1), whether it is a lesion and shown at first. */
export function paintOf(name) {
  const isLesion = name in LESIONS;
  return {
    rgb: LESIONS[name] ?? ORGANS[name] ?? paleColour(name),
    fill: isLesion ? 0.38 : 0.1,
    outline: isLesion ? 0.95 : 0,
    isLesion,
    isShown: !HIDDEN_AT_FIRST.has(name),
  };
}

/** Colours of the labels as `Scene.setPalette` takes them; `paints` maps a label to its name and paint. */
export function paletteOf(paints, lit, hidden, opacity) {
  const rgba = new Uint8Array(256 * 2 * 4);
  for (const [label, { name, rgb, fill, outline }] of paints) {
    const isLit = lit.includes(name);
    const strength = lit.length === 0 || isLit ? 1 : 0.35;
    const isShown = isLit || !hidden.has(name);
    const inside = isShown ? Math.min(1, (isLit ? Math.max(fill, 0.4) : fill) * strength * 2 * opacity) : 0;
    const line = isShown && opacity > 0 ? (isLit ? 1 : outline * strength) : 0;
    rgba.set([...rgb, Math.round(255 * inside)], label * 4);
    rgba.set([...rgb, Math.round(255 * line)], (256 + label) * 4);
  }
  return rgba;
}

/** A calm colour for a structure without one of its own: the same name always gets the same hue. */
function paleColour(name) {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) % 360;
  const part = (shift) => 165 + Math.round(45 * Math.cos(((hash + shift) * Math.PI) / 180));
  return [part(0), part(240), part(120)];
}

const EN = {
  images: "CT images",
  toolbar: "Image tools",
  layout: "Layout",
  axial: "Axial",
  coronal: "Coronal",
  sagittal: "Sagittal",
  mpr: "Three planes",
  window: "Window",
  lung: "Lung",
  mediastinum: "Mediastinum",
  bone: "Bone",
  brain: "Brain",
  abdomen: "Abdomen",
  tool: "Tool",
  crosshair: "Crosshair",
  distance: "Measure distance",
  window_tool: "Adjust window by dragging",
  pan: "Move the image",
  zoom_in: "Zoom in",
  zoom_out: "Zoom out",
  reset: "Reset view",
  mask: "Outlines",
  mask_list: "Choose outlines",
  opacity: "Opacity",
  show_all: "All",
  show_lesions: "Lesions only",
  show_none: "None",
  prior: "Prior study",
  prior_short: "Prior",
  current: "Current",
  prior_note: "Prior: same position in mm, not registered",
  help: "Keys and mouse",
  close: "Close",
  remove_distance: "Remove measurement",
  clear_distances: "Remove all measurements",
  slice: "slice {n} of {of}", position: "Position of the crosshair: left, back and up, in mm",
  outside: "outside the images",
  loading_images: "Loading the images …",
  unpacking: "Unpacking the images …",
  preparing: "Preparing the display …",
  loading_mask: "Loading the outlines …",
  loading_prior: "Loading the prior study …",
  failed: "The images could not be shown",
  failed_what: "The connection may be interrupted, or the file is damaged. The report can still be edited.",
  retry: "Try again",
  no_webgl: "This browser cannot show the images",
  no_webgl_what: "The viewer needs WebGL 2. Update the browser, switch on hardware acceleration, or use another computer.",
  lost: "The graphics memory was taken away",
  lost_what: "Another program may need it. Try again to load the images anew.",
  too_large: "The volume is larger than this graphics card can hold.",
  mask_failed: "The outlines could not be loaded.",
  mask_none: "No outlines for this study.",
  prior_failed: "The prior study could not be loaded.",
  prior_none: "There is no prior study.",
  keys_scroll: "scroll slices",
  keys_wheel: "↑ ↓, wheel",
  keys_windows: "windows",
  keys_layouts: "layouts",
  keys_mask: "outlines on or off",
  keys_distance: "measure a distance",
  keys_escape: "crosshair",
  keys_zoom: "zoom",
  keys_ctrl_wheel: "+ −, Ctrl wheel",
  keys_reset: "reset view",
  keys_prior: "prior study",
  keys_right_drag: "right drag",
  keys_middle_drag: "middle drag",
  keys_delete: "remove the last measurement",
};

const ZH = {
  images: "CT 图像", toolbar: "图像工具", layout: "布局", axial: "横断面", coronal: "冠状面", sagittal: "矢状面", mpr: "三平面",
  window: "窗", lung: "肺窗", mediastinum: "纵隔窗", bone: "骨窗", brain: "脑窗", abdomen: "腹部窗", tool: "工具", crosshair: "定位线",
  distance: "测量距离", window_tool: "拖动调窗", pan: "移动图像", zoom_in: "放大", zoom_out: "缩小", reset: "复位", mask: "轮廓",
  mask_list: "选择轮廓", opacity: "不透明度", show_all: "全部", show_lesions: "仅病灶", show_none: "无", prior: "既往检查",
  prior_short: "既往", current: "本次", prior_note: "既往:按毫米坐标对应,未配准", help: "按键与鼠标", close: "关闭",
  remove_distance: "删除测量", clear_distances: "删除全部测量", slice: "第 {n} / {of} 层", position: "十字线位置：左、后、上（毫米）", outside: "图像范围外",
  loading_images: "正在载入图像…", unpacking: "正在解压图像…", preparing: "正在准备显示…", loading_mask: "正在载入轮廓…",
  loading_prior: "正在载入既往检查…", failed: "图像无法显示", failed_what: "网络可能中断,或文件已损坏。报告仍可编辑。", retry: "重试",
  no_webgl: "此浏览器无法显示图像", no_webgl_what: "阅片需要 WebGL 2。请更新浏览器、开启硬件加速或更换电脑。",
  lost: "显存已被收回", lost_what: "可能被其他程序占用。请重试以重新载入图像。", too_large: "图像超出显卡可容纳的大小。",
  mask_failed: "轮廓无法载入。", mask_none: "本次检查没有轮廓。", prior_failed: "既往检查无法载入。", prior_none: "没有既往检查。",
  keys_scroll: "翻层", keys_wheel: "↑ ↓、滚轮", keys_windows: "窗", keys_layouts: "布局", keys_mask: "显示或隐藏轮廓",
  keys_distance: "测量距离", keys_escape: "定位线", keys_zoom: "缩放", keys_ctrl_wheel: "+ −、Ctrl 滚轮", keys_reset: "复位",
  keys_prior: "既往检查", keys_right_drag: "右键拖动", keys_middle_drag: "中键拖动", keys_delete: "删除最后一次测量",
};

/** The words of a language with the page's own words over them. */
export function wordsFor(language, own = {}) {
  return { ...EN, ...(language === "zh" ? ZH : {}), ...own };
}

/** A number with a true minus sign. */
export function signed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}
