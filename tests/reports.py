"""Builders of reports for the tests of what leaves the house: an ordinary one, a Chinese one, and one full of hostile text."""

from medomni.types.context import PatientContext
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.provenance import Part, Provenance
from medomni.types.region import Coverage
from medomni.types.report import Receipt, ReceiptKind, Report, Section, Sentence
from medomni.types.section import SectionName
from medomni.types.study import Acquisition, Contrast
from tests import factories

ABSENT = ("cardiomegaly", "pericardial_effusion", "lymphadenopathy", "emphysema", "atelectasis", "bronchiectasis")
NOT_EVALUATED = ("hiatal_hernia", "medical_material", "mosaic_attenuation_pattern", "peribronchial_thickening")
HOSTILE = "a\"><script>alert(1)</script>&amp;'--\x00\x07\ufffd\u202egnp.exe <img src=x onerror=y> ${jndi:x} 山田"

WORDS = {
    "en": {
        "headings": ("Examination", "Indication", "Technique", "Comparison", "Findings", "Impression"),
        "examination": "CT of the chest.",
        "indication": "Cough (3 days).",
        "unproven": "Fever.",
        "technique": "120 slices, 3 mm apart, pixel size 0.7 mm.",
        "comparison": "None available.",
        "opacity": "Opacity in the right lower zone (120 mL), 7% of the right lung (slice 45).",
        "nodule": "Possible nodule in the left upper zone, at least 8 x 6 mm (slice 88).",
        "fluid": "Pleural effusion on the right, 85 mL (slice 20).",
        "absent": "No cardiomegaly or pericardial effusion detected.",
        "impression": (
            "Opacity in the right lower zone.",
            "Right pleural effusion.",
            "Possible nodule in the left upper zone.",
        ),
    },
    "zh": {
        "headings": ("检查", "适应证", "技术", "对比", "所见", "印象"),
        "examination": "胸部CT。",
        "indication": "咳嗽(3天)。",
        "unproven": "发热。",
        "technique": "共120层,层间距3 mm,像素0.7 mm。",
        "comparison": "无可对比的既往检查。",
        "opacity": "右肺下野见密度增高影,体积120 mL,占右肺7%(第45层)。",
        "nodule": "左肺上野可能有结节,至少8 x 6 mm(第88层)。",
        "fluid": "右侧胸腔积液,约85 mL(第20层)。",
        "absent": "未见心影增大或心包积液。",
        "impression": ("右肺下野密度增高影。", "右侧胸腔积液。", "左肺上野可能有结节。"),
    },
}


def findings():
    """Three seen, some absent, some not evaluated, and the measurements."""
    box = ((-90.0, -20.0, -250.0), (-30.0, 60.0, -190.0))
    seen = Evidence(structure="lung_opacity", slice_index=44, position_mm=(-60.4, 21.0, -210.5), box_mm=box, source="hu-rules")
    return (
        Finding(
            id="lung_opacity-1",
            label="lung_opacity",
            presence=Presence.PRESENT,
            probability=0.93,
            laterality=Laterality.RIGHT,
            anatomy=("right_lower_zone",),
            measurements=(
                Measurement(name="opacity_volume_right", value=120.4, unit="mL", slice_index=44),
                Measurement(name="opacity_percent_right", value=7.02, unit="%"),
            ),
            box_mm=box,
            evidence=(seen,),
        ),
        Finding(
            id="lung_nodule-1",
            label="lung_nodule",
            presence=Presence.UNCERTAIN,
            probability=0.5,
            laterality=Laterality.LEFT,
            anatomy=("left_upper_zone",),
            measurements=(
                Measurement(name="long_diameter", value=8.2, unit="mm", is_lower_bound=True, slice_index=87),
                Measurement(name="short_diameter", value=6.1, unit="mm", slice_index=87),
            ),
            evidence=(Evidence(structure="nodule", slice_index=87),),
        ),
        Finding(
            id="pleural_effusion-1",
            label="pleural_effusion",
            presence=Presence.PRESENT,
            probability=0.8,
            laterality=Laterality.RIGHT,
            measurements=(Measurement(name="effusion_volume_right", value=85.0, unit="mL", is_lower_bound=True),),
            evidence=(Evidence(structure="pleural_effusion", slice_index=19),),
        ),
        *(Finding(id=label, label=label, presence=Presence.ABSENT) for label in ABSENT),
        *(Finding(id=k, label=k, presence=Presence.NOT_EVALUATED, reason="no_detector") for k in NOT_EVALUATED),
        _measured(
            "lung_volume", lung_volume_right=(2650.7, "mL"), lung_volume_left=(2210.0, "mL"), lung_volume_total=(4860.7, "mL")
        ),
        _measured("low_attenuation_area", laa950_total=(0.42, "%")),
        _measured("organ_volume", "liver", volume=(1430.2, "mL"), mean_hu=(55.31, "[hnsf'U]")),
    )


def report(language="en", **changes):
    """An ordinary chest report."""
    values = {
        "language": language,
        "context": PatientContext(age_years=60, sex="F", history_sha256="ab" * 32, history_characters=40),
        "acquisition": Acquisition(contrast=Contrast.NONE),
        "coverage": Coverage(region="chest", evaluated=("lungs", "pleura", "heart"), not_evaluated={"liver": "not_segmented"}),
        "findings": findings(),
        "sections": sections(language),
        "notices": (
            Notice(code="gap_in_series", fields={"from_mm": "-210", "to_mm": "-204"}),
            Notice(code="no_code_of_ours", level=NoticeLevel.INFO),
        ),
        "provenance": Provenance(
            study_key="0123456789abcdef0123456789abcdef",
            input_sha256="cd" * 32,
            parts=(
                Part(role="software", name="medomni", version="0.1.0"),
                Part(role="segmenter", name="hu-rules", version="1", digest="ef" * 32),
            ),
        ),
    }
    return Report(**{**values, **changes})


def sections(language="en"):
    """All six sections, one sentence of them without a receipt."""
    words = WORDS[language]
    headings = dict(zip(SectionName, words["headings"], strict=False))
    box = ((-90.0, -20.0, -250.0), (-30.0, 60.0, -190.0))
    opacity = Receipt(
        kind=ReceiptKind.MEASURED,
        structure="lung_opacity",
        slice_index=44,
        position_mm=(-60.4, 21.0, -210.5),
        box_mm=box,
        measurements=("opacity_volume_right", "opacity_percent_right"),
        label="lung_opacity",
        probability=0.93,
    )
    nodule = Receipt(kind=ReceiptKind.MODEL, label="lung_nodule", probability=0.5, threshold=0.4, slice_index=87)
    fluid = Receipt(
        kind=ReceiptKind.MEASURED, structure="pleural_effusion", measurements=("effusion_volume_right",), slice_index=19
    )
    template = Receipt(kind=ReceiptKind.TEMPLATE)
    lines = {
        SectionName.EXAMINATION: (
            Sentence(text=words["examination"], receipt=Receipt(kind=ReceiptKind.TAG, tags=("BodyPartExamined",))),
        ),
        SectionName.INDICATION: (
            Sentence(text=words["indication"], receipt=Receipt(kind=ReceiptKind.HISTORY, span=(4, 18))),
            Sentence(text=words["unproven"], receipt=None),
        ),
        SectionName.TECHNIQUE: (
            Sentence(text=words["technique"], receipt=Receipt(kind=ReceiptKind.TAG, tags=("SliceThickness", "PixelSpacing"))),
        ),
        SectionName.COMPARISON: (Sentence(text=words["comparison"], receipt=template),),
        SectionName.FINDINGS: (
            Sentence(text=words["opacity"], receipt=opacity, finding_ids=("lung_opacity-1",), organ="lungs"),
            Sentence(text=words["nodule"], receipt=nodule, finding_ids=("lung_nodule-1",), organ="lungs"),
            Sentence(text=words["fluid"], receipt=fluid, finding_ids=("pleural_effusion-1",), organ="pleura"),
            Sentence(text=words["absent"], receipt=template, finding_ids=ABSENT[:2], organ="heart"),
        ),
        SectionName.IMPRESSION: tuple(
            Sentence(text=text, receipt=proof, finding_ids=(about,))
            for text, proof, about in zip(
                words["impression"],
                (opacity, fluid, nodule),
                ("lung_opacity-1", "pleural_effusion-1", "lung_nodule-1"),
                strict=True,
            )
        ),
    }
    return {key: Section(heading=headings[key], sentences=lines[key]) for key in lines}


def hostile_report(language="en"):
    """A report with hostile text in every field that can hold text."""
    proof = Receipt(kind=ReceiptKind.TAG, tags=(HOSTILE,), structure=HOSTILE, label=HOSTILE)
    sentence = Sentence(text=HOSTILE, receipt=proof, organ=HOSTILE)
    measured = Measurement(name="volume", value=1.0, unit="mL", structure=HOSTILE)
    hostile = Finding(
        id="x",
        label="nothing_known",
        presence=Presence.PRESENT,
        measurements=(measured,),
        evidence=(Evidence(structure=HOSTILE, slice_index=3),),
    )
    return report(
        language,
        findings=(hostile,),
        sections={key: Section(heading=HOSTILE, sentences=(sentence,)) for key in SectionName},
        notices=(Notice(code="gap_in_series", fields={"from_mm": HOSTILE, "to_mm": HOSTILE}),),
        provenance=Provenance(
            study_key=HOSTILE, input_sha256=HOSTILE, parts=(Part(role=HOSTILE, name=HOSTILE, version=HOSTILE, digest=HOSTILE),)
        ),
    )


def study(**changes):
    """A study whose identity is written out, so that a leak of it shows."""
    identity = factories.identity().model_copy(update=changes)
    return factories.study(factories.grid((120, 32, 40)), identity=identity)


def hostile_study():
    """A study whose header holds hostile text, bad dates and no usable UID."""
    return study(
        patient_id=HOSTILE,
        patient_id_issuer=HOSTILE,
        patient_name=f"{HOSTILE}^Tarou^^^=山田^太郎=やまだ^たろう",
        birth_date="19630229",
        accession_number=HOSTILE,
        study_date="2024-1-2",
        study_instance_uid="not a uid",
        series_instance_uid="1.2.840.0123",
    )


def _measured(label, structure="", **numbers):
    values = tuple(
        Measurement(name=name, value=value, unit=unit, structure=structure, decimals=1 if unit == "%" else 0)
        for name, (value, unit) in numbers.items()
    )
    proof = (Evidence(structure=structure or "lung_right", source="hu-rules"),)
    return Finding(
        id=f"{label}-{structure}" if structure else label,
        label=label,
        presence=Presence.PRESENT,
        measurements=values,
        evidence=proof,
    )
