"""The folder of the omni model that ships."""

import tomllib

from medomni.model.omni_folder import SCORES, SHIPPED, digest_of
from medomni.reporting.vocabulary import vocabulary


def test_the_stated_scores_are_of_the_weights_beside_them():
    scores = tomllib.loads((SHIPPED / SCORES).read_text(encoding="utf-8"))
    assert scores["digest"] == digest_of(SHIPPED), "other weights: run benchmarks/omni.py --labels and state what it prints"
    assert set(scores["from_the_ct"]) <= set(vocabulary().labels)
    assert len(scores["from_the_ct"]) == 18
    mean = sum(scores["from_the_ct"].values()) / 18
    assert abs(mean - scores["given"]["CT"]) < 0.005
