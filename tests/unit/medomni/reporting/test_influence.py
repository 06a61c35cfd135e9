"""How much of a sentence is due to the image."""

from medomni.reporting.influence import Explanation, explained, influences
from medomni.types.opinion import Joint, LabelOpinion, Opinion
from medomni.types.section import SectionName
from tests.drafts import draft, findings, opacity


def opinion(label, blind):
    one = LabelOpinion(
        label=label,
        logit=0.0,
        image_logit=0.0,
        probability=0.5,
        image_probability=0.5,
        blind_probability=blind,
        threshold=0.5,
        joint=Joint(offset=0.0, silence=0.0, own=1.0, theirs=0.0),
    )
    return Opinion(labels=(one,), given=("vision",), gates={}, importance={}, model="omni", digest="d")


def of(told, part):
    return next(one for one in told if part in one.text)


def test_a_finding_without_numbers_is_worth_the_difference_that_the_image_makes():
    seen = opacity().model_copy(update={"probability": 0.95, "measurements": ()})
    told = influences(draft(findings(seen)), opinion("lung_opacity", 0.15))
    assert of(told, "pacity").influence == 0.8
    assert of(influences(draft(findings(seen)), None), "pacity").influence == 0.45


def test_what_the_header_and_fixed_phrases_say_owes_nothing_to_the_image():
    told = influences(draft(findings(opacity())), None)
    assert {one.influence for one in told if one.receipt in ("template", "tag", "history")} == {0.0}
    assert {one.section for one in told} <= {name.value for name in SectionName}
    assert max(one.influence for one in told) > 0


def test_measured_sentence_is_all_image():
    measured = opacity().model_copy(update={"probability": 0.9})
    assert of(influences(draft(findings(measured)), opinion("lung_opacity", 0.8)), "pacity").influence == 1.0


def test_explanation_tells_how_the_model_weighed_what_it_was_given():
    drafted = draft(findings(opacity()))
    weighed = opinion("lung_opacity", 0.1).model_copy(update={"gates": {"vision<-history": 0.2}, "importance": {"vision": 1.0}})
    told = explained(drafted, weighed)
    assert told.sentences == influences(drafted, weighed)
    assert (told.gates, told.importance) == ({"vision<-history": 0.2}, {"vision": 1.0})
    assert explained(drafted, None) == Explanation(sentences=influences(drafted, None))
