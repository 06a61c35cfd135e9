"""Every case of the corpus gets its verdict, run the way a person runs it; then what single cases demand besides."""

import os
import re
import sys
import wave
from pathlib import Path

import pytest

from tests.hostile.checks import REFUSED, Run, refusal_problems, run_case, strings, verdict_problems
from tests.hostile.conftest import with_truths
from tests.hostile.corpus import Verdict, verdicts
from tests.hostile.documents import good_adapter

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open") or sys.platform != "linux", reason="needs Linux")

MOST_MM, MOST_TURN = 0.01, 1e-5
NOTICES = {
    "geo_missing_slice": {"gap_in_series"},
    "int_all_air": {"no_anatomy_found"},
    "int_noise_volume": {"unusual_image"},
    "enc_jpegls_near": {"lossy_source"},
    "cor_zero_byte_file": {"files_not_read", "gap_in_series"},
    "res_5mb_text_tag": {"header_text_cut"},
    "txt_impossible_dates": {"impossible_dates"},
    "phi_burned_in": {"burned_in_annotation"},
    "sec_pe_preamble": {"program_in_preamble"},
    "nii_no_affine": {"orientation_unknown"},
}
READ = [name for name, (verdict, _) in verdicts().items() if verdict is not Verdict.REJECT]
REJECTED = [name for name, (verdict, _) in verdicts().items() if verdict is Verdict.REJECT]


@pytest.mark.parametrize("name", verdicts())
def test_case_gets_its_verdict(name: str, run_of):
    problems = verdict_problems(run_of(name))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", READ)
def test_volume_equals_the_truth(name: str, cases, error_of):
    case = cases[name]
    if not case.truths:
        pytest.skip("this case has no true volume")
    error = error_of[name]
    if case.facts.get("may_be_refused") and "error" in error:
        pytest.skip("refused, which is allowed")
    assert "error" not in error, error
    assert error["hu"] <= case.truths[0].hu_tolerance
    assert error["mm"] <= MOST_MM
    assert error["turn"] <= MOST_TURN


def test_good_study_is_read_the_same_between_all_bad_ones(cases, corpus: Path, product):
    good = with_truths(cases["control_good_series"], corpus)
    bad = [cases[name] for name in REJECTED if cases[name].kind == "study"]
    sources = [str(corpus / case.input) for case in bad]
    outcome, seen = product.refuse(sources, good["source"], good["truths"], product.room("between"))
    assert outcome.code == 0, outcome.stderr[-1500:]
    assert seen["refused"] == len(sources) > 35
    assert seen["before"] == seen["after"]
    assert seen["files"] == seen["files_after"]


@pytest.mark.parametrize(("name", "codes"), NOTICES.items())
def test_warning_says_what_it_is_about(name: str, codes: set[str], run_of):
    told = {one["code"] for one in run_of(name).json("report.json")["notices"] if one["level"] != "info"}
    assert codes <= told
    control = {one["code"] for one in run_of("control_good_series").json("report.json")["notices"]}
    assert not codes & control


def test_every_warning_case_names_its_notice():
    assert set(NOTICES) == {name for name, (verdict, _) in verdicts().items() if verdict is Verdict.WARN}


def test_gap_is_named_with_its_place(run_of):
    run = run_of("geo_missing_slice")
    gap = float(run.case.facts["gap_mm"])
    texts = [notice for notice in run.json("report.json")["notices"] if "gap" in notice["code"]]
    assert texts, run.json("report.json")["notices"]
    numbers = [float(number) for text in texts[0]["fields"].values() for number in re.findall(r"-?\d+\.?\d*", text)]
    assert any(low < gap < high for low in numbers for high in numbers if high - low < 30), texts


def test_left_out_series_and_slices_are_named(run_of):
    for name in (
        "geo_duplicate_slice_newuid",
        "geo_duplicate_file_sameuid",
        "geo_localizer_mixed",
        "geo_two_series_one_folder",
        "mod_sr_in_folder",
    ):
        control = {notice["code"] for notice in run_of("control_good_series").json("report.json")["notices"]}
        told = {notice["code"] for notice in run_of(name).json("report.json")["notices"]}
        assert told - control, f"{name} says nothing of what was left out"


def test_side_follows_the_patient_however_rows_and_slices_run(run_of):
    """The right lung of the corpus is the larger one."""
    measured = []
    for name in ("control_good_series", "geo_prone_flipped", "geo_coronal_stack", "geo_gantry_tilt", "enc_big_endian"):
        for finding in run_of(name).json("report.json")["findings"]:
            if finding["label"] == "lung_volume" and finding["presence"] == "present":
                volume = {one["name"]: one["value"] for one in finding["measurements"]}
                assert volume["lung_volume_right"] > 1.05 * volume["lung_volume_left"], name
                measured.append(name)
    assert {"control_good_series", "geo_prone_flipped"} <= set(measured)


def test_study_without_orientation_never_names_a_side(run_of):
    run = run_of("nii_no_affine")
    report = run.json("report.json")
    told = [sentence["text"] for part in report["sections"].values() for sentence in part["sentences"]]
    assert not [text for text in told if re.search(r"\b(left|right|bilateral)", text, re.IGNORECASE)]
    sides = {finding["laterality"] for finding in report["findings"] if finding["presence"] == "present"}
    assert sides <= {"unknown", "none"}


@pytest.mark.parametrize("name", ["int_all_air", "int_noise_volume"])
def test_picture_without_anatomy_has_no_findings(name: str, run_of):
    present = [one["label"] for one in run_of(name).json("report.json")["findings"] if one["presence"] != "not_evaluated"]
    assert present == []


def test_instructions_in_tags_change_no_finding(run_of, corpus: Path, product, cases):
    run = run_of("txt_prompt_injection_tags")
    room = product.room("without_instructions")
    clean = product.run(["draft", str(corpus / run.case.facts["clean"]), "--out", "out"], room)
    assert clean.code == 0, clean.stderr
    twin = Run(run.case, clean, room, ())
    with_words, without = run.json("report.json"), twin.json("report.json")
    assert with_words["findings"] == without["findings"]
    assert with_words["sections"]["impression"] == without["sections"]["impression"]
    assert with_words["state"] == "draft"


def test_markup_and_formulas_are_escaped(run_of):
    """The name itself is data in FHIR; nothing that a screen or a table shows may hold it as markup."""
    run = run_of("txt_html_csv_injection")
    resources = [entry["resource"] for entry in run.json("fhir-r4.json")["entry"]]
    shown = [run.text("report.html"), run.text("report.txt")]
    shown += [resource.get("text", {}).get("div", "") for resource in resources]
    shown += [form for resource in resources for one in resource.get("presentedForm", ()) for form in strings(one)]
    for text in shown:
        assert "<script" not in text
        assert "<img src=x" not in text
        assert "onmouseover" not in text
        assert "=cmd" not in text


def test_japanese_name_is_right_in_fhir_and_nowhere_else(run_of):
    run = run_of("txt_japanese_pn")
    patients = [entry["resource"] for entry in run.json("fhir-r4.json")["entry"]]
    named = [one for one in patients if one["resourceType"] == "Patient"]
    told = "".join(text for one in named for text in strings(one))
    assert run.case.facts["family"] in told
    assert "\x1b" not in told


def test_impossible_dates_give_no_age_and_no_invalid_date(run_of):
    run = run_of("txt_impossible_dates")
    assert run.json("report.json")["context"]["age_years"] is None
    assert not re.search(r"\d{4}-02-30", run.text("fhir-r4.json"))


def test_private_words_stand_in_no_file_at_all(run_of):
    run = run_of("phi_private_tags")
    words = run.case.facts["nowhere"].split("\n")
    written = [path.read_bytes() for path in run.out.iterdir()]
    assert not [word for word in words for data in written if word.encode() in data]


def test_lossy_source_stands_in_the_technique(run_of):
    run = run_of("enc_jpegls_near")
    technique = run.json("report.json")["sections"]["technique"]["sentences"]
    assert re.search("loss", " ".join(sentence["text"] for sentence in technique), re.IGNORECASE)


def test_both_bases_are_named(run_of):
    run = run_of("mdl_adapter_wrong_base")
    assert all(base in run.outcome.stderr for base in run.case.facts["both"].split())


def test_dicomdir_file_itself_is_refused_too(run_of, cases, corpus: Path, product):
    room = product.room("dicomdir_file")
    index = corpus / cases["dir_dicomdir_traversal"].input / "DICOMDIR"
    outcome = product.run(["draft", str(index), "--out", "out"], room)
    assert not outcome.problems() + refusal_problems(Run(cases["dir_dicomdir_traversal"], outcome, room, ()))


def test_hostile_bundles_are_refused_by_the_checker_too(cases, corpus: Path, product):
    for name in ("fhir_deep_json", "fhir_xxe", "fhir_dup_keys", "fhir_bigint"):
        outcome = product.run(["export", str(corpus / cases[name].input), "--check"], product.room(f"{name}_check"))
        assert not outcome.problems()
        assert outcome.code == REFUSED, name


def test_a_file_of_each_bad_study_is_refused_when_it_comes_alone(cases, corpus: Path, product):
    """A person may name one file instead of the folder."""
    files = [next(iter(sorted((corpus / name).glob("*.dcm"))), None) for name in REJECTED if cases[name].kind == "study"]
    lines = [["draft", str(path), "--out", f"out{k}"] for k, path in enumerate(files) if path and path.is_file()]
    outcome, rows = product.run_many(lines, product.room("alone"))
    assert outcome.code == 0, outcome.stderr[-1500:]
    assert not outcome.has_orphans
    assert [row["code"] for row in rows] == [REFUSED] * len(lines)


def test_good_study_can_be_drafted_again_after_a_refusal_in_the_same_folder(cases, corpus: Path, product):
    room = product.room("again")
    bad, good = str(corpus / cases["cor_truncated_pixels"].input), str(corpus / "control_good_series")
    lines = [["draft", bad, "--out", "out"], ["draft", good, "--out", "out"], ["draft", good, "--out", "out"]]
    _, rows = product.run_many(lines, room)
    assert [row["code"] for row in rows] == [REFUSED, 0, REFUSED]
    assert sorted(path.name for path in room.iterdir()) == ["out"]


def test_valid_doors_lead_to_a_missing_part(corpus: Path, product, tmp_path: Path):
    """Fixed phrases take no adapter, and the weights of the recogniser were not pulled: both are said."""
    with wave.open(str(tmp_path / "note.wav"), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(b"\1\2" * 800)
    good_adapter(tmp_path / "adapter")
    for option, given in (("--dictation", "note.wav"), ("--adapter", "adapter")):
        words = ["draft", str(corpus / "control_good_series"), "--out", "out", option, str(tmp_path / given)]
        room = product.room(f"valid{option}")
        outcome = product.run(words, room)
        assert outcome.code == 4, outcome.stderr
        assert len(outcome.stderr.strip().splitlines()) == 1
        assert not any(room.iterdir())


@pytest.mark.parametrize("words", [["draft"], ["draft", "nowhere", "--out", "out"], ["draft", "", "--out", "out"]])
def test_wrong_use_gets_a_line_and_no_traceback(words: list[str], product):
    outcome = product.run(words, product.room("use" + str(len(words)) + "".join(words)[5:12].replace("-", "")))
    assert not outcome.problems()
    assert outcome.code in (2, 3)
    assert outcome.stderr


def test_another_seed_gets_the_same_verdicts(tmp_path: Path, product):
    """A few classes with several seeds: no verdict hangs on the sizes and places of one corpus."""
    from tests.hostile.corpus import write_corpus

    names = ["geo_missing_slice", "geo_missing_block", "geo_absurd_spacing", "zip_slip", "nii_huge_dim", "txt_bad_charset"]
    problems = []
    for seed in (101, 102, 103):
        for case in write_corpus(tmp_path / str(seed), seed, names):
            room = product.room(f"{case.id}_{seed}")
            run = run_case(product, case, tmp_path / str(seed), room)
            problems += [f"seed {seed}, {case.id}: {one}" for one in verdict_problems(run)]
    assert not problems, "\n".join(problems)
