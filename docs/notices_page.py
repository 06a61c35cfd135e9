"""Writes docs/reference/notices.md from medomni/data/notices.toml: ``python docs/notices_page.py``, or ``make docs``."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "notices.md"
HEAD = """# Notices

A notice states a limit of one draft. It stands in `report.json` as a code with fields, and in the draft in its own language.
`make docs` makes this table from `medomni/data/notices.toml`; names in braces are filled with plain numbers and file names.

| code | English | Chinese |
|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    table = tomllib.loads((ROOT / "medomni" / "data" / "notices.toml").read_text(encoding="utf-8"))
    rows = (f"| `{code}` | {_cell(words['en'])} | {_cell(words['zh'])} |\n" for code, words in sorted(table.items()))
    return HEAD + "".join(rows)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
