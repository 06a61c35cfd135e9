"""The draft: facts in sentences with receipts, the same facts in both languages, nothing ever called normal."""

import re

import pytest

from medomni.anatomy import anatomy
from medomni.reporting import reading
from medomni.reporting.review import review
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.region import Coverage
from medomni.types.report import Draft, Prior, ReceiptKind
from medomni.types.section import SectionName
from medomni.types.study import Acquisition, Contrast
from tests import factories
from tests.drafts import (
    CLINICAL,
    COVERAGE,
    DETECTED,
    dense,
    draft,
    effusion,
    emphysema,
    findings,
    grid,
    measured,
    nodule,
    one_lung,
    opacity,
    seen,
    technique_only,
    text,
    upside_down,
)

LANGUAGES = ("en", "zh")


def said(of: Draft, section: SectionName) -> list[str]:
    return [sentence.text for sentence in of.sections[section].sentences]


def sentence(of: Draft, section: SectionName, part: str):
    return next(s for s in of.sections[section].sentences if part in s.text)


def test_every_section_is_there_in_reading_order_with_its_heading():
    assert [*draft().sections, SectionName.ADDENDUM] == list(SectionName)
    assert [s.heading for s in draft(language="zh").sections.values()] == [
        "检查项目",
        "临床信息",
        "检查技术",
        "对比检查",
        "检查所见",
        "印象",
    ]


def test_an_opacity_is_told_with_zones_volumes_share_and_slice():
    of = draft(findings(opacity()))

    assert said(of, SectionName.FINDINGS)[0] == (
        "Opacity in the right middle zone (20 mL) and the right lower zone (100 mL), 120 mL in total, "
        "4.4% of the right lung (slice 45)."
    )
    assert (
        said(of, SectionName.IMPRESSION)[0]
        == "Opacity in the right middle zone and the right lower zone, 4.4% of the right lung."
    )


def test_the_same_opacity_in_chinese():
    of = draft(findings(opacity(slice_index=None)), "zh")

    assert said(of, SectionName.FINDINGS)[0] == "右肺中野（20 mL）及右肺下野（100 mL）见密度增高影，合计120 mL，占右肺4.4%。"
    assert said(of, SectionName.IMPRESSION)[0] == "右肺中野及右肺下野见密度增高影，占右肺4.4%。"


def test_a_finding_on_both_sides_becomes_one_sentence_a_side_and_one_line_of_the_impression():
    of = draft(findings(effusion()))

    assert [t for t in said(of, SectionName.FINDINGS) if "effusion, " in t and "mL" in t] == [
        "Possible right pleural effusion, 240 mL.",
        "Possible left pleural effusion, 62 mL.",
    ]
    assert said(of, SectionName.IMPRESSION)[0] == "Possible bilateral pleural effusion, 240 mL on the right, 62 mL on the left."


def test_each_side_carries_its_own_evidence():
    proof = (
        Evidence(structure="pleural_effusion", slice_index=30, position_mm=(-80.0, 0.0, 0.0), source="rule"),
        Evidence(structure="pleural_effusion", slice_index=12, position_mm=(75.0, 0.0, 0.0), source="rule"),
    )
    of = draft(findings(effusion(evidence=proof)))
    right, left = (sentence(of, SectionName.FINDINGS, side).receipt for side in ("right pleural", "left pleural"))

    assert (right.slice_index, right.position_mm[0]) == (30, -80.0)
    assert (left.slice_index, left.position_mm[0]) == (12, 75.0)
    assert right.measurements == ("effusion_volume_right",)


def test_a_nodule_is_told_as_long_by_perpendicular_in_whole_millimeters():
    of = draft(findings(nodule()))

    assert said(of, SectionName.FINDINGS)[0] == "Nodule in the left upper zone, 8 x 6 mm, volume 0.21 mL (slice 88)."


def test_several_nodules_share_a_line_that_names_the_largest():
    of = draft(findings(nodule(1), nodule(2, 12.5, 9.4)))
    line = of.sections[SectionName.IMPRESSION].sentences[0]

    assert line.text == "Nodules, the largest in the left upper zone, 13 x 9 mm, volume 0.21 mL."
    assert line.finding_ids == ("lung-nodule-1", "lung-nodule-2")


def test_a_size_cut_by_the_edge_is_at_least():
    cut = tuple(m.model_copy(update={"is_lower_bound": True}) for m in nodule().measurements[:2])

    assert "at least 8 x 6 mm" in text(draft(findings(nodule(measurements=cut))))
    assert "至少8 × 6 mm" in text(draft(findings(nodule(measurements=cut)), "zh"))


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "The left lung was not found by the segmentation; it was not evaluated."), ("zh", "分割未找到左肺，未作评估。")],
)
def test_a_lung_that_was_not_found_is_said_in_both_sections(language, words):
    right_only = seen("lung_volume", structure="lung_right", measurements=measured("lung_volume", right=999.0, total=999.0))
    of = draft((*findings()[:-4], right_only), language)

    assert words in said(of, SectionName.FINDINGS)
    assert words in said(of, SectionName.IMPRESSION)
    assert "999 mL" in text(of)
    assert text(of).count("999") == 1
    assert review(of) == ()


def test_emphysema_is_told_by_its_low_attenuation_area():
    of = draft(findings(seen("emphysema", measurements=measured("laa950", "%", 1, total=12.34))))

    assert "Emphysema, low-attenuation area (< -950 HU) 12.3% of both lungs." in said(of, SectionName.FINDINGS)
    assert "right 1.2%, left 0.02%." in text(of)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_study_without_findings_is_never_called_normal(language):
    words = text(draft(language=language)).lower()

    assert not re.search(r"normal|unremarkable|healthy|正常|无异常|未见异常", words)


def test_a_study_without_findings_names_its_scope():
    assert said(draft(), SectionName.IMPRESSION) == [
        "No consolidation, pleural effusion, lung opacity or emphysema detected among what was evaluated (lungs and pleura).",
        "Evaluated: lungs and pleura only, and there not for every finding (see Findings); everything else was not evaluated.",
    ]


def test_absence_is_not_stated_of_an_organ_that_was_not_evaluated():
    partly = COVERAGE.model_copy(update={"evaluated": ("lungs",), "not_evaluated": {"pleura": "not_segmented"}})
    of = draft(coverage=partly)

    assert not any("No" in t and "pleural effusion" in t for t in said(of, SectionName.FINDINGS))
    assert "pleural effusion (not segmented)" in text(of)


def test_absence_is_not_stated_while_another_finding_of_the_label_is_open():
    open_one = Finding(id="o", label="pleural_effusion", presence=Presence.NOT_EVALUATED, reason="side_unknown")
    closed = Finding(id="c", label="pleural_effusion", presence=Presence.ABSENT)

    assert "No pleural effusion" not in text(draft(findings(open_one, closed)))


def test_what_was_not_evaluated_takes_two_sentences():
    last = draft().sections[SectionName.FINDINGS].sentences[-2:]

    assert last[0].text.startswith("Not evaluated: airways, heart")
    assert "liver, gallbladder" in last[0].text
    assert last[0].text.endswith("stomach and bowel (outside the field of view).")
    assert last[1].text.startswith("Findings not assessed: pericardial effusion, lung nodule")
    assert len(last[1].finding_ids) == len(CLINICAL) - len(DETECTED)


def test_findings_are_grouped_by_organ_in_reading_order():
    organs = [s.organ for s in draft(findings(effusion(), opacity())).sections[SectionName.FINDINGS].sentences if s.organ]
    order = list(anatomy().organs)

    assert organs == sorted(organs, key=order.index)
    assert organs[0] == "lungs"


def test_no_side_is_named_when_the_source_states_none():
    found = findings(opacity(laterality=Laterality.UNKNOWN), effusion())
    for language in LANGUAGES:
        of = draft(found, language, grid=grid(is_side_known=False))
        words = [t for s in (SectionName.FINDINGS, SectionName.IMPRESSION) for t in said(of, s)]
        assert not any(reading.sides(t, language) for t in words)
    assert "Possible pleural effusion, 240 mL on one side, 62 mL on the other, side not stated." in text(
        draft(found, grid=grid(is_side_known=False))
    )


def test_totals_of_unknown_side_are_told_as_of_both_lungs():
    parts = measured("opacity_volume", total=31.6) + measured("opacity_percent", "%", 1, total=1.2)
    of = draft(findings(opacity(laterality=Laterality.UNKNOWN, anatomy=(), measurements=parts)), grid=grid(is_side_known=False))

    assert "Lung opacity, 32 mL, 1.2% of both lungs, side not stated" in said(of, SectionName.FINDINGS)[0]


def test_a_finding_too_weak_for_a_claim_is_not_worded_but_noticed():
    of = draft(findings(opacity(probability=0.2)))

    assert "pacity" not in " ".join(said(of, SectionName.IMPRESSION))
    assert [(notice.code, notice.fields) for notice in of.notices] == [("no_claim_made", {"label": "lung_opacity"})]


@pytest.mark.parametrize("region", ["head", "other"])
def test_an_unsupported_region_gets_the_technique_only(region):
    of = technique_only(region)

    assert said(of, SectionName.FINDINGS) == [
        "No organ was evaluated: findings are drafted for CT of the chest and abdomen only."
    ]
    assert said(of, SectionName.IMPRESSION) == ["No assessment was made: this draft states the technique only."]
    assert len(of.sections[SectionName.FINDINGS].sentences[0].finding_ids) == len(CLINICAL)


def test_a_part_of_the_abdomen_gets_its_volume_as_a_bound():
    volume = Measurement(name="volume", value=1430.2, unit="mL", structure="liver", is_lower_bound=True)
    liver = seen("organ_volume", structure="liver", id="organ-volume-liver", measurements=(volume,))
    partly = Coverage(region="abdomen", evaluated=("liver",), not_evaluated={"lungs": "outside_field_of_view"}, is_partial=True)
    of = draft((liver, *technique_only("head").findings), coverage=partly)

    assert said(of, SectionName.EXAMINATION)[-1] == "Only part of the region lies in the field of view."
    assert of.sections[SectionName.FINDINGS].sentences[0].text == "Liver: volume at least 1.4 L."
    assert of.sections[SectionName.FINDINGS].sentences[0].organ == "liver"
    assert said(of, SectionName.IMPRESSION)[0] == "No statement on any finding could be made."


@pytest.mark.parametrize(
    ("sex", "age", "english", "chinese"),
    [
        ("F", 70.9, "Woman, 70 years.", "女性，70岁。"),
        ("M", 12.0, "Boy, 12 years.", "男童，12岁。"),
        ("F", 0.5, "Girl, 6 months.", "女童，6个月。"),
        ("M", None, "Man; age not stated.", "男性，年龄未注明。"),
        ("", 40.0, "Patient, 40 years; sex not stated.", "患者40岁，性别未注明。"),
        ("", None, "Age and sex not stated.", "年龄、性别未注明。"),
    ],
)
def test_the_patient_is_named_by_sex_and_age_only(sex, age, english, chinese):
    assert said(draft(sex=sex, age=age), SectionName.EXAMINATION)[1] == english
    assert said(draft(sex=sex, age=age, language="zh"), SectionName.EXAMINATION)[1] == chinese


def test_technique_tells_what_the_header_states_with_its_tags():
    header = factories.acquisition(
        kernel="B70f", slice_thickness_mm=1.5, ctdi_vol_mgy=8.25, dlp_mgy_cm=301.0, gantry_tilt_deg=-12.0
    )
    of = draft(acquisition=header)
    line = sentence(of, SectionName.TECHNIQUE, "kVp")

    assert line.text == (
        "Slice thickness 1.5 mm, 120 kVp, reconstruction kernel B70f, CTDIvol 8.3 mGy, DLP 301 mGy*cm, gantry tilt -12 degrees."
    )
    assert line.receipt.kind is ReceiptKind.TAG
    assert {"SliceThickness", "KVP", "ConvolutionKernel", "CTDIvol", "GantryDetectorTilt"} <= set(line.receipt.tags)


def test_technique_says_what_the_header_does_not_state():
    of = draft(acquisition=Acquisition())

    assert "Not stated in the header: slice thickness, tube voltage, reconstruction kernel and dose." in said(
        of, SectionName.TECHNIQUE
    )
    assert "Contrast medium: not stated in the header." in said(of, SectionName.TECHNIQUE)
    assert "without" not in text(of).lower()


@pytest.mark.parametrize(
    ("contrast", "words"),
    [
        (Contrast.INTRAVENOUS, "Intravenous contrast medium"),
        (Contrast.NONE, "No contrast medium"),
        (Contrast.ORAL, "Oral contrast"),
    ],
)
def test_contrast_is_told_as_stated(contrast, words):
    assert sentence(draft(acquisition=Acquisition(contrast=contrast)), SectionName.TECHNIQUE, words)


def test_slices_are_counted_and_the_direction_of_counting_is_told():
    assert said(draft(), SectionName.TECHNIQUE)[0] == "154 slices, 1.5 mm apart, pixel size 0.7 mm."
    assert "Slices are counted from the feet up." in text(draft())
    assert "Slices are counted from the head down." in text(draft(grid=upside_down()))


def test_uneven_slices_are_told_as_uneven():
    assert "unevenly spaced" in text(draft(grid=factories.uneven_grid()))


def test_a_lossy_source_is_told():
    assert "compressed with loss" in text(draft(acquisition=Acquisition(is_lossy=True)))


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (None, "None available."),
        (Prior(kind="study", days_before=21), "CT, 21 days earlier."),
        (Prior(kind="report", days_before=1), "Report, 1 day earlier."),
        (Prior(kind="study", days_before=0), "CT of the same day."),
        (Prior(kind="study"), "Earlier CT, date not stated."),
        (Prior(kind="study", days_before=-3), "CT dated 3 days after this study."),
    ],
)
def test_comparison_tells_the_prior_and_claims_no_comparison(prior, expected):
    of = draft(prior=prior)

    assert said(of, SectionName.COMPARISON)[0] == expected
    assert (len(said(of, SectionName.COMPARISON)) == 2) == (prior is not None)


def test_history_is_told_fact_by_fact_with_its_characters():
    history = "Cough for 3 weeks, no fever. Left chest pain."
    of = draft(history=history)
    told = of.sections[SectionName.INDICATION].sentences

    assert [s.text for s in told[:3]] == ["Cough (3 weeks).", "No fever.", "Left chest pain."]
    assert [history[slice(*s.receipt.span)] for s in told[:3]] == ["Cough", "fever", "chest pain"]
    assert told[-1].text == "Picked out of the history automatically; read the original."


def test_a_history_without_a_known_fact_is_not_taken_for_none():
    of = draft(history="Zebra stripes.")

    assert said(of, SectionName.INDICATION) == ["History given, no recognized clinical fact; read the original."]
    assert said(draft(), SectionName.INDICATION) == ["No history given."]


def test_a_question_that_nothing_looked_into_is_said_to_be_unanswered():
    of = draft(history="Rule out pulmonary embolism. Pneumonia?")
    lines = said(of, SectionName.IMPRESSION)

    assert "The question of pulmonary embolism is not answered: not evaluated." in lines
    assert not any("pneumonia" in line for line in lines)


@pytest.mark.parametrize(
    ("history", "language", "line"),
    [
        ("Follow-up of a lung nodule.", "en", "Lung nodule, named in the history: not evaluated."),
        ("肺结节复查", "zh", "病史提及的肺结节：未评估。"),
        ("Known lung cancer.", "en", "Lung cancer, named in the history: not evaluated."),
        ("Rule out PE.", "en", "The question of pulmonary embolism is not answered: not evaluated."),
    ],
)
def test_what_the_history_names_and_nothing_looked_into_comes_first(history, language, line):
    of = draft(language=language, history=history)
    first = of.sections[SectionName.IMPRESSION].sentences[0]

    assert first.text == line
    assert first.receipt.kind is ReceiptKind.HISTORY
    assert first.receipt.span == (of.context.facts[0].start, of.context.facts[0].end)


def test_it_follows_the_claims_and_comes_once_for_each_concept():
    lines = said(draft(findings(opacity()), history="Lung nodule. Lung nodule?"), SectionName.IMPRESSION)

    assert lines[1] == "The question of lung nodule is not answered: not evaluated."
    assert not any("named in the history" in line for line in lines)


@pytest.mark.parametrize("history", ["No lung nodule.", "Hypertension.", "Known emphysema.", "Mother had lung cancer."])
def test_a_history_that_was_looked_into_or_denied_adds_no_line(history):
    assert not any("not evaluated." in line for line in said(draft(history=history), SectionName.IMPRESSION)[:-1])


def test_a_nodule_does_not_answer_the_question_of_cancer():
    lines = said(draft(findings(nodule()), history="Lung cancer?"), SectionName.IMPRESSION)

    assert "The question of lung cancer is not answered: not evaluated." in lines


def test_an_absence_in_an_organ_that_was_not_evaluated_is_no_answer():
    only_lungs = COVERAGE.model_copy(update={"evaluated": ("lungs",), "not_evaluated": {"pleura": "not_segmented"}})
    lines = said(draft(coverage=only_lungs, history="Pleural effusion."), SectionName.IMPRESSION)

    assert lines[0] == "Pleural effusion, named in the history: not evaluated."


@pytest.mark.parametrize(
    ("language", "changes", "words"),
    [
        ("en", {}, ", including the consolidation"),
        ("zh", {}, "（含实变）"),
        ("en", {"presence": Presence.UNCERTAIN}, ", including the possible consolidation"),
        ("en", {"probability": 0.8}, ", including the probable consolidation"),
    ],
)
def test_an_opacity_says_that_it_includes_the_consolidation(language, changes, words):
    parts = measured("opacity_volume", right=65.0) + measured("opacity_percent", "%", 1, right=2.1)
    of = draft(findings(opacity(measurements=parts, anatomy=(), slice_index=58), dense(**changes)), language)
    told = [s.text for s in of.sections[SectionName.FINDINGS].sentences if "lung-opacity" in s.finding_ids]
    brief = [s.text for s in of.sections[SectionName.IMPRESSION].sentences if "lung-opacity" in s.finding_ids]

    if language == "en":
        assert told == [f"Opacity in the right lung, 65 mL, 2.1% of the right lung{words} (slice 59)."]
        assert brief == [f"Opacity in the right lung, 2.1% of the right lung{words}."]
    else:
        assert told == [f"右肺见密度增高影，体积65 mL，占右肺2.1%{words}（第59层）。"]
        assert brief == [f"右肺见密度增高影，占右肺2.1%{words}。"]
    assert review(of) == ()


def test_an_opacity_includes_no_consolidation_of_the_other_side_or_without_claim():
    assert "including" not in text(draft(findings(opacity(), dense("left"))))
    assert "including" not in text(draft(findings(opacity(), dense(probability=0.2))))


PARTLY = COVERAGE.model_copy(update={"is_partial": True})


@pytest.mark.parametrize(
    ("language", "coverage", "measures", "line"),
    [
        ("en", PARTLY, (), "No lung opacity or emphysema detected in the part of the lungs shown."),
        ("en", COVERAGE, (one_lung(),), "No lung opacity or emphysema detected in the right lung."),
        ("en", PARTLY, (one_lung("left"),), "No lung opacity or emphysema detected in the part of the left lung shown."),
        ("zh", PARTLY, (), "扫描所及的部分肺内未见明确肺内密度增高影或肺气肿。"),
        ("zh", COVERAGE, (one_lung(),), "右肺内未见明确肺内密度增高影或肺气肿。"),
    ],
)
def test_an_absence_holds_only_where_the_lungs_were_seen(language, coverage, measures, line):
    found = findings(absent=("lung_opacity", "emphysema"))
    of = draft((*found[:-4], *measures) if measures else found, language, coverage=coverage)

    assert line in said(of, SectionName.FINDINGS)
    assert line in said(of, SectionName.IMPRESSION)
    assert review(of) == ()


def test_an_absence_outside_the_lungs_keeps_its_own_line_when_the_lungs_are_cut():
    lines = said(draft(coverage=PARTLY), SectionName.IMPRESSION)

    assert "No pleural effusion detected among what was evaluated (pleura)." in lines
    assert "No consolidation, lung opacity or emphysema detected in the part of the lungs shown." in lines


def test_the_scope_names_only_organs_about_which_a_finding_was_answered():
    lines = said(draft(findings(absent=("lung_opacity", "emphysema"))), SectionName.IMPRESSION)

    assert lines[0] == "No lung opacity or emphysema detected among what was evaluated (lungs)."
    assert lines[-1].startswith("Evaluated: lungs only, and there not")


def test_a_draft_of_measurements_only_claims_no_evaluation():
    for language, words in (("en", "Measurements only (see Findings): no finding was assessed."), ("zh", "仅给出测量值")):
        of = draft(findings(absent=()), language)
        assert said(of, SectionName.IMPRESSION)[-1].startswith(words)
        assert review(of) == ()


@pytest.mark.parametrize(
    ("side", "language", "line", "brief"),
    [
        (
            Laterality.RIGHT,
            "en",
            "Emphysema in the right lung, low-attenuation area (< -950 HU) 15.2% of the right lung.",
            "Emphysema in the right lung, low-attenuation area (< -950 HU) 15.2% of the right lung.",
        ),
        (
            Laterality.BILATERAL,
            "en",
            "Emphysema in both lungs, low-attenuation area (< -950 HU) 15.2% of the right lung, 3.1% of the left lung.",
            "Emphysema in both lungs, low-attenuation area (< -950 HU) 15.2% of the right lung, 3.1% of the left lung.",
        ),
        (
            Laterality.LEFT,
            "zh",
            "左肺见肺气肿，低衰减区（< -950 HU）占左肺15.2%。",
            "左肺见肺气肿，低衰减区（< -950 HU）占左肺15.2%。",
        ),
    ],
)
def test_an_emphysema_is_told_by_its_sides(side, language, line, brief):
    of = draft(findings(emphysema(side)), language)

    assert line in said(of, SectionName.FINDINGS)
    assert said(of, SectionName.IMPRESSION)[0] == brief
    assert review(of) == ()


def test_the_total_of_both_lungs_is_told_once_whether_or_not_the_emphysema_has_a_side():
    total = seen("emphysema", measurements=measured("laa950", "%", 1, total=0.7))

    assert text(draft(findings(emphysema()))).count("total 0.7%") == 1
    assert "total 0.7%" not in text(draft(findings(total)))


def test_a_sided_emphysema_cites_its_own_lung():
    line = sentence(draft(findings(emphysema(Laterality.LEFT))), SectionName.FINDINGS, "Emphysema in")

    assert line.receipt.structure == "lung_left"
    assert line.receipt.measurements == ("laa950_left",)


def test_every_sentence_has_a_receipt():
    of = draft(findings(opacity(), effusion(), nodule()), history="cough")

    assert all(s.receipt is not None for section in of.sections.values() for s in section.sentences)


def test_the_same_inputs_give_the_same_bytes():
    first, again = (draft(findings(opacity(), effusion(), nodule())).model_dump_json() for _ in range(2))

    assert first == again
