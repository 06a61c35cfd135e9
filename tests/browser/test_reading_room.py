"""The reading room as people use it: from the upload to the signed report, and what may go wrong on the way."""

import json
import os
import re
import shutil
import signal
import subprocess
import tarfile

import pytest

from app.desk import writing
from app.store import audit, reports
from app.store.database import reading, transaction
from medomni.export.fhir_check import check_bundle
from medomni.model import weights
from medomni.settings import load
from medomni.types.edit import Reword
from medomni.types.report import ReportState
from medomni.types.section import SectionName
from tests.browser.conftest import PATIENCE_MS
from tests.browser.serving import serving
from tests.hostile.conftest import shared_data

pytestmark = pytest.mark.browser
HOME = load(os.environ).home
"""Where pulled weights are, before a test sets a home of its own."""


def open_report(page, served, study_id):
    page.goto(f"{served.address}/?study={study_id}")
    page.wait_for_selector(".mo-section.findings .mo-text")


def stored(served, report_id):
    with reading(served.desk.engine) as tx:
        return writing.report_of(reports.read(tx, report_id))


def reports_of(served, report_id):
    with reading(served.desk.engine) as tx:
        return reports.history(tx, report_id)


def type_into(page, section, text, index=0):
    page.locator(f".mo-section.{section} .mo-text").nth(index).dblclick()
    page.keyboard.press("End")
    page.keyboard.type(text)


def saved(page):
    page.wait_for_function("document.querySelector('.mo-saved')?.classList.contains('saved')")


def sign(page):
    page.get_by_role("button", name="Sign…").click()
    page.wait_for_selector("dialog[open]")
    for box in page.locator("dialog[open] input[type=checkbox]").all():
        box.check()
    page.locator("dialog[open]").get_by_role("button", name=re.compile("Sign as")).click()
    page.wait_for_selector(".mo-state.final")


def downloaded(page, name):
    page.locator(".mo-menu summary").click()
    with page.expect_download() as told:
        page.get_by_role("button", name=name, exact=True).click()
    return told.value.path().read_bytes()


def test_from_draft_to_signed_report_with_its_files(page, served, report):
    study_id, report_id = report
    open_report(page, served, study_id)
    page.wait_for_selector(".medomni-viewer canvas")
    page.wait_for_function("document.querySelector('.medomni-viewer')?.innerText.includes('slice')")

    wanted = re.search("[0-9]+", page.locator(".mo-section.findings .mo-receipt").first.inner_text())[0]
    assert f"slice {wanted} of" not in page.locator(".medomni-viewer").inner_text()
    page.locator(".mo-section.findings .mo-look").first.click()
    page.wait_for_function("text => document.querySelector('.medomni-viewer').innerText.includes(text)", arg=f"slice {wanted} of")

    type_into(page, "impression", " Follow-up in three months.")
    page.keyboard.press("Enter")
    saved(page)
    page.fill("#mo-dictation", "Clinical correlation is recommended.")
    page.get_by_role("button", name="Insert as text").click()
    page.locator(".mo-understood").get_by_role("button", name="Impression").click()
    saved(page)
    sign(page)

    signed = stored(served, report_id)
    assert signed.state is ReportState.FINAL
    assert signed.signatures[0].name == "Dr Test"
    text = " ".join(sentence.text for sentence in signed.sections[SectionName.IMPRESSION].sentences)
    assert "Follow-up in three months." in text
    assert "Clinical correlation is recommended." in text

    assert downloaded(page, "PDF").startswith(b"%PDF-")
    assert "Follow-up in three months." in downloaded(page, "Web page").decode()
    bundle = downloaded(page, "FHIR R4")
    assert not check_bundle(json.loads(bundle))
    [told] = [one["resource"] for one in json.loads(bundle)["entry"] if one["resource"]["resourceType"] == "DiagnosticReport"]
    assert told["status"] == "final"


def test_real_ct_is_drafted_while_one_looks_and_signed(page, served, tmp_path):
    """A patient's chest CT, from the files to the signed report; the folder of real CT is no part of the repository."""
    with tarfile.open(shared_data("ct/chest-tcia-rider-pilot.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    page.goto(served.address)
    page.get_by_role("button", name="Add a study").click()
    page.set_input_files("#mo-files", sorted(str(path) for path in tmp_path.rglob("*.dcm")))
    page.fill("#mo-history", "Known lung cancer. Effusion?")
    page.get_by_role("button", name="Send and draft").click()
    page.locator("tr:has(.mo-state.running) .mo-link").click()
    page.wait_for_selector(".mo-known .mo-section")  # what is known is shown before there is a draft
    assert page.locator(".mo-stage").inner_text()
    assert page.locator(".mo-report").count() == 0
    page.wait_for_selector(".medomni-viewer canvas")
    page.wait_for_selector(".mo-stage:has-text('left')")
    page.wait_for_selector(".mo-section.findings .mo-text", timeout=4 * PATIENCE_MS)

    look = (
        page.locator(".mo-section.findings .mo-line:has(.mo-receipt.measured)").filter(has_text=re.compile("slice [0-9]+")).first
    )
    wanted = re.search("slice ([0-9]+)", look.locator(".mo-receipt").inner_text())[1]
    look.locator(".mo-look").click()
    page.wait_for_function("text => document.querySelector('.medomni-viewer').innerText.includes(text)", arg=f"slice {wanted} of")
    type_into(page, "impression", " Comparison is advised.")
    page.keyboard.press("Enter")
    saved(page)
    page.fill("#mo-dictation", "Add no pericardial effusion.")
    page.get_by_role("button", name="Preview the change").click()
    page.locator(".mo-understood").get_by_role("button", name=re.compile("Apply|Cancel")).first.click()
    sign(page)
    assert downloaded(page, "PDF").startswith(b"%PDF-")
    assert not check_bundle(json.loads(downloaded(page, "FHIR R4")))


def test_signed_report_takes_an_addendum_and_a_correction(page, served, report):
    study_id, report_id = report
    open_report(page, served, study_id)
    sign(page)
    assert page.locator(".mo-line-acts").count() == 0

    page.get_by_role("button", name="Addendum…").click()
    page.locator("dialog textarea").fill("The referring physician was told by telephone.")
    page.get_by_role("button", name="Sign the addendum").click()
    page.wait_for_selector(".mo-state.appended")

    page.get_by_role("button", name="Correct…").click()
    type_into(page, "impression", " Corrected.")
    page.keyboard.press("Enter")
    page.wait_for_selector(".mo-section.impression >> text=Corrected.")
    assert "Corrected." not in str(stored(served, report_id).sections[SectionName.IMPRESSION])
    page.get_by_role("button", name="Sign as corrected").click()
    for box in page.locator("dialog[open] input[type=checkbox]").all():
        box.check()
    page.locator("dialog[open]").get_by_role("button", name="Sign as corrected").click()
    page.wait_for_selector(".mo-state.corrected")

    now = stored(served, report_id)
    assert [one.state for one in now.signatures] == [ReportState.FINAL, ReportState.APPENDED, ReportState.CORRECTED]
    with reading(served.desk.engine) as tx:
        assert [one.state for one in reports.history(tx, report_id)][-3:] == [one.state for one in now.signatures]


def test_pasted_cut_out_of_the_image_leads_back_to_its_slice(page, served, report):
    open_report(page, served, report[0])
    page.wait_for_selector(".medomni-viewer canvas")
    page.wait_for_function("document.querySelector('.medomni-viewer')?.innerText.includes('slice')")
    page.locator(".mo-section.findings .mo-look").first.click()
    canvas = page.locator(".medomni-viewer canvas").first
    canvas.click()
    page.keyboard.press("a")
    page.keyboard.press("o")  # outlines off
    page.wait_for_timeout(500)
    before = int(re.search("slice ([0-9]+) of", page.locator(".medomni-viewer").inner_text())[1])
    room = canvas.bounding_box()
    edge = min(room["width"], room["height"]) / 2.5
    clip = {
        "x": room["x"] + room["width"] / 2 - edge,
        "y": room["y"] + room["height"] / 2 - edge / 2,
        "width": edge,
        "height": edge,
    }
    picture = page.screenshot(clip=clip)
    for _ in range(9):
        page.keyboard.press("ArrowUp")
    page.wait_for_function("n => !document.querySelector('.medomni-viewer').innerText.includes(`slice ${n} of`)", arg=before)

    paste(page, picture)
    page.wait_for_selector(".mo-line-told:has-text('was found')")
    page.wait_for_timeout(500)
    after = int(re.search("slice ([0-9]+) of", page.locator(".medomni-viewer").inner_text())[1])
    assert abs(after - before) <= 2

    paste(page, b"no picture")
    page.wait_for_selector("dialog[open]:has-text('no picture that can be read')")


def paste(page, data):
    """Paste bytes as a picture."""
    page.evaluate(
        """numbers => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(numbers)], "x.png", { type: "image/png" }));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true }));
        }""",
        list(data),
    )


def test_reload_in_the_middle_of_an_edit_loses_nothing(page, served, report):
    study_id, report_id = report
    open_report(page, served, study_id)
    type_into(page, "impression", " Kept through a reload.")
    saved(page)
    page.reload()
    page.wait_for_selector(".mo-section.impression >> text=Kept through a reload.")
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function("!document.querySelector('.mo-section.impression').innerText.includes('Kept through a reload.')")
    saved(page)
    assert "Kept through" not in str(stored(served, report_id).sections[SectionName.IMPRESSION])


def test_words_of_the_last_moment_are_sent_when_the_page_is_left(page, served, report):
    study_id, _ = report
    open_report(page, served, study_id)
    page.on("dialog", lambda dialog: dialog.accept())
    type_into(page, "impression", " Typed a moment before.")
    page.goto(f"{served.address}/health")
    page.wait_for_selector("text=Drafts waiting")
    open_report(page, served, study_id)
    assert "Typed a moment before." in page.locator(".mo-section.impression").inner_text()


def test_a_receipt_opens_across_the_line_and_an_edited_sentence_says_so(page, served, report):
    study_id, _ = report
    open_report(page, served, study_id)
    line = page.locator(".mo-section.findings .mo-line:has(details.mo-receipt.measured)").first
    line.locator("summary").click()
    assert line.locator("dl").bounding_box()["width"] > 0.7 * line.bounding_box()["width"]
    type_into(page, "findings", " Seen by me.")
    page.keyboard.press("Enter")
    saved(page)
    assert "(before: " in page.locator(".mo-section.findings .mo-line").first.inner_text()


def test_a_contradiction_in_the_text_must_be_confirmed_before_it_is_signed(page, served, report):
    study_id, report_id = report
    open_report(page, served, study_id)
    finding = next(one for one in stored(served, report_id).findings if one.label == "pleural_effusion")
    page.locator(".mo-section.findings").get_by_role("button", name=re.compile("Add a sentence")).click()
    page.keyboard.type("No pleural effusion.")
    page.keyboard.press("Enter")
    saved(page)
    assert finding.presence.value == "present"
    page.get_by_role("button", name="Sign…").click()
    page.wait_for_selector("dialog[open] >> text=The text denies pleural effusion, but it is a coded finding.")
    assert page.locator("dialog[open]").get_by_role("button", name=re.compile("Sign as")).is_disabled()


def test_what_is_only_possible_is_stated_on_a_click(page, served, report):
    study_id, _ = report
    open_report(page, served, study_id)
    row = page.locator(".mo-finding.uncertain").first
    name = row.locator("strong").inner_text()
    row.get_by_role("button", name=re.compile("It is there")).click()
    saved(page)
    page.wait_for_selector(f".mo-finding.present:has(strong:text-is('{name}'))")


def test_lost_network_keeps_what_is_typed_and_sends_it_later(page, served, report):
    study_id, report_id = report
    open_report(page, served, study_id)
    page.context.set_offline(True)
    type_into(page, "impression", " Typed without a network.")
    page.wait_for_selector(".mo-saved.retrying")
    assert "Typed without" not in str(stored(served, report_id))
    page.context.set_offline(False)
    saved(page)
    assert str(stored(served, report_id)).count("Typed without a network.") == 1


def test_network_that_is_lost_while_the_images_come_leaves_the_text(page, served, report):
    study_id, report_id = report
    page.route(re.compile("/parts$"), lambda route: route.abort())
    open_report(page, served, study_id)
    page.wait_for_selector(".mo-images .mo-error:has-text('cannot be reached')")
    type_into(page, "impression", " Typed beside no image.")
    page.keyboard.press("Enter")
    saved(page)
    assert "Typed beside no image." in str(stored(served, report_id))
    page.unroute(re.compile("/parts$"))
    page.locator(".mo-images").get_by_role("button").click()
    page.wait_for_selector(".medomni-viewer canvas")


def test_a_server_that_is_gone_is_told_in_our_words(browser, tmp_path):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    with serving(tmp_path) as server:
        page.goto(server.address)
        page.wait_for_selector(".mo-empty")
        os.kill(server.process, signal.SIGKILL)
        page.wait_for_selector("[role=dialog]:has-text('MedOmni does not answer')")
        assert "Streamlit" not in page.locator("[role=dialog]").inner_text()
    page.close()


def test_whoever_saves_second_is_told_and_nothing_is_lost(page, served, report):
    study_id, report_id = report
    open_report(page, served, study_id)
    theirs = Reword(section=SectionName.COMPARISON, index=0, text="Compared with nothing, says the colleague.")
    writing.change(served.desk, served.colleague(), writing.Asked(report_id, 1, "theirs"), (theirs,))
    type_into(page, "impression", " Mine.")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] >> text=This report was changed meanwhile")
    page.screenshot()
    page.get_by_role("button", name="Apply mine to it").click()
    saved(page)
    text = str(stored(served, report_id))
    assert "says the colleague" in text
    assert "Mine." in text


def test_removing_a_sentence_while_another_is_written_changes_just_these_two(page, served, report):
    study_id, report_id = report
    open_report(page, served, study_id)
    before = [sentence.text for sentence in stored(served, report_id).sections[SectionName.FINDINGS].sentences]
    type_into(page, "findings", " Typed.", 2)
    page.locator(".mo-section.findings .mo-line").first.locator("[data-act=remove]").click(force=True)
    page.wait_for_function("document.querySelector('.mo-saved')?.classList.contains('saved')")
    page.wait_for_function(f"document.querySelectorAll('.mo-section.findings .mo-text').length === {len(before) - 1}")
    saved(page)
    after = [sentence.text for sentence in stored(served, report_id).sections[SectionName.FINDINGS].sentences]
    assert after == [before[1], before[2] + " Typed.", *before[3:]]


def test_what_is_refused_does_not_look_saved_and_is_shown_to_be_kept(page, served, report):
    study_id, report_id = report
    open_report(page, served, study_id)
    kept = stored(served, report_id).sections[SectionName.IMPRESSION].sentences[0].text
    no = {"error": {"wrong": "this is refused", "found": "", "remedy": "try otherwise"}}
    page.route("**/edits", lambda route: route.fulfill(status=400, json=no))
    type_into(page, "impression", " Refused words.")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] >> text=Refused words.")
    page.locator("dialog[open]").get_by_role("button", name="Close").click()
    page.wait_for_function("text => document.querySelector('.mo-section.impression .mo-text').innerText === text", arg=kept)
    assert "unsaved" in page.locator(".mo-saved").get_attribute("class")


def test_a_signature_that_meets_another_version_is_not_sent_again(page, served, report):
    study_id, report_id = report
    open_report(page, served, study_id)
    page.get_by_role("button", name="Sign…").click()
    page.wait_for_selector("dialog[open]")
    theirs = Reword(section=SectionName.COMPARISON, index=0, text="Compared with nothing, says the colleague.")
    writing.change(served.desk, served.colleague(), writing.Asked(report_id, 1, "before the signature"), (theirs,))
    for box in page.locator("dialog[open] input[type=checkbox]").all():
        box.check()
    page.locator("dialog[open]").get_by_role("button", name=re.compile("Sign as")).click()
    page.get_by_role("button", name="Apply mine to it").click()
    page.wait_for_selector(".mo-section.comparison:has-text('says the colleague')")
    assert stored(served, report_id).state is ReportState.DRAFT


def test_a_held_report_says_who_holds_it(page, served, report):
    study_id, report_id = report
    colleague = served.colleague()
    with transaction(served.desk.engine) as tx:
        reports.hold(tx, colleague, report_id)
    open_report(page, served, study_id)
    page.wait_for_selector(".mo-banner >> text=Dr Colleague")


def test_keyboard_alone_reads_edits_and_signs(page, served, report):
    study_id, report_id = report
    page.goto(served.address)
    page.wait_for_selector(f'[data-study="{study_id}"]')
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement?.dataset?.study") == study_id:
            break
    page.keyboard.press("Enter")
    page.wait_for_selector(".mo-section.findings .mo-text")
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement?.matches('.mo-section.findings .mo-text')"):
            break
    first = page.evaluate("document.activeElement.innerText")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.innerText") != first
    page.keyboard.press("F2")
    page.keyboard.press("End")
    page.keyboard.type(" By keyboard.")
    page.keyboard.press("Enter")
    saved(page)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("dialog[open]")
    for _ in range(40):
        if page.evaluate("document.activeElement.type === 'checkbox'"):
            page.keyboard.press("Space")
        if page.evaluate("document.activeElement.innerText?.startsWith('Sign as')"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".mo-state.final")
    assert "By keyboard." in str(stored(served, report_id))


def test_rejected_finding_leaves_the_text_and_can_be_taken_back(page, served, report):
    study_id, report_id = report
    open_report(page, served, study_id)
    row = page.locator(".mo-finding").first
    finding_id = row.get_attribute("data-finding")
    row.locator("[data-act=rejected]").click()
    saved(page)
    now = stored(served, report_id)
    assert now.verdicts[finding_id].value == "rejected"
    cited = [key for section in now.sections.values() for sentence in section.sentences for key in sentence.finding_ids]
    assert finding_id not in cited
    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector(f'.mo-finding[data-finding="{finding_id}"] [data-act=rejected]')


def test_dictated_command_is_shown_first_and_applied_on_a_click(page, served, report):
    study_id, report_id = report
    open_report(page, served, study_id)
    before = page.inner_text(".mo-section.impression")
    page.fill("#mo-dictation", "Add a left pleural effusion of eight millimetres, add to the impression: follow-up CT.")
    page.get_by_role("button", name="Preview the change").click()
    page.wait_for_selector(".mo-understood input")
    assert "pleural_effusion" not in [one.label for one in stored(served, report_id).findings if one.id.startswith("dictated")]
    page.locator(".mo-understood").get_by_role("button", name="Apply").click()
    saved(page)
    now = stored(served, report_id)
    [effusion] = [one for one in now.findings if one.id.startswith("dictated")]
    assert (effusion.label, effusion.laterality.value) == ("pleural_effusion", "left")
    said = " ".join(one.text for one in now.sections[SectionName.IMPRESSION].sentences)
    assert "8 mm" in said
    assert "ollow-up CT" in said
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function("before => document.querySelector('.mo-section.impression').innerText === before", arg=before)


@pytest.mark.skipif(shutil.which("flite") is None, reason="needs flite, a speech synthesiser")
@pytest.mark.skipif(not weights.is_pulled(HOME, "speech"), reason="needs: medomni weights pull speech")
def test_spoken_words_come_from_the_microphone_into_the_report(served, report, tmp_path, chromium):
    home = served.desk.settings.home
    if not weights.is_pulled(home, "speech"):
        (home / "weights").mkdir(exist_ok=True)
        (home / "weights" / "speech").symlink_to(HOME / "weights" / "speech")
    sound = tmp_path / "said.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", "There is a large left pleural effusion.", "-o", sound], check=True)
    capture = f"--use-file-for-fake-audio-capture={sound}%noloop"
    study_id, report_id = report
    page = chromium(capture).new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(PATIENCE_MS)
    open_report(page, served, study_id)
    page.get_by_role("button", name="Record").click()
    page.wait_for_timeout(4500)
    page.get_by_role("button", name="Stop").click()
    page.wait_for_function("document.querySelector('#mo-dictation').value.toLowerCase().includes('effusion')")
    page.wait_for_selector(".mo-understood button")
    assert len(reports_of(served, report_id)) == 1


def test_bad_upload_is_refused_in_words_and_leaves_nothing(page, served, tmp_path):
    page.goto(served.address)
    page.wait_for_selector(".mo-adding", state="attached")
    if page.locator(".mo-adding").is_hidden():
        page.get_by_role("button", name="Add a study").click()
    before = len(served.listed())
    bad = tmp_path / "notes.zip"
    bad.write_bytes(b"this is no archive")
    page.set_input_files("#mo-files", str(bad))
    page.get_by_role("button", name="Send and draft").click()
    told = page.wait_for_selector(".mo-told.mo-error").inner_text()
    assert "archive is cut short" in told
    assert "Traceback" not in told
    assert len(served.listed()) == before
    assert not list(served.desk.incoming.iterdir())


def test_hostile_text_is_shown_as_text_and_patients_stay_out_of_address_and_storage(page, served, report):
    study_id, report_id = report
    hostile = "<img src=x onerror=\"document.body.dataset.hit='1'\"><script>document.body.dataset.hit='1'</script>"
    change = Reword(section=SectionName.IMPRESSION, index=0, text=hostile)
    writing.change(served.desk, served.colleague(), writing.Asked(report_id, 1, "hostile"), (change,))
    open_report(page, served, study_id)
    page.wait_for_selector(".mo-section.impression >> text=<img src=x")
    assert page.evaluate("document.body.dataset.hit") is None
    title = page.locator(".mo-who h1").inner_text()
    kept = page.evaluate("JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie + location.href")
    assert title not in kept
    assert title not in served.log.read_text()


def test_pages_of_the_team_show_runs_the_trail_and_health(page, served, report):
    page.goto(f"{served.address}/audit")
    page.get_by_role("button", name="Verify the whole trail").click()
    page.wait_for_selector("text=nothing was changed")
    page.goto(f"{served.address}/health")
    page.wait_for_selector("text=Drafts waiting")
    page.goto(f"{served.address}/adapters")
    page.wait_for_selector("text=Load the runs")
    page.wait_for_selector("[data-testid=stVegaLiteChart] :is(canvas, svg)")
    assert page.locator("[data-testid=stException]").count() == 0
    with reading(served.desk.engine) as tx:
        assert not audit.check(tx).faults


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_pass_an_accessibility_check(browser, served, report, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = browser.new_page(viewport={"width": 1366, "height": 768}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE_MS)
    study_id, _ = report
    for address, ready in (
        (served.address, ".mo-table"),
        (f"{served.address}/?study={study_id}", ".mo-section.findings .mo-text"),
    ):
        page.goto(address)
        page.wait_for_selector(ready)
        page.wait_for_timeout(1000)
        found = axe.run(page, context=".medomni-room").response["violations"]
        serious = {one["id"]: one["nodes"][0]["html"][:200] for one in found if one["impact"] in ("serious", "critical")}
        assert not serious
    page.close()
