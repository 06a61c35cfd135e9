"""A page of all cases in a folder: pictures with outlined lesions, history, findings and links, in one file.

    OUT/case-*/ -> gallery.html

The pictures are part of the page; the links lead to the case folders beside it.
"""

import base64
import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medomni.phantom.picture import colour_of

MOST_CASES = 500
"""Cases on one page; a browser is slow beyond."""
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 0; background: #14171a; color: #e6e6e6; }
header { padding: 18px 24px; } h1 { font-size: 21px; margin: 0 0 4px; } header p { margin: 0; color: #9aa4ad; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(430px, 1fr)); gap: 16px; padding: 0 24px 32px; }
article { background: #1e2327; border-radius: 8px; padding: 14px; }
h2 { font-size: 16px; margin: 0 0 8px; display: flex; gap: 12px; justify-content: space-between; white-space: nowrap; }
h2 small { color: #9aa4ad; font-weight: 400; overflow: hidden; text-overflow: ellipsis; }
figure { margin: 0; display: grid; grid-template-columns: 1fr 1fr; gap: 8px; align-items: center; }
img { width: 100%; border-radius: 4px; background: #000; } p { margin: 8px 0; }
ul { list-style: none; margin: 8px 0; padding: 0; } li { margin: 2px 0; }
li i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 7px; }
a { color: #7cc4ff; margin-right: 12px; } .normal { color: #7fd39a; } details pre { white-space: pre-wrap; color: #c6ced4; }
"""
_FILES = (
    *(("DICOM", "dicom"), ("truth", "truth.json"), ("report", "report.txt"), ("报告", "report_zh.txt")),
    *(("dictation", "dictation.txt"), ("prior", "prior")),
)


def write_gallery(out: Path, target: Path) -> Path:
    """Write the page of the cases in ``out`` to ``target`` and return it."""
    folders = sorted(folder for folder in out.glob("case-*") if (folder / "truth.json").is_file())
    shown = folders[:MOST_CASES]
    rest = f" The first {len(shown)} are shown." if len(shown) < len(folders) else ""
    title = f"{len(folders)} phantom{'s' if len(folders) != 1 else ''}"
    with target.open("w", encoding="utf-8") as page:
        page.write(f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>')
        page.write(f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>')
        page.write(f"<header><h1>{title}</h1><p>Computed, not from any person. Outlines show where disease was drawn.{rest}</p>")
        page.write("</header><main>")
        for folder in shown:
            page.writelines(_card(folder))
        page.write("</main></body></html>\n")
    return target


def _card(folder: Path) -> Iterator[str]:
    truth: dict[str, Any] = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    language = truth["dictation_language"] or "en"
    suffix = "" if language == "en" else "_zh"
    technique = truth["technique"]
    contrast = "" if technique["contrast_phase"] == "none" else f" · {technique['contrast_phase'].replace('_', ' ')} phase"
    about = f"{truth['region']} · {technique['kernel'].lower()} · {technique['slice_thickness_mm']:g} mm{contrast}"
    yield f'<article id="{folder.name}"><h2>{folder.name}<small>{html.escape(about)}</small></h2><figure>'
    for view in ("coronal", "axial"):
        data = base64.b64encode((folder / f"{view}.png").read_bytes()).decode("ascii")
        yield f'<img alt="{view} slice of {folder.name}" src="data:image/png;base64,{data}">'
    yield f"</figure><p>{html.escape(truth['history'][language])}</p><ul>"
    names = tuple(truth["outlined"])
    present = [finding for finding in truth["findings"] if finding["presence"] == "present"]
    for finding in present:
        yield f"<li>{_swatch(finding['label'], names)}{html.escape(_line(finding))}</li>"
    if not present:
        yield '<li class="normal">normal</li>'
    report = (folder / f"report{suffix}.txt").read_text(encoding="utf-8")
    yield f"</ul><details><summary>Reference report</summary><pre>{html.escape(report)}</pre></details><p>"
    yield "".join(f'<a href="{folder.name}/{file}">{name}</a>' for name, file in _FILES if (folder / file).exists())
    yield "</p></article>"


def _swatch(label: str, names: tuple[str, ...]) -> str:
    name = "nodule" if label == "lung_nodule" else label
    colour = "rgb({}, {}, {})".format(*colour_of(name, names)) if name in names else "transparent"
    return f'<i style="background: {colour}"></i>'


def _line(finding: dict[str, Any]) -> str:
    """One finding in plain words: name, side and the sizes of its instances."""
    words = [finding["label"].replace("_", " ")]
    if finding["laterality"]:
        words.append(finding["laterality"])
    sizes = [f"{_size(instance)} {instance['change']}".strip() for instance in finding["instances"]]
    return " · ".join([" ".join(words), *(size for size in sizes if size)])


def _size(instance: dict[str, Any]) -> str:
    measured = instance["measurements"]
    for name in ("mean_diameter", "thickness", "short_diameter", "length", "long_diameter"):
        if name in measured:
            return f"{measured[name]:.0f} mm"
    if "cardiothoracic_ratio" in measured:
        return f"ratio {measured['cardiothoracic_ratio']:.2f}"
    if measured.get("volume", 0) >= 1 and not instance["kind"].endswith(("material", "calcification")):
        return f"{measured['volume']:.0f} mL"
    return str(instance["variant"] or instance["severity"]).replace("_", " ")
