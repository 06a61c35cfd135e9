import pytest

from evaluation.metrics.labels import score_labels


def test_f1_counts_hits_misses_and_false_labels():
    score = score_labels([({"a"}, {"a"}), ({"a"}, set()), ({"b"}, {"b", "a"})])
    assert score.f1 == {"a": pytest.approx(2 / 4), "b": pytest.approx(1.0)}
    assert score.macro_f1 == pytest.approx(0.75)
    assert score.micro_f1 == pytest.approx(4 / 6)


def test_saying_nothing_scores_nothing():
    assert score_labels([({"a"}, set())]).macro_f1 == 0.0


def test_rare_labels_are_left_out():
    assert set(score_labels([({"a"}, {"a"}), ({"a", "b"}, set())], least_positives=2).f1) == {"a"}


def test_answers_of_another_case_are_scored_beside():
    assert score_labels([({"a"}, {"a"}), ({"b"}, {"b"})]).shuffled_macro_f1 == 0.0
