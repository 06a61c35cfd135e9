import pytest

from adapters import decoder
from medomni.errors import BadInput, MissingPart
from medomni.model import weights
from medomni.model.adapter import base_identity
from medomni.model.backends import smollm2
from medomni.model.runtime import import_openvino
from medomni.pipeline import Checkable
from medomni.reporting.review import review
from medomni.reporting.rewording import reword
from medomni.settings import load
from tests import drafts
from tests.tiny_llama import write_tiny_llama
from tests.unit.adapters.test_decoder_training import recipe
from tests.unit.medomni.reporting.test_guard import statement

pytestmark = pytest.mark.skipif(import_openvino() is None, reason="OpenVINO is not installed")
pytest.importorskip("llguidance")
pytest.importorskip("peft")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with a tiny language model, and an adapter that has learned nothing yet."""
    home = tmp_path_factory.mktemp("home")
    folder = write_tiny_llama(weights.folder_of(home, "decoder"))
    decoder.save(decoder.DecoderLearner(folder, recipe()), home / "adapter", "tiny", base_identity(), {})
    return home


def test_drafter_answers_each_statement_in_its_form(home):
    drafter = smollm2.SmolLm2(home, home / "adapter")
    texts = drafter.word([statement(numbers="x"), statement("consolidation", side=statement().side.NONE, place="y")] * 4, "en")
    assert len(texts) == 8
    assert all(text == "" or text.endswith(".") for text in texts)
    assert [part.role for part in drafter.parts] == ["drafter", "adapter"]
    assert drafter.word([statement()], "en") == drafter.word([statement()], "en")


def test_drafters_with_other_adapters_share_the_model_and_keep_their_own_wording(home, tmp_path):
    torch = pytest.importorskip("torch")
    folder, asked = weights.folder_of(home, "decoder"), [statement(numbers="x"), statement("consolidation", place="y")] * 3
    drafters = []
    for seed in (1, 2):
        learner = decoder.DecoderLearner(folder, recipe())
        generator = torch.Generator().manual_seed(seed)
        for matrix in learner.thin:
            matrix.data = torch.randn(matrix.shape, generator=generator)
        decoder.save(learner, tmp_path / f"of-{seed}", f"of-{seed}", base_identity(), {})
        drafters.append(smollm2.SmolLm2(home, tmp_path / f"of-{seed}"))
    one, other = drafters
    first = one.word(asked, "en")
    compiled = one._decoder._compiled
    assert other.word(asked, "en") != first
    assert one.word(asked, "en") == first
    assert other._decoder._compiled is compiled
    assert [drafter.parts[1].name for drafter in drafters] == ["of-1", "of-2"]
    assert one.parts[0] == other.parts[0]


def test_even_an_untrained_model_can_say_nothing_but_what_is_stated(home):
    draft = drafts.draft(drafts.findings(drafts.effusion(), drafts.nodule()))
    new, counts = reword(draft, drafts.grid(), smollm2.SmolLm2(home, home / "adapter").word)
    assert (counts.asked, counts.kept) == (3, 3)
    assert review(new) == review(draft)


def test_chinese_is_left_to_the_phrase_bank(home):
    assert smollm2.SmolLm2(home, home / "adapter").word([statement()], "zh") == []


def test_language_model_that_was_not_pulled_is_a_missing_part(tmp_path, home):
    drafter = smollm2.SmolLm2(tmp_path, home / "adapter")
    assert drafter.parts == ()
    with pytest.raises(MissingPart, match="medomni weights pull decoder"):
        drafter.word([statement()], "en")


def test_drafter_tells_beforehand_what_it_lacks(tmp_path, home):
    assert isinstance(smollm2.SmolLm2(home, home / "adapter"), Checkable)
    smollm2.SmolLm2(home, home / "adapter").check()
    with pytest.raises(MissingPart, match="medomni weights pull decoder"):
        smollm2.SmolLm2(tmp_path, home / "adapter").check()


def test_adapter_of_another_model_is_refused(home, tmp_path):
    learner = decoder.DecoderLearner(weights.folder_of(home, "decoder"), recipe())
    decoder.save(learner, tmp_path / "other", "other", "another model", {})
    with pytest.raises(BadInput, match="another language model"):
        smollm2.SmolLm2(home, tmp_path / "other").word([statement()], "en")


def test_drafter_is_made_of_settings_and_an_adapter(home):
    settings = load({"MEDOMNI_HOME": str(home)})
    assert smollm2.drafter(settings, home / "adapter").home == home
    with pytest.raises(ValueError, match="adapter"):
        smollm2.drafter(settings, None)
