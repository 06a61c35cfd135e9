"""Ten signed reports change order and phrases of a draft, and nothing of what it says."""

import pytest

from medomni.errors import BadInput
from medomni.reporting import labeler
from medomni.reporting.edit import apply
from medomni.reporting.house_style import learn, split
from medomni.reporting.review import review
from medomni.types.edit import Judge
from medomni.types.report import Draft, Report, Verdict
from medomni.types.section import SectionName
from medomni.types.style import Style
from tests import drafts, reports

LANGUAGES = ("en", "zh")
LOBES = ("right upper lobe", "left lower lobe", "right middle lobe", "left upper lobe", "right lower lobe")


def english(number):
    """One of ten reports of a house that puts its conclusion first and the lungs last."""
    odd = number % 5 == 4
    absent = "No sign of pericardial effusion." if odd else "There is no pericardial effusion or cardiomegaly."
    return f"""ST. ELSEWHERE HOSPITAL
Report 4711-{number}

CONCLUSION:
1. Nodule as described.

HISTORY: Cough for {number + 2} weeks.
TECHNIQUE: Helical CT without contrast.
COMPARISON: There are no prior studies.

FINDINGS:
{absent} There is no lymphadenopathy.
{"No evidence of" if odd else "There is no"} pleural effusion.
Nodule is seen in the {LOBES[number % 5]}, {number + 5} mm.
"""


def chinese(number):
    absent = "无心包积液。" if number % 5 == 4 else "未发现心包积液。"
    return f"""影像诊断：
右肺上叶结节。
检查方法：胸部CT平扫。
影像表现：
{absent}未发现胸腔积液。
右肺上叶见结节，大小约{number + 5} mm。
"""


TEXTS = {"en": [english(k) for k in range(10)], "zh": [chinese(k) for k in range(10)]}


def drafted(style, language):
    found = drafts.findings(drafts.nodule(anatomy=("lung_upper_lobe_right",), laterality="right"))
    return drafts.draft(found, language, style=style)


def said(of, section):
    return [sentence.text for sentence in of.sections[section].sentences]


def test_ten_english_reports_change_order_headings_and_phrases():
    style = learn(TEXTS["en"], "en").style

    assert style.reports == 10
    assert style.sections[0] == "impression"
    assert style.headings == {
        "impression": "CONCLUSION",
        "indication": "HISTORY",
        "technique": "TECHNIQUE",
        "comparison": "COMPARISON",
        "findings": "FINDINGS",
    }
    assert style.phrases == {
        "findings.absent": "There is no {findings}.",
        "findings.absent_in": "There is no {findings} in {place}.",
        "line.in_places": "{finding} is seen in {places}{details}{image}.",
        "comparison.none": "There are no prior studies.",
    }
    assert style.organs.index("heart") < style.organs.index("pleura") < style.organs.index("lungs")


def test_ten_chinese_reports_change_order_headings_and_the_phrase_of_absence():
    style = learn(TEXTS["zh"], "zh").style

    assert style.sections[:2] == ("impression", "technique")
    assert style.headings["findings"] == "影像表现"
    assert style.phrases == {"findings.absent": "未发现{findings}。", "findings.absent_in": "{place}内未发现{findings}。"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_draft_in_the_style_sounds_otherwise_and_says_the_same(language):
    style = learn(TEXTS[language], language).style
    usual, housed = drafted(None, language), drafted(style, language)

    order = list(housed.sections)
    assert order.index(SectionName.IMPRESSION) < order.index(SectionName.FINDINGS)
    assert order[0] is SectionName.EXAMINATION  # of which the house says nothing
    assert housed.findings == usual.findings
    begins = {"en": "There is no ", "zh": "未发现"}[language]
    assert any(text.startswith(begins) for text in said(housed, SectionName.FINDINGS))
    assert not any(text.startswith(begins) for text in said(usual, SectionName.FINDINGS))
    organs = [sentence.organ for sentence in housed.sections[SectionName.FINDINGS].sentences if sentence.organ]
    assert organs.index("pleura") < organs.index("lungs")
    for section in (SectionName.FINDINGS, SectionName.IMPRESSION):
        one, other = (labeler.presences("\n".join(said(of, section)), language) for of in (usual, housed))
        assert one == other
    assert review(housed) == review(usual)


def test_an_edit_makes_sentences_of_the_style_anew():
    housed = drafted(learn(TEXTS["en"], "en").style, "en")
    report = Report(**{name: getattr(housed, name) for name in Draft.model_fields}, provenance=reports.report().provenance)
    assert any("is seen in the right upper lobe" in text for text in said(report, SectionName.FINDINGS))
    nodule = next(finding for finding in report.findings if finding.label == "lung_nodule")

    after = apply(report, (Judge(finding_id=nodule.id, verdict=Verdict.REJECTED),))

    assert any(text.startswith("There is no ") for text in said(after, SectionName.FINDINGS))
    assert not any("is seen in" in text for text in said(after, SectionName.FINDINGS))
    assert list(after.sections) == list(report.sections)
    assert Report.model_validate_json(after.model_dump_json()) == after


def test_a_style_of_another_language_changes_nothing():
    assert drafted(learn(TEXTS["en"], "en").style, "zh") == drafted(None, "zh")


@pytest.mark.parametrize(
    "denial",
    [
        *("There may be {}.", "{} cannot be excluded.", "No left {}.", "Nothing but {}."),
        *("No pneumothorax or {}.", "No fracture or {}.", "Known carcinoma; no {}.", "The heart is normal and there is no {}."),
        *(
            "Mrs Jane Miller has no {}.",
            "Smith sees no {}.",
            "No new {}.",
            "No significant {}.",
            "No residual {} after drainage.",
        ),
    ],
)
def test_a_phrase_that_is_read_otherwise_is_not_taken(denial):
    text = "FINDINGS:\n" + denial.format("pleural effusion") + "\n" + denial.format("pericardial effusion") + "\n"

    assert learn([f"{text}Slice {k}." for k in range(10)], "en").style.phrases == {}


def test_what_only_some_do_is_no_habit():
    texts = [english(k) for k in range(3)]
    texts += [english(k).replace("There is no", "I see no") for k in range(3)]
    texts += [english(k).replace("There is no", "Without any") for k in range(3)]

    assert "findings.absent" not in learn(texts, "en").style.phrases


def test_too_few_reports_are_refused():
    with pytest.raises(BadInput, match=r"too few reports .* 2 different ones with known headings of 3"):
        learn([english(0), english(1), "A letter without headings."], "en")


def test_a_report_is_split_at_its_own_headings():
    parts = split("FINDINGS\n---\nNo effusion. Heart size: normal.\nIMPRESSION: Normal for age.\n2. Follow up.", "en")

    assert [(name.value, heading, said) for name, heading, said in parts.sections] == [
        ("findings", "FINDINGS", ("No effusion.", "Heart size: normal.")),
        ("impression", "IMPRESSION", ("Normal for age.", "Follow up.")),
    ]


def test_style_holds_no_more_than_it_says():
    assert set(Style.model_fields) == {"language", "sections", "headings", "organs", "phrases", "reports"}
    assert "4711" not in learn(TEXTS["en"], "en").style.model_dump_json()


@pytest.mark.parametrize(
    "between", ["not in", "is malignant in", "is calcified in", "is unchanged in", "is no larger in", "is seen by smith in"]
)
def test_words_between_a_finding_and_its_lobe_are_of_a_closed_list(between):
    texts = [f"FINDINGS:\nNodule {between} the {lobe}, {k} mm.\n" for k, lobe in enumerate(LOBES)]

    assert learn(texts, "en").style.phrases == {}


def test_the_same_report_twice_is_one_report():
    with pytest.raises(BadInput, match="1 different ones with known headings of 10"):
        learn([english(0)] * 10, "en")


@pytest.mark.parametrize(
    "wrong",
    [
        {"phrases": {"findings.absent": "No {finding}."}},
        {"phrases": {"findings.absent": "No {findings."}},
        {"phrases": {"findings.absent": "No {0}."}},
        {"phrases": {"findings.absent": "No {findings.__class__}."}},
        {"phrases": {"findings.absent": "No {findings:>999999999}."}},
        {"phrases": {"findings.absent": "No {findings} or {findings}."}},
        {"phrases": {"hedge.possible": "certain {finding}"}},
        {"headings": {"findings": "{x}"}},
        {"headings": {"findings": ""}},
        {"headings": {"letter": "Letter"}},
        {"sections": ["findings", "findings"]},
        {"sections": ["letter"]},
        {"organs": ["soul"]},
    ],
)
def test_a_style_that_would_break_a_draft_is_none(wrong):
    with pytest.raises(ValueError, match="validation error"):
        Style.model_validate({"language": "en"} | wrong)
