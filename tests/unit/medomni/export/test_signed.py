from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from medomni.export.html import to_html
from medomni.export.signed import is_rejected, is_signed, signature_lines, signatures
from medomni.export.text import to_text
from medomni.export.writers import hands, written
from medomni.reporting.cleaned import clean
from medomni.reporting.edit import reopened
from medomni.types.finding import Presence
from medomni.types.report import Origin, Report, ReportState, Section, Sentence, Span
from medomni.types.section import SectionName
from tests import reports
from tests.unit.medomni.export import signed_reports as made


def test_signed_is_only_what_holds_the_signature_of_its_state():
    assert is_signed(made.final())
    assert not is_signed(reports.report())
    assert not is_signed(reports.report(state=ReportState.FINAL))
    assert not is_signed(made.final().model_copy(update={"state": ReportState.CORRECTED}))
    assert not is_signed(reports.report(state=ReportState.FINAL, signatures=(made.by(name="\u202e\x00"),)))


def test_an_earlier_signature_does_not_sign_a_later_version():
    amended = made.later(ReportState.AMENDED)
    assert not is_signed(amended.model_copy(update={"state": ReportState.FINAL}))


def test_a_report_that_was_opened_again_shows_no_signature():
    again = reopened(made.final())
    assert again.signatures
    assert signatures(again) == ()
    assert made.ROSSI not in to_html(again) + to_text(again)


def test_the_moment_is_told_in_utc():
    assert signature_lines(made.final()) == (("Signed as final by Dr. Ana Rossi, radiologist", "2024-01-02 10:30 UTC"),)


def test_a_signature_without_a_role_or_in_chinese_reads_well():
    bare = reports.report(state=ReportState.FINAL, signatures=(made.by(role=""),))
    assert signature_lines(bare)[0][0] == "Signed as final by Dr. Ana Rossi"
    assert signature_lines(made.final("zh"))[0][0] == "Dr. Ana Rossi（radiologist）签署，状态：最终报告"


def test_a_moment_without_a_zone_is_no_signature():
    with pytest.raises(ValidationError, match="timezone"):
        made.by(at=datetime(2024, 1, 2))


def test_a_rejected_finding_is_one_only_while_it_is_absent():
    report = made.final()
    nodule = next(finding for finding in report.findings if finding.id == "lung_nodule-1")
    assert is_rejected(nodule, report)
    assert not is_rejected(nodule.model_copy(update={"presence": Presence.PRESENT}), report)
    assert not is_rejected(nodule, reports.report())


ANY_TEXT = st.text(st.sampled_from("ab \t\n\u202e\x00\u3000山<&"), min_size=1, max_size=12)
ANY_SPAN = st.builds(
    lambda start, length, origin: Span(start=start, end=start + length, origin=origin),
    st.integers(0, 14),
    st.integers(1, 14),
    st.sampled_from(Origin),
)


@given(text=ANY_TEXT, spans=st.lists(ANY_SPAN, max_size=4))
def test_stretches_join_to_the_cleaned_text_whatever_the_spans_say(text, spans):
    stretches = written(Sentence(text=text, receipt=None, spans=tuple(spans)))
    assert "".join(stretch for stretch, _ in stretches) == clean(text)
    assert {hand for _, hand in stretches} <= {None, Origin.TYPED, Origin.DICTATED}


def test_what_a_person_changed_is_told_apart():
    spans = (
        Span(start=0, end=3, origin=Origin.AI),
        Span(start=3, end=7, origin=Origin.TYPED),
        Span(start=7, end=9, origin=Origin.TEMPLATE),
    )
    line = Sentence(text="No  new nodule", receipt=None, spans=spans)
    assert written(line) == (("No ", None), ("new", Origin.TYPED), (" nodule", None))
    assert hands(made.final()) == (Origin.TYPED, Origin.DICTATED)
    assert hands(reports.report()) == ()


def test_text_holds_addendum_and_signatures_in_order_of_time():
    lines = to_text(made.later(ReportState.APPENDED)).splitlines()
    order = ["Impression", "Addendum", made.ADDENDUM, "Signatures"]
    assert [line for line in lines if line in order] == order
    at = lines.index("Signatures")
    assert lines[at + 2 : at + 4] == [
        "Signed as final by Dr. Ana Rossi, radiologist, 2024-01-02 10:30 UTC",
        "Signed as appended by Dr. Ken Sato, radiologist, 2024-01-03 09:05 UTC",
    ]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_hostile_signature_is_shown_as_text(language):
    report: Report = reports.hostile_report(language).model_copy(
        update={"state": ReportState.FINAL, "signatures": (made.by(name=reports.HOSTILE, role=reports.HOSTILE),)}
    )
    page, text = to_html(report), to_text(report)
    assert "<script" not in page
    assert not any(character in page + text for character in "\x00\x07\u202e")
    assert "<script>alert(1)</script>" in " ".join(text.split())


def test_a_signed_report_without_an_impression_still_shows_its_signature():
    heading = Section(heading="Examination", sentences=(Sentence(text="CT.", receipt=None),))
    report = reports.report(
        sections={SectionName.EXAMINATION: heading}, state=ReportState.FINAL, signatures=(made.by(),), findings=()
    )
    assert made.ROSSI in to_html(report)
