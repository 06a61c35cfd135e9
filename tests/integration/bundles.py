"""A FHIR bundle without the moments at which it was written, so that two writings of one draft can be compared."""

import json
from pathlib import Path

FHIR = "fhir-r4.json"
MOMENTS = {"recorded", "_recorded", "issued", "timestamp"}


def timeless(path: Path) -> object:
    """The bundle in a file, without its moments."""
    return _without(json.loads(path.read_text(encoding="utf-8")))


def _without(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without(item) for key, item in value.items() if key not in MOMENTS}
    return [_without(item) for item in value] if isinstance(value, list) else value
