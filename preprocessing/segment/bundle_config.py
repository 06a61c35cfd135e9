"""Reads a local MONAI bundle's configuration into a plan, without running any code the bundle brings.

A bundle's configuration may hold ``$`` expressions, which MONAI runs as Python. Here only arithmetic, comparisons, choices and
references (``@name``) are worked out; anything else is refused by name unless the person said they trust the bundle.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from medomni.errors import BadInput
from preprocessing.segment.bundle_expression import Config, Json, TrustedEvaluator, quote

Spacing = tuple[float | None, float | None, float | None]

_MAX_BYTES = 4_000_000
_SETTINGS = (
    *("axcodes", "pixdim", "a_min", "a_max", "b_min", "b_max", "clip", "subtrahend", "divisor", "nonzero"),
    *("minv", "maxv", "factor", "sigmoid"),
)
"""The settings of transforms that are read; all others (keys, file names, readers) are left alone."""
_HARMLESS = (
    *("LoadImage", "EnsureType", "EnsureChannelFirst", "AddChannel", "ToTensor", "CastToType", "DivisiblePad"),
    *("SpatialPad", "Identity", "SelectItems", "DeleteItems", "ToDevice"),
)
_CROPS = ("CropForeground",)


@dataclass(frozen=True)
class IntensityStep:
    """One intensity transform of the bundle: ``kind`` is range, normalize or rescale; ``numbers`` are its settings."""

    kind: str
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class BundlePlan:
    """What a bundle says about its network and how to feed it.

    ``spacing_mm`` counts along ``axcodes`` (None keeps the study's own spacing on that axis). ``channels`` maps output
    channel to the bundle's label. Each side of an image must be a multiple of ``divisor`` when it is inferred whole.
    """

    name: str
    version: str
    channels: Mapping[int, str]
    axcodes: str
    spacing_mm: Spacing
    intensity: tuple[IntensityStep, ...]
    roi_size: tuple[int, int, int]
    overlap: float
    blend: str
    padding: str
    divisor: int
    has_sigmoid: bool
    weights_stem: str
    ignored: tuple[str, ...]


def read_plan(folder: Path, trusted: TrustedEvaluator | None = None) -> BundlePlan:
    """Return the plan of a bundle folder.

    Raises:
        BadInput: the folder is no segmentation bundle for one CT channel, or needs code that was not trusted.
    """
    metadata = _as_table(_read(_config_file(folder, "metadata")), "configs/metadata")
    config = Config(_as_table(_read(_config_file(folder, "inference")), "configs/inference"), trusted)
    steps = _transforms(config, "preprocessing")
    axcodes, spacing, intensity, ignored = _read_preprocessing(steps)
    inferer = {key: config.get(f"inferer#{key}", None) for key in ("roi_size", "overlap", "mode", "padding_mode")}
    return BundlePlan(
        name=str(metadata.get("name") or folder.resolve().name),
        version=str(metadata.get("version", "")),
        channels=_channels(metadata),
        axcodes=axcodes,
        spacing_mm=spacing,
        intensity=intensity,
        roi_size=_roi_size(inferer, metadata),
        overlap=_number(0.25 if inferer["overlap"] is None else inferer["overlap"], "inferer#overlap", 0, 0.95),
        blend="gaussian" if inferer["mode"] == "gaussian" else "constant",
        padding=str(inferer["padding_mode"] or "constant"),
        divisor=_divisor(metadata),
        has_sigmoid=any(step.get("sigmoid") is True for step in _transforms(config, "postprocessing")),
        weights_stem=_weights_stem(config),
        ignored=ignored,
    )


def read_network(folder: Path, trusted: TrustedEvaluator | None = None) -> Mapping[str, Json]:
    """Return the bundle's network definition (``_target_`` and settings); empty when the configuration holds none.

    Raises:
        BadInput: its settings need code that was not trusted.
    """
    config = Config(_as_table(_read(_config_file(folder, "inference")), "configs/inference"), trusted)
    for name in ("network_def", "network"):
        raw = config.table.get(name)
        if isinstance(raw, dict) and "_target_" in raw:
            return _as_table(config.get(name, {}), name)
    return {}


def config_files(folder: Path) -> tuple[Path, ...]:
    """The configuration files a plan is read from."""
    return (_config_file(folder, "metadata"), _config_file(folder, "inference"))


def _config_file(folder: Path, stem: str) -> Path:
    for suffix in (".json", ".yaml", ".yml"):
        path = folder / "configs" / f"{stem}{suffix}"
        if path.is_file():
            return path
    raise BadInput(
        "not a MONAI bundle for inference",
        found=f"no configs/{stem}.json or .yaml",
        remedy="give the folder that holds configs/ and models/",
        where=folder.name,
    )


def _read(path: Path) -> object:
    if path.stat().st_size > _MAX_BYTES:
        raise BadInput("the bundle's configuration is too large", found=f"over {_MAX_BYTES} bytes", where=path.name)
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        if path.suffix == ".json":
            return json.loads(text)
        import yaml  # type: ignore[import-untyped]

        if re.search(r"(^|\s)[&*]\w", text):
            raise ValueError("aliases")  # a few nested aliases can grow without bound
        return yaml.safe_load(text)
    except (ValueError, RecursionError, ImportError) as error:
        raise BadInput("the bundle's configuration cannot be read", found=type(error).__name__, where=path.name) from None
    except Exception as error:
        if type(error).__module__.startswith("yaml"):
            raise BadInput("the bundle's configuration is no YAML", found=type(error).__name__, where=path.name) from None
        raise


def _as_table(value: object, place: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise BadInput("the bundle's configuration has a part of the wrong kind", found=f"{place} is no table")
    return value


def _transforms(config: Config, name: str) -> list[dict[str, Json]]:
    """The transforms of a Compose, each worked out alone: paths and data lists in them are never needed."""
    listed = config.table.get(name)
    raw = listed.get("transforms") if isinstance(listed, dict) else listed
    if isinstance(raw, str):
        raw = config.get(f"{name}#transforms" if isinstance(listed, dict) else name, [])
    found: list[dict[str, Json]] = []
    for index, item in enumerate(raw if isinstance(raw, list) else []):
        if not isinstance(item, dict) or item.get("_disabled_") is True:
            continue
        place = f"{name}#transforms#{index}" if isinstance(listed, dict) else f"{name}#{index}"
        wanted = {key: config.get(f"{place}#{key}", None) for key in item if key in _SETTINGS}
        found.append({**wanted, "_target_": str(item.get("_target_", ""))})
    return found


def _read_preprocessing(
    steps: list[dict[str, Json]],
) -> tuple[str, Spacing, tuple[IntensityStep, ...], tuple[str, ...]]:
    axcodes = "LPS"
    spacing: Spacing = (None, None, None)
    intensity: list[IntensityStep] = []
    ignored: list[str] = []
    for step in steps:
        name = re.sub(r"(d|D|Dict)$", "", str(step["_target_"]).rsplit(".", 1)[-1])
        if name == "Orientation":
            axcodes = _axcodes(step.get("axcodes"))
        elif name == "Spacing":
            spacing = _spacing(step.get("pixdim"))
        elif name in ("ScaleIntensityRange", "NormalizeIntensity", "ScaleIntensity"):
            intensity.append(_intensity(name, step))
        elif name in _CROPS:
            ignored.append(name)
        elif name not in _HARMLESS:
            raise BadInput(
                "the bundle prepares its images in a way that is not supported",
                found=quote(str(step["_target_"])),
                remedy="use a bundle with Orientation, Spacing and intensity scaling only",
            )
    return axcodes, spacing, tuple(intensity), tuple(ignored)


def _axcodes(value: Json) -> str:
    text = "".join(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else str(value)  # type: ignore[arg-type]
    groups = [next((g for g, letters in enumerate(("RL", "AP", "SI")) if letter in letters), -1) for letter in text]
    if sorted(groups) != [0, 1, 2]:
        raise BadInput(
            "the bundle's orientation is unknown", found=quote(text), remedy="use RAS or another code of three letters"
        )
    return text


def _spacing(value: Json) -> Spacing:
    numbers = value if isinstance(value, list) else [value] * 3
    if len(numbers) != 3:
        raise BadInput("the bundle's spacing needs three numbers", found=f"{len(numbers)}")
    a, b, c = (None if n is None or n == -1 else _number(n, "pixdim", 0.1, 50) for n in numbers)
    return (a, b, c)


def _intensity(name: str, step: dict[str, Json]) -> IntensityStep:
    keys: tuple[str, ...]
    if name == "ScaleIntensityRange":
        keys, kind = ("a_min", "a_max", "b_min", "b_max", "clip"), "range"
        step = {"b_min": 0.0, "b_max": 1.0, "clip": False, **{k: v for k, v in step.items() if v is not None}}
    elif name == "NormalizeIntensity":
        keys, kind = ("subtrahend", "divisor", "nonzero"), "normalize"
    else:
        keys, kind = ("minv", "maxv"), "rescale"
        step = {"minv": 0.0, "maxv": 1.0, **step}
        if step.get("factor") is not None:
            raise BadInput("the bundle scales intensity by a factor, which is not supported", found="ScaleIntensity factor")
    if any(isinstance(step.get(key), list) for key in keys):
        step = {k: (v[0] if isinstance(v, list) and len(v) == 1 else v) for k, v in step.items()}
    numbers = {key: _number(step[key], key, -1e6, 1e6) for key in keys if step.get(key) is not None}
    if kind == "range" and (len(numbers) < 5 or numbers["a_max"] <= numbers["a_min"]):
        raise BadInput("the bundle's intensity range is empty", found="a_min is not below a_max")
    return IntensityStep(kind, numbers)


def _number(value: Json, place: str, low: float, high: float) -> float:
    if isinstance(value, list) and value and all(item == value[0] for item in value):
        value = value[0]
    if not isinstance(value, int | float) or not low <= value <= high:
        raise BadInput(
            "the bundle's configuration has a number out of range", found=place, remedy=f"expected {low:g} to {high:g}"
        )
    return float(value)


def _roi_size(inferer: dict[str, Json], metadata: dict[str, Json]) -> tuple[int, int, int]:
    wanted = inferer["roi_size"]
    if wanted is None:
        inputs = _first_format(metadata, "inputs")
        shape = inputs.get("spatial_shape")
        wanted = shape if isinstance(shape, list) and all(isinstance(n, int) for n in shape) else [96, 96, 96]
    sizes = wanted if isinstance(wanted, list) else [wanted] * 3
    if len(sizes) != 3:
        raise BadInput(
            "the bundle's window needs three sizes", found=f"{len(sizes)} in inferer#roi_size", remedy="use a 3D bundle"
        )
    a, b, c = (int(_number(size, "inferer#roi_size", 1, 512)) for size in sizes)
    return (a, b, c)


def _divisor(metadata: dict[str, Json]) -> int:
    """The k of a spatial shape of ``k*n``, as MONAI's metadata schema writes "any multiple of k"; 1 where none is stated."""
    shape = _first_format(metadata, "inputs").get("spatial_shape")
    stated = [re.fullmatch(r"(\d{1,3})\s*\*\s*n", str(size)) for size in shape] if isinstance(shape, list) else []
    return max([1, *(int(match[1]) for match in stated if match)])


def _channels(metadata: dict[str, Json]) -> dict[int, str]:
    """Output channel to label name, without the background."""
    outputs = _first_format(metadata, "outputs")
    named = outputs.get("channel_def") or metadata.get("labels")
    pairs: list[tuple[object, object]] = []
    if isinstance(named, list):
        pairs = list(enumerate(named))
    elif isinstance(named, dict):
        pairs = [(v, k) if isinstance(v, int) else (k, v) for k, v in named.items()]
    channels = {int(str(k)): str(v)[:80] for k, v in pairs if str(k).isdigit() and int(str(k)) < 4096}
    if not channels:
        raise BadInput(
            "the bundle does not name its labels",
            found="no channel_def and no labels in its metadata",
            remedy="add network_data_format/outputs/pred/channel_def to configs/metadata.json",
        )
    inputs = _first_format(metadata, "inputs").get("num_channels", 1)
    if inputs != 1:
        raise BadInput(
            "the bundle wants more than one image", found=f"{quote(str(inputs))} input channels", remedy="use a CT bundle"
        )
    return {k: v for k, v in sorted(channels.items()) if v.strip().lower() not in ("background", "bg", "")}


def _first_format(metadata: dict[str, Json], side: str) -> dict[str, Json]:
    formats = metadata.get("network_data_format")
    entries = formats.get(side) if isinstance(formats, dict) else None
    first = next(iter(entries.values()), None) if isinstance(entries, dict) else None
    return first if isinstance(first, dict) else {}


def _weights_stem(config: Config) -> str:
    """The file stem of the weights that the configuration loads; "model" when it does not say so plainly."""
    try:
        path = config.get("checkpointloader#load_path", "model.pt")
    except BadInput:
        return "model"
    stem = Path(str(path)).stem
    return stem if re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", stem) else "model"
