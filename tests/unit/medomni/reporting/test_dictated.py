"""The rule by which what a person dictated and what the images show make the findings of a draft."""

from medomni.reporting.compose import compose
from medomni.reporting.dictated import SOURCE, heed, is_dictated
from medomni.reporting.hedge import hedge
from medomni.reporting.review import review
from medomni.types.context import PatientContext
from medomni.types.dictation import Dictation, Remark
from medomni.types.finding import Finding, Laterality, Presence
from medomni.types.notice import NoticeLevel
from medomni.types.report import ReceiptKind
from medomni.types.section import SectionName
from medomni.types.study import Acquisition
from tests import drafts


def said(label, presence=Presence.PRESENT, **told):
    return Remark(label=label, presence=presence, start=3, end=9, **told)


def dictation(*remarks):
    return Dictation(language="en", remarks=remarks, characters=40)


def absent(label):
    return Finding(id=label.replace("_", "-"), label=label, presence=Presence.ABSENT, probability=0.1)


def open_(label):
    return Finding(id=label.replace("_", "-"), label=label, presence=Presence.NOT_EVALUATED, reason="no_detector")


def codes(heeded):
    return [notice.code for notice in heeded.notices]


def drafted(*findings, remarks):
    done = heed(findings, dictation(*remarks))
    draft = compose(PatientContext(), Acquisition(), drafts.grid(), drafts.COVERAGE, done.findings, None, done.notices, "en")
    return draft, {
        s.text: s.receipt for name in (SectionName.FINDINGS, SectionName.IMPRESSION) for s in draft.sections[name].sentences
    }


def test_without_a_dictation_nothing_changes():
    assert heed((drafts.effusion(),), Dictation()).findings == (drafts.effusion(),)


def test_dictation_that_names_nothing_is_told():
    assert codes(heed((absent("emphysema"),), Dictation(characters=5))) == ["dictation_unrecognized"]


def test_confirmed_finding_keeps_its_numbers_and_holds_the_words():
    done = heed((drafts.nodule(),), dictation(said("lung_nodule", size_mm=9.0, laterality=Laterality.LEFT)))
    (finding,) = done.findings
    assert finding.measurements == drafts.nodule().measurements
    assert finding.evidence[-1].source == SOURCE
    assert finding.evidence[-1].span == (3, 9)
    assert not is_dictated(finding)
    assert codes(done) == []


def test_lesion_dictated_in_another_lobe_is_another_lesion():
    found = drafts.nodule().model_copy(update={"anatomy": ("lung_upper_lobe_left",)})
    lower = said("lung_nodule", size_mm=30.0, laterality=Laterality.LEFT, anatomy=("lung_lower_lobe_left",))
    done = heed((found,), dictation(lower))
    own, same = done.findings
    assert same == found
    assert is_dictated(own)
    assert (own.anatomy, own.measurements[0].value) == (("lung_lower_lobe_left",), 30.0)
    assert codes(done) == ["dictated_not_seen"]
    both = heed((found,), dictation(lower, said("lung_nodule", laterality=Laterality.LEFT, anatomy=("lung_upper_lobe_left",))))
    assert [finding.evidence[-1].source for finding in both.findings] == [SOURCE, SOURCE]
    assert both.findings[1].measurements == found.measurements


def test_nodules_dictated_in_two_places_are_two_findings_and_keep_their_lengths():
    upper = said("lung_nodule", size_mm=8.0, laterality=Laterality.RIGHT, anatomy=("lung_upper_lobe_right",))
    lower = said("lung_nodule", size_mm=14.0, laterality=Laterality.LEFT, anatomy=("lung_lower_lobe_left",))
    again = said("lung_nodule", laterality=Laterality.LEFT)
    both = said("lung_nodule", laterality=Laterality.BILATERAL)
    done = heed((absent("lung_nodule"),), dictation(both, upper, lower, again))
    told = [(f.id, f.laterality, f.anatomy, [m.value for m in f.measurements]) for f in done.findings if is_dictated(f)]
    assert told == [
        ("dictated-lung-nodule", Laterality.BILATERAL, (), []),
        ("dictated-lung-nodule-2", Laterality.RIGHT, ("lung_upper_lobe_right",), [8.0]),
        ("dictated-lung-nodule-3", Laterality.LEFT, ("lung_lower_lobe_left",), [14.0]),
    ]
    assert codes(done) == ["dictated_not_seen"]


def test_nodule_dictated_later_is_not_taken_for_the_first():
    first = heed((), dictation(said("lung_nodule", size_mm=8.0, laterality=Laterality.RIGHT))).findings
    done = heed(first, dictation(said("lung_nodule", size_mm=14.0, laterality=Laterality.LEFT)))
    assert {f.id: f.laterality for f in done.findings} == {
        "dictated-lung-nodule": Laterality.RIGHT,
        "dictated-lung-nodule-2": Laterality.LEFT,
    }


def test_two_lengths_in_one_place_are_two_nodules_and_opacities_of_both_sides_are_one():
    here = {"laterality": Laterality.RIGHT, "anatomy": ("lung_upper_lobe_right",)}
    nodules = [said("lung_nodule", size_mm=size, **here) for size in (5.0, 12.0, 12.5)]
    assert [f.measurements[0].value for f in heed((), dictation(*nodules)).findings] == [5.0, 12.0]
    opacities = [said("lung_opacity", laterality=side) for side in (Laterality.LEFT, Laterality.RIGHT)]
    (one,) = heed((), dictation(*opacities)).findings
    assert one.laterality is Laterality.BILATERAL


def test_another_length_than_the_measured_one_is_told():
    done = heed((drafts.nodule(),), dictation(said("lung_nodule", size_mm=18.0)))
    assert [(n.code, n.fields["dictated"], n.fields["measured"]) for n in done.notices] == [("dictated_size_differs", "18", "8")]


def test_unseen_finding_becomes_the_persons_own():
    remark = said("lung_nodule", size_mm=6.0, laterality=Laterality.RIGHT, anatomy=("lung_upper_lobe_right",))
    draft, sentences = drafted(absent("lung_nodule"), remarks=[remark])
    (finding,) = draft.findings
    assert (finding.presence, finding.probability) == (Presence.PRESENT, None)
    assert "dictated_not_seen" in [notice.code for notice in draft.notices]
    assert "Nodule in the right upper lobe, 6 mm as dictated." in sentences
    receipts = [receipt for sentence, receipt in sentences.items() if "nodule" in sentence.lower()]
    assert {receipt.kind for receipt in receipts} == {ReceiptKind.DICTATED}
    assert {receipt.span for receipt in receipts} == {(3, 9)}
    assert [notice for notice in review(draft) if notice.level is NoticeLevel.UNSAFE] == []


def test_other_side_than_the_images_show_is_told_and_both_stay():
    done = heed((drafts.nodule(),), dictation(said("lung_nodule", laterality=Laterality.RIGHT)))
    assert {finding.laterality for finding in done.findings} == {Laterality.LEFT, Laterality.RIGHT}
    assert codes(done) == ["dictated_side_differs"]


def test_denied_finding_is_absent_with_a_warning():
    draft, sentences = drafted(drafts.effusion(), remarks=[said("pleural_effusion", Presence.ABSENT)])
    assert [finding.presence for finding in draft.findings] == [Presence.ABSENT]
    assert [n.level for n in draft.notices if n.code == "denied_by_dictation"] == [NoticeLevel.WARNING]
    receipt = sentences["No pleural effusion, as dictated."]
    assert receipt.kind is ReceiptKind.DICTATED
    assert [notice for notice in review(draft) if notice.level is NoticeLevel.UNSAFE] == []


def test_dictated_absence_answers_what_nothing_looked_for():
    draft, sentences = drafted(open_("bronchiectasis"), remarks=[said("bronchiectasis", Presence.ABSENT)])
    assert "No bronchiectasis, as dictated." in sentences
    assert not any("not assessed" in sentence.lower() and "bronchiectasis" in sentence for sentence in sentences)
    assert [notice for notice in review(draft) if notice.level is NoticeLevel.UNSAFE] == []


def test_absence_that_was_measured_keeps_its_own_proof():
    done = heed((absent("emphysema"),), dictation(said("emphysema", Presence.ABSENT)))
    assert done.findings == (absent("emphysema"),)


def test_asserted_once_is_there_though_denied_elsewhere():
    remarks = (said("pleural_effusion", Presence.ABSENT), said("pleural_effusion", laterality=Laterality.LEFT))
    (finding,) = heed((absent("pleural_effusion"),), dictation(*remarks)).findings
    assert (finding.presence, finding.laterality) == (Presence.PRESENT, Laterality.LEFT)


def test_what_a_machine_heard_is_at_most_possible_and_denies_nothing_that_was_found():
    heard = dictation(said("emphysema"), said("pleural_effusion", Presence.ABSENT)).model_copy(update={"is_heard": True})
    done = heed((absent("emphysema"), drafts.effusion()), heard)
    assert [finding.presence for finding in done.findings] == [Presence.UNCERTAIN, Presence.UNCERTAIN]
    assert done.findings[1] == drafts.effusion()
    assert codes(done) == ["dictation_was_heard", "dictated_not_seen", "heard_denial"]


def test_doubt_stays_doubt():
    (finding,) = heed((absent("emphysema"),), dictation(said("emphysema", Presence.UNCERTAIN))).findings
    assert finding.presence is Presence.UNCERTAIN


def test_what_was_only_possible_is_stated_where_a_person_said_it_without_doubt():
    possible = drafts.nodule().model_copy(update={"presence": Presence.UNCERTAIN, "probability": 0.4})
    (finding,) = heed((possible,), dictation(said("lung_nodule"))).findings
    assert hedge(finding) == "stated"
    assert finding.measurements == possible.measurements
    (doubted,) = heed((possible,), dictation(said("lung_nodule", Presence.UNCERTAIN))).findings
    assert hedge(doubted) == "possible"
    heard = dictation(said("lung_nodule")).model_copy(update={"is_heard": True})
    assert hedge(heed((possible,), heard).findings[0]) == "possible"


def test_a_sure_remark_makes_no_other_finding_of_its_name_certain():
    def possible(place, side):
        return drafts.nodule().model_copy(
            update={"id": place, "presence": Presence.UNCERTAIN, "probability": 0.4, "laterality": side, "anatomy": (place,)}
        )

    upper = possible("lung_upper_lobe_left", Laterality.LEFT)
    lower = possible("lung_lower_lobe_left", Laterality.LEFT)
    right = possible("lung_upper_lobe_right", Laterality.RIGHT)

    def steps(*remarks):
        return [hedge(finding) for finding in heed((upper, lower, right), dictation(*remarks)).findings]

    assert steps(said("lung_nodule")) == ["possible"] * 3
    assert steps(said("lung_nodule", laterality=Laterality.LEFT)) == ["possible"] * 3
    assert steps(said("lung_nodule", laterality=Laterality.LEFT, anatomy=(upper.id,))) == ["stated", "possible", "possible"]
    doubted = said("lung_nodule", Presence.UNCERTAIN, laterality=Laterality.LEFT)
    assert steps(said("lung_nodule", laterality=Laterality.RIGHT), doubted) == ["possible", "possible", "stated"]
