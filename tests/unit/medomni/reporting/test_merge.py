"""The rule by which detectors and the omni model make one finding."""

import pytest

from medomni.reporting.merge import measured_probability, merge
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.opinion import Joint, LabelOpinion, Opinion, logistic
from medomni.types.region import Coverage

CHEST = Coverage(region="chest", evaluated=("lungs", "pleura", "heart", "mediastinum", "great_vessels"))
PLACE = Evidence(slice_index=4, position_mm=(1.0, 2.0, 3.0), box_mm=((0.0, 0.0, 0.0), (2.0, 4.0, 6.0)), source="omni")


def opinion(label="lung_opacity", logit=2.0, image=None, evidence=(PLACE,), **told):
    """A thought of the model; ``image`` is the logit of the CT alone where it is another."""
    image = logit if image is None else image
    one = LabelOpinion(
        label=label,
        logit=logit,
        image_logit=image,
        probability=logistic(logit),
        image_probability=logistic(image),
        blind_probability=0.1,
        threshold=0.5,
        joint=Joint(offset=0.0, silence=0.0, own=1.0, theirs=1.0),
        evidence=evidence,
        **told,
    )
    return Opinion(labels=(one,), given=("vision",), gates={}, importance={}, model="omni", digest="d")


def finding(presence=Presence.PRESENT, probability=0.8, label="lung_opacity", **told):
    evidence = (Evidence(structure="lung_left"),) if presence in (Presence.PRESENT, Presence.UNCERTAIN) else ()
    return Finding(id="lung-opacity", label=label, presence=presence, probability=probability, evidence=evidence, **told)


def merged(one, thought, coverage=CHEST):
    return merge((one,), coverage, thought).findings[0]


def test_without_a_model_nothing_changes():
    assert merge((finding(),), CHEST, None).findings == (finding(),)


def test_both_sure_is_surer_and_keeps_numbers_and_place():
    number = Measurement(name="opacity_volume_left", value=30.0, unit="mL")
    after = merged(finding(measurements=(number,), laterality=Laterality.LEFT), opinion(logit=3.0))
    assert after.presence is Presence.PRESENT
    assert after.probability > 0.95
    assert (after.measurements, after.laterality, after.evidence) == ((number,), Laterality.LEFT, finding().evidence)


def test_model_softens_a_finding_and_says_so():
    done = merge((finding(probability=0.85),), CHEST, opinion(logit=-1.5))
    assert done.findings[0].presence is Presence.UNCERTAIN
    assert [(notice.code, notice.fields) for notice in done.notices] == [("model_is_less_sure", {"label": "lung_opacity"})]


def test_finding_stated_for_sure_is_never_less_than_possible():
    after = merged(finding(probability=0.97), opinion(logit=-9.0))
    assert (after.presence, after.probability) == (Presence.UNCERTAIN, 0.4)


def test_found_is_never_called_absent():
    after = merged(finding(probability=0.5, label="emphysema"), opinion("emphysema", logit=-9.0))
    assert after.presence is Presence.UNCERTAIN
    assert after.probability < 0.4


@pytest.mark.parametrize("label", ["lung_nodule", "peribronchial_thickening"])
def test_what_is_part_of_an_opacity_is_no_finding_of_the_model(label):
    nothing = Finding(id="n", label=label, presence=Presence.NOT_EVALUATED, reason="not_excluded")
    assert merged(nothing, opinion(label, 4.0)).presence is Presence.UNCERTAIN
    beside = merge((finding(), nothing), CHEST, opinion(label, 4.0))
    assert beside.findings[1].presence is Presence.NOT_EVALUATED
    assert [(notice.code, notice.fields) for notice in beside.notices] == [("also_considered", {"label": label})]


def test_an_opacity_that_was_found_stays_possible_whatever_the_model_thinks():
    assert merged(finding(probability=0.5), opinion(logit=-9.0)).probability == 0.4
    assert merged(finding(Presence.UNCERTAIN, 0.3), opinion(logit=-9.0)).probability < 0.4


def test_what_no_detector_found_is_claimed_with_the_models_own_place():
    told = {"laterality": Laterality.LEFT, "anatomy": ("lung_lower_lobe_left",)}
    done = merge((finding(Presence.ABSENT, 0.2),), CHEST, opinion(logit=4.0, **told))
    after = done.findings[0]
    assert (after.presence, after.evidence, after.measurements) == (Presence.UNCERTAIN, (PLACE,), ())
    assert (after.laterality, after.anatomy) == (Laterality.LEFT, ("lung_lower_lobe_left",))
    assert [notice.code for notice in done.notices] == ["seen_by_model_alone"]


@pytest.mark.parametrize("lacking", [{"image": 0.5}, {"evidence": ()}, {"logit": 0.8}])
def test_no_claim_without_the_image_a_place_or_enough_probability(lacking):
    assert merged(finding(Presence.ABSENT, 0.5), opinion(**{"logit": 4.0, **lacking})).presence is Presence.ABSENT


def test_what_could_not_be_judged_is_claimed_by_the_model_alone():
    unknown = Finding(id="h", label="hiatal_hernia", presence=Presence.NOT_EVALUATED, reason="not_excluded")
    assert merged(unknown, opinion("hiatal_hernia", 3.0)).presence is Presence.UNCERTAIN
    assert merged(unknown, opinion("hiatal_hernia", -3.0)) == unknown


MISTAKEN = ("mosaic_attenuation_pattern", "lymphadenopathy", "atelectasis")


@pytest.mark.parametrize(
    ("label", "logit"), [("hiatal_hernia", 0.2), ("medical_material", 9.0), *((label, 2.0) for label in MISTAKEN)]
)
def test_what_is_less_sure_or_was_mistaken_before_is_only_named(label, logit):
    nothing = Finding(id="n", label=label, presence=Presence.ABSENT, probability=0.5)
    coverage = CHEST.model_copy(update={"evaluated": (*CHEST.evaluated, "devices")})
    done = merge((nothing,), coverage, opinion(label, logit))
    assert done.findings[0].presence is Presence.ABSENT
    assert [(notice.code, notice.fields) for notice in done.notices] == [("also_considered", {"label": label})]


@pytest.mark.parametrize("label", MISTAKEN)
def test_what_was_mistaken_before_is_claimed_only_when_the_model_is_sure(label):
    nothing = Finding(id="n", label=label, presence=Presence.NOT_EVALUATED, reason="not_excluded")
    after = merged(nothing, opinion(label, 3.0))
    assert (after.presence, after.evidence) == (Presence.UNCERTAIN, (PLACE,))


def beside(dense, other, seen=-9.0):
    """Dense lung that a detector found beside another finding, after the model was heard, and the notices."""
    both = opinion("lung_opacity", seen).labels + opinion(other.label, 4.0).labels
    done = merge((dense, other), CHEST, opinion().model_copy(update={"labels": both}))
    return done.findings[0], [(notice.code, notice.fields["label"]) for notice in done.notices]


def test_dense_lung_that_is_a_collapse_in_the_models_eyes_is_no_opacity_beside_it():
    dense = finding(probability=0.97, laterality=Laterality.LEFT)
    collapse = finding(probability=0.8, label="atelectasis", laterality=Laterality.BILATERAL)
    after, notices = beside(dense, collapse)
    assert (after.presence, after.probability < 0.4) == (Presence.UNCERTAIN, True)
    assert ("model_is_less_sure", "lung_opacity") in notices


@pytest.mark.parametrize(
    ("dense", "instead", "seen"),
    [
        (Laterality.LEFT, finding(label="atelectasis", laterality=Laterality.RIGHT), -9.0),
        (Laterality.BILATERAL, finding(label="atelectasis", laterality=Laterality.RIGHT), -9.0),
        (Laterality.UNKNOWN, finding(label="atelectasis", laterality=Laterality.UNKNOWN), -9.0),
        (Laterality.LEFT, finding(Presence.ABSENT, 0.01, "atelectasis"), -9.0),
        (Laterality.LEFT, finding(label="atelectasis", laterality=Laterality.LEFT), -3.0),  # both together see it: 0.62
        (Laterality.LEFT, finding(label="emphysema", laterality=Laterality.LEFT), -9.0),
    ],
    ids=["other side", "one side of two", "side unknown", "not claimed", "seen as opacity", "not dense"],
)
def test_dense_lung_that_nothing_else_explains_stays_possible(dense, instead, seen):
    after, _ = beside(finding(probability=0.97, laterality=dense), instead, seen)
    assert after.probability >= 0.4


def test_model_is_heard_about_bronchi_where_the_lungs_were_evaluated():
    assert "airways" not in CHEST.evaluated
    sure = finding(probability=0.6, label="bronchiectasis")
    assert merged(sure, opinion("bronchiectasis", 4.0)).probability > 0.9
    nothing = Coverage(region="chest", evaluated=("heart",))
    assert merged(sure, opinion("bronchiectasis", 4.0), nothing) == sure


def test_what_is_not_in_view_stays_unsaid():
    unseen = Finding(id="h", label="hiatal_hernia", presence=Presence.NOT_EVALUATED, reason="outside_field_of_view")
    assert merged(unseen, opinion("hiatal_hernia", 9.0)) == unseen
    elsewhere = Coverage(region="chest", evaluated=("lungs",))
    assert merged(finding(Presence.ABSENT, 0.1, "pleural_effusion"), opinion("pleural_effusion", 9.0), elsewhere).presence is (
        Presence.ABSENT
    )


def test_history_changes_how_sure_a_finding_sounds_never_whether_it_is_claimed():
    doubted, backed = (merged(finding(probability=0.8), opinion(logit=told, image=2.0)) for told in (-6.0, 4.0))
    assert doubted.presence is Presence.UNCERTAIN
    assert doubted.probability == 0.4
    assert backed.probability > 0.95
    assert merged(finding(Presence.ABSENT, 0.2), opinion(logit=9.0, image=-2.0)).presence is Presence.ABSENT
    assert merged(finding(Presence.ABSENT, 0.2), opinion(logit=-9.0, image=4.0)).presence is Presence.UNCERTAIN


def test_model_is_not_heard_about_an_abdomen():
    abdomen = Coverage(region="abdomen", evaluated=("lungs",))
    assert merged(finding(Presence.ABSENT, 0.4), opinion(logit=9.0), abdomen).presence is Presence.ABSENT


def test_of_several_findings_none_is_made_surer_than_it_was():
    large, small = finding(probability=0.9), finding(probability=0.5).model_copy(update={"id": "second"})
    after = merge((large, small), CHEST, opinion(logit=4.0)).findings
    assert after[0].probability > 0.9
    assert after[1].probability == 0.5


def test_detectors_are_as_sure_as_their_surest_finding():
    some = (finding(probability=0.3), finding(probability=0.7), finding(Presence.ABSENT, 0.1, "emphysema"))
    assert measured_probability(some, "lung_opacity") == 0.7
    assert measured_probability(some, "emphysema") == 0.1
    assert measured_probability(some, "atelectasis") is None
