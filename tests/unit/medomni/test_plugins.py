from importlib.metadata import EntryPoint

import pytest

from medomni import plugins
from medomni.errors import MissingPart
from medomni.plugins import Group


def test_built_in_segmenters_come_through_the_same_door():
    assert {"hu-rules", "monai-bundle"} <= set(plugins.names(Group.SEGMENTERS))


def test_unknown_name_lists_what_is_installed():
    with pytest.raises(MissingPart, match=r"^nnunet: no segmenter has this name; installed: .*hu-rules"):
        plugins.load(Group.SEGMENTERS, "nnunet")


def test_broken_plugin_is_a_missing_part(monkeypatch):
    broken = EntryPoint("broken", "no_such_package.at_all:Thing", Group.SEGMENTERS.value)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [broken])
    with pytest.raises(MissingPart, match="ModuleNotFoundError in no_such_package"):
        plugins.load(Group.SEGMENTERS, "broken")


def test_names_are_found_after_the_backport_took_over():
    pytest.importorskip("importlib_metadata")
    assert "hu-rules" in plugins.names(Group.SEGMENTERS)
