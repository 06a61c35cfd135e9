"""The commands that the tutorial shows work, in its order, in an empty folder."""

import re
import shlex
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "first-draft.md"


def test_commands_of_the_tutorial_work(medomni, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^\$ medomni (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        done = medomni(*shlex.split(line))
        assert done.code == 0, (line, done.err)
    assert (tmp_path / "draft" / "again.txt").read_bytes() == (tmp_path / "draft" / "report.txt").read_bytes()
