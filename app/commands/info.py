"""``medomni info``: what a study holds and which series a draft would use; alone, what is installed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app import options
from app.options import Json

if TYPE_CHECKING:
    from medomni.types.study import Study

OptionalSource = Annotated[
    Path | None, typer.Argument(metavar="[STUDY]", help="CT study to look into; without it, versions and plug-ins.")
]
PACKAGES = (
    "numpy",
    "scipy",
    "pydicom",
    "python-gdcm",
    "nibabel",
    "torch",
    "monai",
    "openvino",
    "fhir.resources",
    "mlflow",
    "pydantic",
)


def info(source: OptionalSource = None, as_json: Json = False) -> None:
    """Show the series of a study and the one a draft would use, with identifiers masked; alone, what is installed."""
    from app import wiring

    settings = wiring.start()
    facts = _installed() if source is None else _study_facts(source)
    if source is None:
        facts["settings"] = settings.model_dump(mode="json")
    if as_json:
        options.answer_json(facts)
    else:
        options.answer("\n".join(_lines(facts)))


def _installed() -> dict[str, object]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from medomni import __version__, plugins

    def found(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    return {
        "medomni": __version__,
        "python": platform.python_version(),
        "packages": {name: found(name) for name in PACKAGES},
        "plugins": {group.value: list(plugins.names(group)) for group in plugins.Group},
    }


def _study_facts(source: Path) -> dict[str, object]:
    from medomni.reporting.phrases import notice_text
    from preprocessing.dicom import open_study

    study = open_study(source)
    grid = study.grid
    return {
        "source": study.source_name,
        "series": [series.model_dump() for series in study.series],
        "descriptions": list(study.descriptions),
        "geometry": {
            "slices_rows_columns": list(grid.shape),
            "spacing_mm": [round(step, 4) for step in grid.spacing_mm],
            "is_uniform": grid.is_uniform,
            "is_side_known": grid.is_side_known,
            "row_direction": [round(float(part), 4) for part in grid.row_direction],
            "column_direction": [round(float(part), 4) for part in grid.column_direction],
        },
        "acquisition": study.acquisition.model_dump(mode="json"),
        "patient": {"sex": study.sex, "age_years": study.age_years} | _masked(study),
        "notices": [{"code": notice.code, "text": notice_text(notice, "en")} for notice in study.notices],
    }


def _masked(study: "Study") -> dict[str, object]:
    """Which identifiers are stated, never what they say."""
    stated = study.identity.model_dump(exclude={"is_study_uid_substituted"})
    return {name: "stated" if value else "not stated" for name, value in stated.items()}


def _lines(value: object, indent: int = 0) -> list[str]:
    """An indented outline of nested facts."""
    pad = "  " * indent
    if isinstance(value, dict):
        lines: list[str] = []
        for key, inner in value.items():
            is_short = not isinstance(inner, dict | list) or _is_flat(inner)
            lines += [f"{pad}{key}: {_short(inner)}"] if is_short else [f"{pad}{key}:", *_lines(inner, indent + 1)]
        return lines
    if isinstance(value, list):
        return [line for item in value for line in _item(item, indent)]
    return [f"{pad}{_short(value)}"]


def _item(item: object, indent: int) -> list[str]:
    first, *rest = _lines(item, indent + 1) or [""]
    return ["  " * indent + "- " + first.lstrip(), *rest]


def _is_flat(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, int | float) for item in value)


def _short(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_short(item) for item in value) or "none"
    text = "not stated" if value is None or value == "" else str(value)
    return "".join(character if character.isprintable() else "?" for character in text)
