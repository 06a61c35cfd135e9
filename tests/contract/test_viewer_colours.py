"""Each mask that a detector can hand on has a colour of its own in the viewer; a consolidation shares that of an opacity."""

import re
from pathlib import Path

import app.web
from preprocessing.detect.proofs import NAMES

WORDS = Path(app.web.__file__).parent / "static/viewer_words.js"


def test_each_mask_of_a_finding_is_painted_as_a_lesion_in_its_own_colour():
    table = re.search(r"const LESIONS = \{(.*?)\};", WORDS.read_text(encoding="utf-8"), re.DOTALL)
    assert table
    colours = {name: tuple(map(int, rgb.split(","))) for name, rgb in re.findall(r"(\w+): \[([\d, ]+)\]", table[1])}
    assert set(NAMES.values()) <= set(colours)
    told_apart = [colours[name] for name in NAMES.values() if name != "consolidation"]
    assert len(set(told_apart)) == len(told_apart)
