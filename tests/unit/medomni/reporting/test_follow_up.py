"""Follow-up against a table that was reckoned by hand, and what may be taken for the same lesion."""

from decimal import Decimal

import pytest

from medomni.reporting.edit import apply
from medomni.reporting.follow_up import comparable, follow_up
from medomni.reporting.review import review
from medomni.types.edit import Insert, Judge, Resize
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.notice import NoticeLevel
from medomni.types.report import Draft, Prior, ReceiptKind, Report, Verdict
from medomni.types.section import SectionName
from tests import drafts, reports

BOX_NOW = ((-120.0, -90.0, 20.0), (0.0, 80.0, 280.0))
BOX_THEN = ((-110.0, -290.0, 1020.0), (-2.0, -137.0, 1254.0))
"""The right lung at two studies: another place on the table, and a breath a tenth smaller."""


def lungs(box):
    evidence = (Evidence(structure="lung_right", box_mm=box),)
    size = (Measurement(name="lung_volume_right", value=2200.0, unit="mL"),)
    return Finding(
        id="lung-volume", label="lung_volume", presence=Presence.PRESENT, laterality="right", measurements=size, evidence=evidence
    )


def nodule(number, long, mean, volume, at=None, lobe="lung_upper_lobe_right", slice_index=10, **more):
    figures = (("long_diameter", long, "mm"), ("mean_diameter", mean, "mm"), ("volume", volume, "mL"))
    return Finding(
        id=f"lung-nodule-{number}",
        label="lung_nodule",
        presence=Presence.PRESENT,
        probability=0.99,
        laterality=Laterality.RIGHT,
        anatomy=(lobe,),
        measurements=tuple(Measurement(name=n, value=v, unit=u, decimals=1, **more) for n, v, u in figures),
        evidence=(Evidence(structure="nodule", slice_index=slice_index, position_mm=at),),
    )


def node(short):
    size = (Measurement(name="short_diameter", value=short, unit="mm"),)
    return Finding(
        id="node",
        label="lymphadenopathy",
        presence=Presence.PRESENT,
        measurements=size,
        evidence=(Evidence(structure="lymph_node", slice_index=30),),
    )


def draft(now, before, language="en"):
    return drafts.draft(drafts.findings(now), language, prior=prior(before))


def said(of, section):
    return [sentence.text for sentence in of.sections[section].sentences]


def prior(*findings, days=90, **more):
    return Prior(kind="study", days_before=days, is_same_patient=True, findings=findings, **more)


# What was, what is, days between; and by hand: percent of diameter and volume, doubling time, whether it has grown.
TABLE = [
    # 12.5/10.0 = 1.25; 0.500/0.250 = 2, so the doubling time is the time between; mean 9.0 -> 11.2, 2.2 mm more
    ((10.0, 9.0, 0.250), (12.5, 11.2, 0.500), 90, (25, 100, 90, True)),
    # 14.0/20.0 = 0.70; 1.4/4.2 = 0.3333
    ((20.0, 18.0, 4.2), (14.0, 12.0, 1.4), 90, (-30, -67, None, False)),
    # 8.6/8.4 = 1.0238; 0.350/0.310 = 1.129: within what repeated measurements differ by
    ((8.4, 8.0, 0.310), (8.6, 8.2, 0.350), 120, (2, 13, None, False)),
    # ln 2 / ln(0.235/0.180) = 0.693147 / 0.266628 = 2.59968, times 365
    ((7.0, 6.5, 0.180), (7.6, 7.1, 0.235), 365, (9, 31, 949, False)),
    # as shown: 10.04 is 10.0 and 12.46 is 12.5
    ((10.04, 9.0, 0.2504), (12.46, 10.9, 0.4996), 90, (25, 100, 90, False)),
    # three digits below 10 mL: 1.26/1.04 = 1.2115, which repeated measurements may differ by; 1.24/0.96 = 1.2917
    ((13.0, 12.5, 1.04), (13.5, 13.0, 1.26), 90, (4, 21, None, False)),
    ((12.0, 12.0, 0.96), (13.0, 13.0, 1.24), 90, (8, 29, 244, False)),
    # growth of exactly 2 mm counts; 3 days, ln 2 / ln 1.5 = 1.70951
    ((6.0, 6.0, 0.200), (8.0, 8.0, 0.300), 3, (33, 50, 5, True)),
]


@pytest.mark.parametrize(("before", "now", "days", "expected"), TABLE)
def test_arithmetic_equals_a_table_reckoned_by_hand(before, now, days, expected):
    (one,) = follow_up((nodule(1, *now),), prior(nodule(7, *before), days=days)).followed

    assert (
        one.change("long_diameter").percent,
        one.change("volume").percent,
        one.doubling_days,
        one.growth is not None,
    ) == expected


def test_sum_of_diameters_takes_two_targets_of_an_organ_and_the_short_axis_of_a_node():
    places = [(-60.0, 0.0, 60.0), (-60.0, 0.0, 120.0), (-60.0, 0.0, 180.0), (-60.0, 0.0, 240.0)]
    then, now = (20.0, 10.0, 11.0, 8.4), (14.0, 12.5, 11.2, 30.0)
    before = [nodule(k, long, long, 1.0, at) for k, (long, at) in enumerate(zip(then, places, strict=True))]
    after = [nodule(k, long, long, 1.0, at) for k, (long, at) in enumerate(zip(now, places, strict=True))]

    told = follow_up((lungs(BOX_NOW), *after, node(20.0)), prior(lungs(BOX_NOW), *before, node(16.0)))

    assert len(told.followed) == 5
    # 20.0 + 11.0 + 16.0 = 47.0; 14.0 + 11.2 + 20.0 = 45.2; 45.2/47.0 = 0.9617. The fourth, 8.4 mm, was no target.
    assert (told.total.change.before, told.total.change.now, told.total.change.percent) == (Decimal("47.0"), Decimal("45.2"), -4)
    assert told.total.finding_ids == ("lung-nodule-0", "node", "lung-nodule-2")


def test_small_lesions_make_no_sum():
    assert follow_up((nodule(1, 9.0, 9.0, 0.4),), prior(nodule(1, 9.9, 9.9, 0.5))).total is None


def test_lesion_is_found_again_at_its_place_in_a_lung_of_another_table_and_breath():
    def then(x, y, z):
        return tuple(low + share * (high - low) for low, high, share in zip(*BOX_THEN, (x, y, z), strict=True))

    def now(x, y, z):
        return tuple(low + share * (high - low) for low, high, share in zip(*BOX_NOW, (x, y, z), strict=True))

    before = (nodule(1, 9.0, 9.0, 0.4, then(0.5, 0.5, 0.2)), nodule(2, 6.0, 6.0, 0.1, then(0.5, 0.5, 0.8)))
    after = (nodule(1, 8.0, 8.0, 0.3, now(0.5, 0.5, 0.77)), nodule(2, 5.0, 5.0, 0.1, now(0.3, 0.2, 0.5)))

    told = follow_up((lungs(BOX_NOW), *after), prior(lungs(BOX_THEN), *before))

    assert [(one.finding.id, one.earlier.id) for one in told.followed] == [("lung-nodule-1", "lung-nodule-2")]
    assert [one.id for one in told.new] == ["lung-nodule-2"]
    assert [one.id for one in told.gone] == ["lung-nodule-1"]


def test_two_neighbours_are_not_told_apart():
    before = (nodule(1, 9.0, 9.0, 0.4, (-60.0, 0.0, 100.0)), nodule(2, 6.0, 6.0, 0.1, (-60.0, 0.0, 108.0)))

    told = follow_up((lungs(BOX_NOW), nodule(1, 8.0, 8.0, 0.3, (-60.0, 0.0, 104.0))), prior(lungs(BOX_NOW), *before))

    assert not told.followed and not told.new and not told.gone
    assert [one.id for one in told.unsure] == ["lung-nodule-1"]


def test_another_side_is_another_lesion():
    left = nodule(1, 8.0, 8.0, 0.3).model_copy(update={"laterality": Laterality.LEFT})
    told = follow_up((left,), prior(nodule(1, 8.0, 8.0, 0.3)))

    assert (len(told.new), len(told.gone), told.followed, told.unsure) == (1, 1, (), ())


AT = (-60.0, 0.0, 150.0)
CUT = lungs(BOX_NOW).model_copy(
    update={"measurements": (Measurement(name="lung_volume_right", value=900.0, unit="mL", is_lower_bound=True),)}
)
UNSIDED = nodule(1, 8.0, 8.0, 0.3).model_copy(update={"laterality": Laterality.UNKNOWN})


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ((nodule(1, 8.0, 8.0, 0.3, lobe="lung_lower_lobe_right"),), (nodule(1, 8.0, 8.0, 0.3),)),
        ((nodule(1, 8.0, 8.0, 0.3), nodule(2, 9.0, 9.0, 0.4)), (nodule(1, 8.0, 8.0, 0.3), nodule(2, 9.0, 9.0, 0.4))),
        ((UNSIDED,), (nodule(1, 8.0, 8.0, 0.3),)),
        ((CUT, nodule(1, 8.0, 8.0, 0.3, AT), nodule(2, 9.0, 9.0, 0.3, AT)), (lungs(BOX_NOW), nodule(1, 8.0, 8.0, 0.3, AT))),
        (
            (lungs(BOX_NOW), nodule(1, 25.0, 25.0, 8.0, (-60.0, 0.0, 130.0), lobe="lung_lower_lobe_right")),
            (lungs(BOX_NOW), nodule(1, 5.0, 5.0, 0.1, AT)),
        ),
    ],
    ids=["other lobe", "no places", "no side", "lung cut off", "other lobe nearby"],
)
def test_what_cannot_be_told_is_neither_new_nor_gone_nor_grown(now, before):
    told = follow_up(now, prior(*before))

    assert (told.followed, told.new, told.gone) == ((), (), ())
    assert told.unsure


def test_what_nobody_looked_for_is_neither_new_nor_gone():
    unseen = Finding(id="lung-nodule", label="lung_nodule", presence=Presence.NOT_EVALUATED, reason="not_excluded")

    assert follow_up((unseen,), prior(nodule(1, 30.0, 30.0, 14.0))).gone == ()
    assert follow_up((nodule(1, 30.0, 30.0, 14.0),), prior(node(9.0))).new == ()


@pytest.mark.parametrize("cut", [{"is_lower_bound": True}, {"crosses_gap": True}])
def test_what_is_cut_by_the_edge_is_not_compared(cut):
    assert follow_up((nodule(1, 12.0, 12.0, 0.9),), prior(nodule(1, 9.0, 9.0, 0.4, **cut))).followed == ()


@pytest.mark.parametrize(
    "other", [{"is_same_patient": False}, {"days_before": -3}, {"findings": ()}], ids=["patient", "order", "nothing"]
)
def test_another_patient_and_a_later_study_are_not_compared(other):
    told = follow_up((nodule(1, 12.0, 12.0, 0.9),), prior(nodule(1, 9.0, 9.0, 0.4)).model_copy(update=other))

    assert told == type(told)()


def test_without_a_date_there_is_no_doubling_time():
    (one,) = follow_up((nodule(1, 12.0, 12.0, 0.9),), prior(nodule(1, 9.0, 9.0, 0.4), days=None)).followed

    assert one.doubling_days is None
    assert one.change("volume").percent == 125


def test_only_what_is_claimed_or_denied_goes_along():
    absent = Finding(id="e", label="pleural_effusion", presence=Presence.ABSENT)
    open_ = Finding(id="o", label="emphysema", presence=Presence.NOT_EVALUATED)

    assert comparable((lungs(BOX_NOW), absent, open_, node(9.0))) == (lungs(BOX_NOW), absent, node(9.0))


WORDS = {
    "en": (
        "Nodule in the right upper lobe (slice 11): long diameter 12.5 mm, before 10.0 mm (+25%), mean diameter 11.2 mm, "
        "before 9.0 mm (+24%), volume 0.500 mL, before 0.250 mL (+100%), volume doubling time 90 days.",
        "Sum of diameters of 1 target lesion (RECIST 1.1): 12.5 mm, before 10.0 mm (+25%).",
        "Nodule in the right upper lobe, grown within 90 days: mean diameter 11.2 mm, before 9.0 mm.",
    ),
    "zh": (
        "右肺上叶结节影（第11层）：长径12.5 mm，既往10.0 mm（+25%），平均径11.2 mm，既往9.0 mm（+24%），"
        "体积0.500 mL，既往0.250 mL（+100%），体积倍增时间90天。",
        "1个靶病灶径线之和（RECIST 1.1）：12.5 mm，既往10.0 mm（+25%）。",
        "右肺上叶结节影，90天内增大：平均径11.2 mm，既往9.0 mm。",
    ),
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_report_says_what_changed_with_its_inputs(language):
    of = draft(nodule(1, 12.5, 11.2, 0.5), nodule(7, 10.0, 9.0, 0.25), language)
    line, total, grown = WORDS[language]

    assert line in said(of, SectionName.COMPARISON)
    assert total in said(of, SectionName.COMPARISON)
    assert grown in said(of, SectionName.IMPRESSION)
    receipt = next(s.receipt for s in of.sections[SectionName.COMPARISON].sentences if s.text == line)
    assert (receipt.kind, receipt.slice_index, "volume" in receipt.measurements) == (ReceiptKind.PRIOR, 10, True)
    assert [notice for notice in review(of) if notice.level is not NoticeLevel.INFO] == []


def test_a_wrong_number_of_change_is_unsafe():
    of = draft(nodule(1, 12.5, 11.2, 0.5), nodule(7, 10.0, 9.0, 0.25))
    section = of.sections[SectionName.COMPARISON]
    wrong = tuple(s.model_copy(update={"text": s.text.replace("+25%", "+52%")}) for s in section.sentences)
    of = of.model_copy(
        update={"sections": of.sections | {SectionName.COMPARISON: section.model_copy(update={"sentences": wrong})}}
    )

    assert {(n.code, n.level) for n in review(of)} == {
        ("number_without_source", NoticeLevel.UNSAFE),
        ("change_does_not_follow", NoticeLevel.UNSAFE),
    }


def test_new_diameter_of_a_person_changes_the_comparison_with_it():
    of = draft(nodule(1, 12.5, 11.2, 0.5), nodule(7, 10.0, 9.0, 0.25))
    report = Report(**{name: getattr(of, name) for name in Draft.model_fields}, provenance=reports.report().provenance)

    after = apply(report, (Resize(finding_id="lung-nodule-1", diameter_mm=15),))

    told = said(after, SectionName.COMPARISON)
    assert "Nodule in the right upper lobe (slice 11): dictated diameter 15.0 mm, before 10.0 mm (+50%)." in told
    assert not any("+25%" in text for text in (*told, *said(after, SectionName.IMPRESSION)))
    assert told[:2] == said(report, SectionName.COMPARISON)[:2]


def test_a_draft_composed_again_from_its_json_is_the_same():
    first, then = (nodule(1, 12.5, 11.2, 0.5, AT), node(9.0)), (nodule(7, 10.0, 9.0, 0.25, (-60.0, 0.0, 20.0)), lungs(BOX_NOW))
    made = []
    for _ in range(3):
        again = [type(one).model_validate_json(one.model_dump_json()) for one in first]
        made.append(drafts.draft(drafts.findings(*again), prior=prior(*then)))

    assert all(of == made[0] for of in made)
    assert not [notice for of in made for notice in review(of) if notice.level is NoticeLevel.UNSAFE]


def report_of(now, before):
    of = draft(now, before)
    return Report(**{name: getattr(of, name) for name in Draft.model_fields}, provenance=reports.report().provenance)


def test_a_rejected_nodule_leaves_the_earlier_one_told():
    report = report_of(nodule(1, 12.5, 11.2, 0.5), nodule(7, 10.0, 9.0, 0.25))

    after = apply(report, (Judge(finding_id="lung-nodule-1", verdict=Verdict.REJECTED),))

    told = " ".join(said(after, SectionName.COMPARISON))
    assert "12.5" not in told
    assert not any("grown" in text for text in said(after, SectionName.IMPRESSION))


def test_a_confirmed_nodule_keeps_the_proof_of_its_change():
    unsure = nodule(1, 12.5, 11.2, 0.5).model_copy(update={"presence": Presence.UNCERTAIN, "probability": 0.5})
    report = report_of(unsure, nodule(7, 10.0, 9.0, 0.25))

    after = apply(report, (Judge(finding_id="lung-nodule-1", verdict=Verdict.CONFIRMED),))

    kinds = {sentence.receipt.kind for sentence in after.sections[SectionName.COMPARISON].sentences}
    assert kinds == {ReceiptKind.PRIOR}


def test_a_corrected_diameter_is_still_growth():
    report = report_of(nodule(1, 12.5, 11.2, 0.5), nodule(7, 10.0, 9.0, 0.25))

    after = apply(report, (Resize(finding_id="lung-nodule-1", diameter_mm=15),))

    grown = "Nodule in the right upper lobe, grown within 90 days: dictated diameter 15.0 mm, before 10.0 mm."
    assert grown in said(after, SectionName.IMPRESSION)


def test_what_a_person_wrote_into_the_comparison_stays():
    report = report_of(nodule(1, 12.5, 11.2, 0.5), nodule(7, 10.0, 9.0, 0.25))
    report = apply(report, (Insert(section=SectionName.COMPARISON, index=9, text="Seen beside the film of 2019."),))

    after = apply(report, (Resize(finding_id="lung-nodule-1", diameter_mm=15),))

    assert said(after, SectionName.COMPARISON)[-1] == "Seen beside the film of 2019."


@pytest.mark.parametrize(
    ("section", "true", "false"),
    [
        (SectionName.COMPARISON, "12.5 mm, before 10.0 mm", "10.0 mm, before 12.5 mm"),
        (SectionName.COMPARISON, "right upper", "left lower"),
        (SectionName.IMPRESSION, "grown", "shrunk"),
    ],
)
def test_a_falsified_change_is_unsafe(section, true, false):
    of = draft(nodule(1, 12.5, 11.2, 0.5), nodule(7, 10.0, 9.0, 0.25))
    wrong = tuple(s.model_copy(update={"text": s.text.replace(true, false)}) for s in of.sections[section].sentences)
    of = of.model_copy(update={"sections": of.sections | {section: of.sections[section].model_copy(update={"sentences": wrong})}})

    assert "change_does_not_follow" in {notice.code for notice in review(of) if notice.level is NoticeLevel.UNSAFE}


def test_values_that_no_lesion_has_are_not_compared():
    (one,) = follow_up((nodule(1, 12.5, 11.2, 1e26),), prior(nodule(7, 10.0, 9.0, 1e26))).followed
    assert one.change("volume").percent == 0
    assert follow_up((nodule(1, 12.5, 11.2, -1.0),), prior(nodule(7, -8.0, -8.0, 1.0))).followed == ()


def test_what_is_new_on_both_sides_is_named_on_both():
    both = drafts.opacity(
        laterality=Laterality.BILATERAL,
        anatomy=("lung_lower_lobe_right", "lung_lower_lobe_left"),
        measurements=(
            Measurement(name="opacity_volume_right", value=100.0, unit="mL"),
            Measurement(name="opacity_volume_left", value=50.0, unit="mL"),
        ),
    )
    absent = Finding(id="lung-opacity", label="lung_opacity", presence=Presence.ABSENT)

    (told,) = (text for text in said(draft(both, absent), SectionName.COMPARISON) if text.startswith("Not in the earlier report"))

    assert "right lower lobe" in told
    assert "left lower lobe" in told
