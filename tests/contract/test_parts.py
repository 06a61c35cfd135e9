"""The names that one room gives another: stages, plug-ins, settings, commands, exit codes and their documentation."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from app import options, wiring
from app.cli import app
from medomni import errors, plugins, settings
from medomni.errors import BadInput, MissingPart
from medomni.pipeline import Stages
from medomni.types.region import Coverage

DOCS = Path(__file__).parents[2] / "docs"
ADAPTERS = Path(__file__).parents[2] / "adapters" / "shipped"
ARGUMENTS = {
    "read": 1,
    "assemble": 2,
    "understand": 2,
    "listen": 2,
    "measure": 2,
    "scope": 3,
    "detect": 5,
    "look": 3,
    "compare": 3,
}


def commands():
    return sorted(typer.main.get_command(app).commands.items())


@pytest.mark.parametrize(("stage", "arguments"), ARGUMENTS.items())
def test_each_stage_takes_what_the_pipeline_gives(stage, arguments):
    stages = wiring.stages("hu-rules", settings.load({}))
    inspect.signature(getattr(stages, stage)).bind(*range(arguments))


def test_no_stage_is_forgotten():
    assert {field.name for field in fields(Stages)} == {*ARGUMENTS, "segmenter", "drafter"}


@pytest.mark.parametrize("group", plugins.Group)
def test_every_installed_plugin_can_be_imported(group):
    for name in plugins.names(group):
        assert callable(plugins.load(group, name))


def test_default_segmenter_is_named_as_it_is_chosen():
    stages = wiring.stages(options.DEFAULT_SEGMENTER, settings.load({}))
    assert stages.segmenter.name == options.DEFAULT_SEGMENTER


@pytest.mark.parametrize("choice", ["nnunet", "monai-bundle", ""])
def test_segmenter_that_is_none_is_a_missing_part(choice):
    with pytest.raises(MissingPart, match="hu-rules"):
        wiring.stages(choice, settings.load({}))


def test_folder_that_is_no_bundle_is_bad_input(tmp_path):
    with pytest.raises((BadInput, MissingPart)):
        wiring.stages(str(tmp_path), settings.load({}))


def test_another_drafter_is_a_missing_part():
    with pytest.raises(MissingPart, match="template, openai-compatible, qwen-omni, smollm2"):
        wiring.stages("hu-rules", settings.load({}), drafter="gpt")


@pytest.mark.parametrize(
    ("region", "adapter"),
    [("chest", "chest_ct"), ("chest_abdomen", "chest_ct"), ("abdomen", "abdomen_ct"), ("other", "chest_ct")],
)
def test_embedded_drafter_takes_the_adapter_of_what_is_in_view(region, adapter):
    stages = wiring.stages("hu-rules", settings.load({}), drafter="smollm2")
    assert stages.drafter(Coverage(region=region)).adapter.name == adapter


def test_adapter_that_was_chosen_is_taken_whatever_is_in_view():
    stages = wiring.stages("hu-rules", settings.load({}), drafter="smollm2", adapter=Path("abdomen_ct"))
    assert stages.drafter(Coverage(region="chest")).adapter.name == "abdomen_ct"


def test_drafter_without_its_settings_says_which():
    with pytest.raises(errors.BadSettings, match="MEDOMNI_DRAFTER_URL"):
        wiring.stages("hu-rules", settings.load({}), drafter="openai-compatible")


def test_what_a_drafter_lacks_is_told_before_the_first_draft(tmp_path):
    home = {"MEDOMNI_HOME": str(tmp_path)}
    assert wiring.lacking(settings.load(home)) is None
    missing = wiring.lacking(settings.load(home | {"MEDOMNI_DRAFTER": "smollm2"}))
    assert missing is not None
    assert missing.remedy == "run: medomni weights pull decoder"
    with pytest.raises(errors.BadSettings, match="MEDOMNI_DRAFTER_URL"):
        wiring.lacking(settings.load(home | {"MEDOMNI_DRAFTER": "openai-compatible"}))
    with pytest.raises(MissingPart, match="fixed phrases take no adapter"):
        wiring.lacking(settings.load(home | {"MEDOMNI_ADAPTER": str(ADAPTERS / "chest_ct")}))


def test_exit_codes_are_the_documented_ones():
    page = (DOCS / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    kinds = [errors.MedOmniError, errors.BadInput, errors.MissingPart, errors.UnsafeDraft, errors.BadSettings]
    assert [kind.exit_code for kind in kinds] == [1, 3, 4, 5, 6]
    assert re.findall(r"^\| (\d) \|", page, re.MULTILINE) == ["0", "1", "2", "3", "4", "5", "6"]


def test_every_setting_is_documented_with_its_own_words():
    page = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    stated = re.findall(r"^\| `(MEDOMNI_\w+)` \|", page, re.MULTILINE)
    assert stated == [settings.PREFIX + name.upper() for name in settings.Settings.model_fields]
    for field in settings.Settings.model_fields.values():
        assert str(field.description) in page


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_option_of_a_command_is_documented_and_none_besides(name, command):
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    section = page.split(f"## medomni {name}\n", 1)[1].split("\n## ", 1)[0]
    stated = set(re.findall(r"^\| `(--[\w-]+)", section, re.MULTILINE))
    parts = getattr(command, "commands", {"": command}).values()
    options = {
        word for part in parts for param in part.params for word in [*param.opts, *param.secondary_opts] if word.startswith("--")
    }
    assert stated == options - {"--help"}


def test_no_command_is_documented_that_is_not_there():
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^## medomni (\w+)$", page, re.MULTILINE)) == [name for name, _ in commands()]


def test_every_plugin_group_is_documented():
    page = (DOCS / "reference" / "plug-ins.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(medomni\.\w+)`", page)) >= {group.value for group in plugins.Group}
