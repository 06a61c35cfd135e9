"""One network, two runtimes: the same labels, kept graphs, and nothing sent anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medomni.anatomy import LOBES
from medomni.model.runtime import import_openvino
from medomni.phantom import make_case
from preprocessing.resample import to_working
from preprocessing.segment.classes import GRID_MM, LABELS
from preprocessing.segment.density import by_density
from preprocessing.segment.medomni_ct import SHIPPED, MedomniCt
from preprocessing.segment.monai_bundle import MonaiBundle
from preprocessing.segment.runtime import MOST_DIFFERING, OpenVinoRuntime, TorchRuntime, open_runtime
from tests import factories

ROOT = Path(__file__).parents[4]
IMAGE = np.random.default_rng(3).random((24, 40, 32)).astype(np.float32)
needs_openvino = pytest.mark.skipif(import_openvino() is None, reason="OpenVINO is not installed")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return MonaiBundle(factories.tiny_own_bundle(tmp_path_factory.mktemp("runtime") / "own"))


def test_torch_takes_the_class_with_the_highest_score(bundle):
    import torch

    with torch.inference_mode():
        scores = bundle.network(torch.from_numpy(IMAGE)[None, None])[0].numpy()
    assert np.array_equal(TorchRuntime(bundle, 1).winners(IMAGE), scores.argmax(axis=0))


@needs_openvino
def test_openvino_gives_the_labels_of_torch(bundle):
    mine, theirs = open_runtime(bundle, 1, None).winners(IMAGE), TorchRuntime(bundle, 1).winners(IMAGE)
    assert mine.dtype == np.uint8
    assert len(np.unique(theirs)) > 5
    assert np.mean(mine != theirs) <= MOST_DIFFERING


@pytest.mark.slow
@needs_openvino
def test_the_shipped_weights_label_a_phantom_alike_in_both_runtimes_and_as_the_truth_has_it():
    case = make_case(31, shape=(72, 96, 112), spacing_mm=(GRID_MM,) * 3)
    working = to_working(case.volume, (GRID_MM,) * 3)
    fast, slow = MedomniCt(), MedomniCt()
    assert isinstance(fast.runtime, OpenVinoRuntime)
    slow.__dict__["runtime"] = TorchRuntime(MonaiBundle(SHIPPED), 1)
    body = by_density(working).body
    mine, theirs = fast.infer(working.hu, body), slow.infer(working.hu, body)
    assert np.mean(mine[body] != theirs[body]) <= MOST_DIFFERING
    for names, least in ((tuple(name for side in LOBES.values() for name in side), 0.95), (("liver",), 0.9)):
        true = case.truth.mask(*names)
        assert true.sum() > 5000
        seen = np.isin(mine, [LABELS[name] for name in names])
        assert 2 * (seen & true).sum() / (seen.sum() + true.sum()) > least, names


@needs_openvino
def test_images_of_any_size_are_taken_one_after_another(bundle):
    opened = open_runtime(bundle, 1, None)
    for shape in ((16, 16, 16), (24, 40, 32), (16, 48, 24)):
        assert opened.winners(np.zeros(shape, np.float32)).shape == shape


@needs_openvino
def test_a_kept_graph_is_used_again_without_the_network(tmp_path, bundle):
    first = OpenVinoRuntime(bundle, 1, tmp_path).winners(IMAGE)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".bin", ".xml"]

    fresh = MonaiBundle(bundle.folder)
    again = OpenVinoRuntime(fresh, 1, tmp_path).winners(IMAGE)
    assert np.array_equal(first, again)
    assert "network" not in fresh.__dict__


@needs_openvino
def test_a_damaged_graph_is_made_anew(tmp_path, bundle):
    first = OpenVinoRuntime(bundle, 1, tmp_path).winners(IMAGE)
    (graph,) = tmp_path.glob("*.xml")
    graph.write_text("no graph")
    assert np.array_equal(first, OpenVinoRuntime(bundle, 1, tmp_path).winners(IMAGE))
    assert graph.read_text() != "no graph"


@needs_openvino
def test_other_weights_do_not_use_the_kept_graph(tmp_path, bundle):
    OpenVinoRuntime(bundle, 1, tmp_path).winners(IMAGE)
    other = MonaiBundle(factories.tiny_own_bundle(tmp_path / "other", seed=1))
    mine, theirs = OpenVinoRuntime(other, 1, tmp_path).winners(IMAGE), TorchRuntime(other, 1).winners(IMAGE)
    assert np.mean(mine != theirs) <= MOST_DIFFERING


@needs_openvino
def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, bundle):
    (tmp_path / "file").write_text("")
    assert OpenVinoRuntime(bundle, 1, tmp_path / "file" / "cache").winners(IMAGE).shape == IMAGE.shape


def test_without_openvino_torch_does_it(monkeypatch, bundle):
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert isinstance(open_runtime(bundle, 1, None), TorchRuntime)


@needs_openvino
def test_the_use_of_openvino_is_reported_to_nobody(tmp_path, bundle):
    """OpenVINO's own import writes an id into the home folder and sends it; ours must do neither."""
    script = (
        "import sys; from pathlib import Path\n"
        "from preprocessing.segment.monai_bundle import MonaiBundle\n"
        "from preprocessing.segment.runtime import open_runtime\n"
        "import numpy as np\n"
        f"opened = open_runtime(MonaiBundle(Path({str(bundle.folder)!r})), 1, None)\n"
        "opened.winners(np.zeros((16, 16, 16), np.float32))\n"
        "assert opened.name == 'openvino'\n"
        "assert not any(name.startswith('openvino_telemetry') for name in sys.modules)\n"
    )
    environment = {**{k: v for k, v in os.environ.items() if k != "CI"}, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, cwd=tmp_path)
    assert not (tmp_path / "intel").exists()
