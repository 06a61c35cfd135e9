"""open_study: what is chosen, what is left out, what is doubted, what is refused. Pixels are read in test_assemble."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from pydicom.sequence import Sequence
from pydicom.uid import BasicTextSRStorage, MRImageStorage

import medomni.data
from medomni.errors import BadInput
from medomni.types.study import Contrast
from preprocessing.dicom import open_study
from tests import ct_files
from tests.ct_files import codes, save, series

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # the files are wrong on purpose

PLANTED = ("Quux", "ZQ-4711", "ACC77", "2.25.", "2024", "1960")
"""Identifiers of the good series: none may stand in a refusal or a notice."""


def opened(folder, data_sets):
    return open_study(save(folder, data_sets))


def refusal(folder, data_sets):
    with pytest.raises(BadInput) as caught:
        opened(folder, data_sets)
    line = str(caught.value)
    assert "\n" not in line
    assert not [word for word in PLANTED if word in line]
    return line


def test_a_good_series_opens_without_a_notice(tmp_path):
    study = opened(tmp_path, series())
    assert study.grid.shape == ct_files.SHAPE
    assert study.notices == ()
    assert study.grid.pixel_spacing_mm == (0.8, 0.7)
    assert study.grid.slice_spacing_mm == ct_files.STEP_MM
    assert [frame.instance_number for frame in study.frames] == list(range(1, 9))
    assert study.identity.patient_name == "Quux^Corge"
    assert study.identity.study_date == "20240229"
    assert (study.sex, int(study.age_years)) == ("F", 64)
    assert study.series[0].is_chosen


def test_the_same_folder_gives_the_same_study(tmp_path):
    folder = save(tmp_path, series(SOPInstanceUID="", StudyInstanceUID=""))
    one, other = open_study(folder), open_study(folder)
    assert one.identity == other.identity
    assert one.frames == other.frames


def test_slices_are_sorted_by_position_not_by_number(tmp_path):
    data_sets = series()
    for k, data_set in enumerate(data_sets):
        data_set.InstanceNumber = 100 - k
    study = opened(tmp_path, data_sets[::-1])
    assert [frame.instance_number for frame in study.frames] == list(range(100, 92, -1))


def test_every_notice_code_has_words_in_both_languages():
    here = Path(__file__).parents[3] / "preprocessing"
    names = ("dicom", "nifti", "intake/geometry", "intake/identity", "intake/series")
    text = "".join((here / f"{name}.py").read_text() for name in names)
    used = set(re.findall(r'(?:_notice|_warn|_tell)\(\s*"(\w+)"', text)) | set(re.findall(r'code="(\w+)"', text))
    used |= {"slices_sagittal", "slices_coronal"}
    words = tomllib.loads((Path(medomni.data.__file__).parent / "notices.toml").read_text())
    assert len(used) > 20
    assert used - {"code"} <= set(words)
    assert all(words[code]["en"] and words[code]["zh"] for code in used)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"ImagePositionPatient": None}, "ImagePositionPatient is missing"),
        ({"ImageOrientationPatient": None}, "left and right are unknown"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "left and right are unknown"),
        ({"PixelSpacing": None}, "nothing can be measured"),
        ({"PixelSpacing": [0, 0]}, "PixelSpacing makes no sense"),
        ({"PixelSpacing": [1e-6, 1e6]}, "PixelSpacing makes no sense"),
        ({"ImagePositionPatient": [0, 0, 0]}, "lie at one position"),
        ({"RescaleSlope": None}, "cannot be turned into HU"),
        ({"RescaleSlope": 0}, "the rescale makes no sense"),
        ({"RescaleSlope": -1}, "the rescale makes no sense"),
        ({"BitsAllocated": 8}, "8-bit"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"PhotometricInterpretation": "RGB"}, "colour"),
        ({"HighBit": 11}, "the pixel description makes no sense"),
        ({"Modality": "MR"}, "Modality says MR, SOPClassUID says CT Image"),
        ({"Modality": "MR", "SOPClassUID": MRImageStorage}, "reads CT, got MR"),
        ({"RescaleType": "OD"}, "values that are not HU"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"NumberOfFrames": 2147483647}, "NumberOfFrames makes no sense"),
        ({"NumberOfFrames": -3}, "NumberOfFrames makes no sense"),
        ({"Rows": 65535, "Columns": 65535}, "cut short or its size is wrong"),
        ({"Rows": 0}, "the matrix size makes no sense"),
    ],
)
def test_a_series_that_cannot_be_trusted_is_refused(tmp_path, attributes, says):
    assert says in refusal(tmp_path, series(**attributes))


def test_two_slices_are_refused_for_their_number(tmp_path):
    data_sets = series()[:2]
    for data_set in data_sets:
        for name in ("Modality", "PatientName", "PatientID", "PatientSex", "PatientBirthDate", "StudyDate"):
            delattr(data_set, name)
    assert "too few slices; 2 slices; need at least 3" in refusal(tmp_path, data_sets)


def test_a_series_without_patient_and_modality_is_read_with_a_notice(tmp_path):
    absent = dict.fromkeys(("Modality", "PatientName", "PatientID", "PatientSex", "PatientBirthDate", "StudyDate"))
    study = opened(tmp_path, series(**absent))
    assert codes(study) == {"modality_missing"}
    assert (study.sex, study.age_years, study.identity.patient_id) == ("", None, "")


def test_one_missing_slice_is_named_by_its_place(tmp_path):
    data_sets = series()
    del data_sets[3]
    notices = opened(tmp_path, data_sets).notices
    assert [(n.code, n.fields) for n in notices] == [("gap_in_series", {"from_mm": "5.0", "to_mm": "10.0", "missing": "1"})]


def test_two_single_gaps_in_a_row_are_both_seen(tmp_path):
    data_sets = series(ct_files.hu((14, 20, 24)))
    del data_sets[7], data_sets[5]
    notices = opened(tmp_path, data_sets).notices
    assert [n.fields["from_mm"] for n in notices if n.code == "gap_in_series"] == ["10.0", "15.0"]


@pytest.mark.parametrize("missing", [2, 3])
def test_missing_neighbours_are_refused(tmp_path, missing):
    data_sets = series()
    assert f"slices are missing; {missing} after this one" in refusal(tmp_path, data_sets[:3] + data_sets[3 + missing :])


def test_a_change_of_slice_distance_is_no_gap(tmp_path):
    heights = [0, 1, 2, 3, 7, 11, 15, 19]
    data_sets = series()
    for data_set, z in zip(data_sets, heights, strict=True):
        data_set.ImagePositionPatient = [0, 0, z]
    study = opened(tmp_path, data_sets)
    assert "uneven_slice_spacing" in codes(study)
    assert "gap_in_series" not in codes(study)
    assert study.grid.slice_origins_mm[:, 2].tolist() == heights


def test_the_same_slice_twice_is_kept_once(tmp_path):
    data_sets = series()
    study = opened(tmp_path, [*data_sets, data_sets[2]])
    assert study.grid.shape == ct_files.SHAPE
    assert codes(study) == {"duplicate_slices"}


def test_two_different_images_at_one_position_are_a_warning(tmp_path):
    data_sets = series()
    other = ct_files.ct_slice(ct_files.hu(seed=9)[2], 2, key="9", SeriesInstanceUID="2.25.12", FrameOfReferenceUID="2.25.14")
    other.InstanceNumber = 900
    study = opened(tmp_path, [other, *data_sets])
    assert codes(study) == {"duplicate_slices", "duplicate_slices_differ"}
    assert 900 not in [frame.instance_number for frame in study.frames]


def test_a_series_that_repeats_its_positions_is_split_by_acquisition(tmp_path):
    early, late = series(AcquisitionNumber=1), series(ct_files.hu(seed=2), AcquisitionNumber=2)
    for data_set in late:
        data_set.SOPInstanceUID += "9"
    study = opened(tmp_path, early + late)
    assert study.grid.shape == ct_files.SHAPE
    assert "several_series" in codes(study)
    assert {frame.sop_instance_uid for frame in study.frames} == {d.SOPInstanceUID for d in early}


def test_repeated_positions_without_an_acquisition_number_are_refused(tmp_path):
    late = series(ct_files.hu(seed=2))
    for data_set in late:
        data_set.SOPInstanceUID += "9"
    assert "several stacks" in refusal(tmp_path, series() + late)


def test_two_series_are_never_stacked(tmp_path):
    short = series(ct_files.hu((5, 20, 24)), key="2", SeriesDescription="SHORT")
    study = opened(tmp_path, short + series())
    assert study.identity.series_instance_uid == "2.25.12"
    assert study.grid.shape[0] == 8
    assert [(line.images, line.is_chosen) for line in study.series] == [(8, True), (5, False)]
    assert "axial" in study.series[0].reason


@pytest.mark.parametrize(
    ("other", "wins"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, False),
        ({"ConvolutionKernel": "B70f"}, False),
        ({"ConvolutionKernel": "B30f", "ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, True),
    ],
)
def test_the_rule_that_chooses_a_series(tmp_path, other, wins):
    second = series(key="2", SeriesNumber=9, **other)
    study = opened(tmp_path, series(SeriesNumber=4) + second)
    assert (study.identity.series_instance_uid == "2.25.22") is wins


def test_axial_beats_a_longer_coronal_stack(tmp_path):
    coronal = series(ct_files.hu((12, 20, 24)), key="2", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    for k, data_set in enumerate(coronal):
        data_set.ImagePositionPatient = [0, 3.0 * k, 0]
    assert opened(tmp_path, coronal + series()).identity.series_instance_uid == "2.25.12"


def test_a_coronal_stack_alone_is_read_on_its_own_normal(tmp_path):
    coronal = series(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    for k, data_set in enumerate(coronal):
        data_set.ImagePositionPatient = [-5, 3.0 * k, 40]
    study = opened(tmp_path, coronal)
    assert codes(study) == {"slices_coronal"}
    np.testing.assert_allclose(study.grid.normal, [0, 1, 0])
    np.testing.assert_allclose(study.grid.slice_origins_mm[:, 1], 3.0 * np.arange(8))


def test_gantry_tilt_keeps_the_position_of_each_slice(tmp_path):
    angle = np.deg2rad(15)
    study = opened(tmp_path, series(ImageOrientationPatient=[1, 0, 0, 0, round(np.cos(angle), 8), round(np.sin(angle), 8)]))
    np.testing.assert_allclose(study.grid.slice_origins_mm[:, 2], ct_files.STEP_MM * np.arange(8))
    assert study.grid.slice_spacing_mm == pytest.approx(ct_files.STEP_MM * np.cos(angle), abs=1e-6)
    assert study.acquisition.gantry_tilt_deg == 15.0
    assert "gantry_tilt" in codes(study)


def test_thin_slices_far_apart_are_named(tmp_path):
    assert codes(opened(tmp_path, series(SliceThickness=1.0))) == {"slices_not_contiguous"}


def test_two_patients_are_refused_without_a_character_of_their_ids(tmp_path):
    line = refusal(tmp_path, series() + series(key="2", PatientID="ZQ-4712", PatientName="Other^Person"))
    assert "mixes patients; 2 patients: 8 and 8 images; give one" in line
    assert "Z" not in line


def test_two_patients_without_ids_are_told_apart_by_name(tmp_path):
    both = series(PatientID="") + series(key="2", PatientID="", PatientName="Other^Person")
    assert "2 patients: 8 and 8 images" in refusal(tmp_path, both)


def test_two_studies_are_refused(tmp_path):
    assert "2 studies: 8 and 8 images" in refusal(tmp_path, series() + series(key="2", StudyInstanceUID="2.25.99"))


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"FrameOfReferenceUID": "2.25.98"}, "several frames of reference"),
        ({"PixelSpacing": [0.5, 0.5]}, "several pixel spacings"),
    ],
)
def test_one_slice_that_does_not_belong_is_refused_and_named(tmp_path, attributes, says):
    data_sets = series()
    for name, value in attributes.items():
        setattr(data_sets[4], name, value)
    line = refusal(tmp_path, data_sets)
    assert says in line
    assert "IM004.dcm" in line


def test_two_matrix_sizes_are_refused_and_the_odd_files_named(tmp_path):
    data_sets = series()
    data_sets[5] = ct_files.ct_slice(ct_files.hu((1, 10, 12))[0], 5)
    assert "IM005.dcm: one series holds images of several sizes; 20x24 and 10x12" in refusal(tmp_path, data_sets)


def test_localizers_and_other_objects_are_left_out_and_listed(tmp_path):
    scout = ct_files.ct_slice(ct_files.hu()[0], 40, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    silent_scout = ct_files.ct_slice(ct_files.hu()[0], 41, ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    report = ct_files.ct_slice(ct_files.hu()[0], 42, SOPClassUID=BasicTextSRStorage, Modality="SR", PixelData=None)
    study = opened(tmp_path, [scout, silent_scout, report, *series()])
    assert study.grid.shape == ct_files.SHAPE
    assert codes(study) == {"localizer_left_out", "objects_left_out"}
    assert {line.reason for line in study.series[1:]} == {"left out: localizer", "left out: modality SR"}


def test_files_that_are_no_dicom_are_left_out_counted_and_not_named(tmp_path):
    save(tmp_path, series())
    (tmp_path / "IM003.dcm").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("see the other folder")
    (tmp_path / "noise.dcm").write_bytes(b"\0" * 128 + b"DICM" + np.random.default_rng(0).bytes(4000))
    study = open_study(tmp_path)
    unread = next(notice for notice in study.notices if notice.code == "files_not_read")
    assert unread.fields == {"count": "3"}
    assert "gap_in_series" in codes(study)


def test_truncated_pixels_are_refused_and_named(tmp_path):
    save(tmp_path, series())
    cut = tmp_path / "IM004.dcm"
    cut.write_bytes(cut.read_bytes()[:-300])
    with pytest.raises(BadInput, match=r"^IM004\.dcm: the file is cut short"):
        open_study(tmp_path)


def test_a_declared_length_of_4_gib_is_refused(tmp_path):
    save(tmp_path, series())
    path = tmp_path / "IM002.dcm"
    data = path.read_bytes()
    at = data.rindex(b"OW\0\0") + 4
    path.write_bytes(data[:at] + b"\xf0\xff\xff\xff" + data[at + 4 :])
    with pytest.raises(BadInput, match="cut short or its size is wrong"):
        open_study(tmp_path)


def test_missing_and_invalid_uids_get_stated_substitutes(tmp_path):
    study = opened(tmp_path, series(SOPInstanceUID="", StudyInstanceUID="1.02.3", SeriesInstanceUID=""))
    uids = [frame.sop_instance_uid for frame in study.frames]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"2\.25\.[1-9]\d{30,38}", uid) for uid in [*uids, study.identity.study_instance_uid])
    assert study.identity.is_study_uid_substituted
    notice = next(n for n in study.notices if n.code == "identifiers_substituted")
    assert notice.fields == {"tags": "StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID (8)"}


def test_one_sop_instance_uid_for_all_slices_is_no_identifier(tmp_path):
    study = opened(tmp_path, series(SOPInstanceUID="2.25.7"))
    assert len({frame.sop_instance_uid for frame in study.frames}) == 8
    assert "identifiers_substituted" in codes(study)


@pytest.mark.parametrize(
    ("attributes", "age", "tags"),
    [
        ({"PatientBirthDate": "20991231"}, None, "PatientBirthDate"),
        ({"PatientBirthDate": "", "PatientAge": "999Y"}, None, "PatientAge"),
        ({"StudyDate": "20240230", "PatientAge": "064Y"}, None, "StudyDate"),
        ({"PatientAge": "012Y"}, None, "PatientAge"),
        ({"PatientBirthDate": "", "PatientAge": "006M"}, 0.5, None),
        ({"PatientBirthDate": "", "StudyDate": ""}, None, None),
        ({"PatientBirthDate": "1960.01.01"}, 64.16, None),
    ],
)
def test_age_is_given_only_when_nothing_contradicts_it(tmp_path, attributes, age, tags):
    study = opened(tmp_path, series(**attributes))
    assert study.age_years == (age if age is None else pytest.approx(age, abs=0.01))
    assert [n.fields["tags"] for n in study.notices if n.code == "impossible_dates"] == ([tags] if tags else [])


@pytest.mark.parametrize(
    ("agent", "route", "expected"),
    [
        (None, None, Contrast.NOT_STATED),
        ("", "", Contrast.NOT_STATED),
        ("NONE", None, Contrast.NONE),
        ("OMNIPAQUE 300", None, Contrast.OTHER),
        ("OMNIPAQUE 300", "Intravenous route", Contrast.INTRAVENOUS),
        ("IV/ORAL", None, Contrast.INTRAVENOUS),
        ("BARIUM", "ORAL", Contrast.ORAL),
    ],
)
def test_contrast_is_what_the_header_says_and_no_more(tmp_path, agent, route, expected):
    attributes = {"ContrastBolusAgent": agent, "ContrastBolusRoute": route}
    study = opened(tmp_path, series(**{name: value for name, value in attributes.items() if value is not None}))
    assert study.acquisition.contrast is expected


def test_japanese_names_are_read_and_unexplained_bytes_replaced(tmp_path):
    data_sets = series(SpecificCharacterSet=["", "ISO 2022 IR 87"])
    for data_set in data_sets:
        data_set.add_new(0x00100010, "PN", b"Yamada^Tarou=" + "山田^太郎".encode("iso2022_jp"))
    assert opened(tmp_path / "a", data_sets).identity.patient_name == "Yamada^Tarou=山田^太郎"
    data_sets = series()
    for data_set in data_sets:
        data_set.add_new(0x00100010, "PN", b"\xff\xfe\xfa^\x80")
    assert opened(tmp_path / "b", data_sets).identity.patient_name == "\ufffd\ufffd\ufffd^\ufffd"


def test_header_text_is_cleaned_and_cut(tmp_path):
    study = opened(tmp_path, series(AccessionNumber="a\0b\x1b[31m", StudyDescription="x\u202ey" + "z" * 500))
    assert study.identity.accession_number == "ab[31m"
    assert len(study.descriptions[0]) == 120
    assert all(character.isprintable() for text in study.descriptions for character in text)


def test_equipment_names_hold_no_markup(tmp_path):
    study = opened(tmp_path, series(Manufacturer="<script>alert(1)</script> & ACME", ConvolutionKernel="Br40d\\3"))
    assert study.acquisition.manufacturer == "script alert 1 /script ACME"
    assert study.acquisition.kernel == "Br40d 3"


SMITH = {"PatientName": "SMITH^JOHN", "PatientID": "MRN4711", "InstitutionName": "Elm Chest Hospital"}


@pytest.mark.parametrize(
    ("tag", "field", "text"),
    [
        ("ConvolutionKernel", "kernel", "JOHN SMITH"),
        ("ConvolutionKernel", "kernel", "smith"),
        ("ConvolutionKernel", "kernel", "JOHNSMITH"),
        ("ConvolutionKernel", "kernel", "any prose about the case"),
        ("Manufacturer", "manufacturer", "ACME for John"),
        ("ManufacturerModelName", "model", "MRN4711"),
        ("ManufacturerModelName", "model", "Scanner of Elm"),
        ("ManufacturerModelName", "model", "born 1951-02-03"),
        ("ManufacturerModelName", "model", "No 0123456"),
        ("BodyPartExamined", "body_part", "SMITH"),
        ("PatientPosition", "patient_position", "John"),
    ],
)
def test_an_equipment_name_that_could_be_a_person_is_left_out_with_a_notice(tmp_path, tag, field, text):
    study = opened(tmp_path, series(**SMITH, **{tag: text}))
    assert getattr(study.acquisition, field) == ""
    (notice,) = study.notices
    assert (notice.code, notice.level, notice.fields) == ("equipment_text_left_out", "info", {"tags": tag})


@pytest.mark.parametrize("kernel", ["B30f", "STANDARD", "FC08-H", "BONEPLUS", "FC 08", "YA", "B_SHARP_C", "Br36f\\2", "31"])
def test_kernels_of_the_makers_are_kept(tmp_path, kernel):
    study = opened(tmp_path, series(**SMITH, ConvolutionKernel=kernel, BodyPartExamined="CHEST", PatientPosition="FFDR"))
    assert (study.acquisition.kernel, study.notices) == (kernel.replace("\\", " "), ())
    assert study.acquisition.body_part == "CHEST"


@pytest.mark.parametrize("model", ["SOMATOM Definition AS+", "Aquilion ONE", "Discovery CT750 HD", "uCT 780", "Brilliance 64"])
def test_models_of_the_makers_are_kept(tmp_path, model):
    assert opened(tmp_path, series(**SMITH, ManufacturerModelName=model)).acquisition.model == model


def test_a_name_in_the_image_type_is_left_out(tmp_path):
    study = opened(tmp_path, series(**SMITH, ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "SMITH"]))
    assert study.acquisition.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")


@pytest.mark.parametrize("word", ["无", "平扫", "不用", "未用", "0", "none"])
@pytest.mark.parametrize(
    ("stated", "written"), [("ISO_IR 192", "utf-8"), ("GB18030", "gb18030"), (None, "gb18030"), (None, "utf-8")]
)
def test_no_contrast_is_understood_in_chinese_whatever_the_character_set(tmp_path, word, stated, written):
    data_sets = series()
    for data_set in data_sets:
        if stated:
            data_set.SpecificCharacterSet = stated
        data_set.add_new(0x00180010, "LO", word.encode(written))
    assert opened(tmp_path, data_sets).acquisition.contrast == "none"


def test_five_megabytes_of_text_are_cut_and_said_to_be(tmp_path):
    data_sets = series()
    data_sets[0].add_new(0x00104000, "LT", "A" * 5_000_000)
    assert codes(opened(tmp_path, data_sets)) == {"header_text_cut"}


def test_a_program_in_the_preamble_is_named(tmp_path):
    save(tmp_path, series())
    path = tmp_path / "IM000.dcm"
    path.write_bytes(b"MZ\x90\0" + path.read_bytes()[4:])
    assert codes(open_study(tmp_path)) == {"program_in_preamble"}


def test_burned_in_text_is_flagged(tmp_path):
    study = opened(tmp_path, series(BurnedInAnnotation="YES"))
    assert study.acquisition.has_burned_in_annotation
    assert codes(study) == {"burned_in_annotation"}


def test_sequences_of_undefined_length_are_skipped(tmp_path):
    from pydicom.dataset import Dataset

    data_sets = series()
    for data_set in data_sets:
        inner, outer = Dataset(), Dataset()
        inner.CodeValue, inner.PatientID = "1", "WRONG"
        outer.ConceptNameCodeSequence, outer.PatientID = Sequence([inner, Dataset()]), "WRONG"
        outer["ConceptNameCodeSequence"].is_undefined_length = True
        data_set.RequestAttributesSequence = Sequence([outer] * 3)
        data_set["RequestAttributesSequence"].is_undefined_length = True
        data_set.RequestAttributesSequence[0].is_undefined_length_sequence_item = True
    assert opened(tmp_path, data_sets).identity.patient_id == "ZQ-4711"


def test_private_attributes_never_reach_the_study(tmp_path):
    data_sets = series()
    for data_set in data_sets:
        data_set.add_new(0x00090010, "LO", "ACME")
        data_set.add_new(0x00091001, "LO", "SECRET-PRIVATE")
    assert "SECRET-PRIVATE" not in repr(opened(tmp_path, data_sets))


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_header_gives_a_study_or_a_refusal_and_nothing_else(tmp_path, seed):
    rng = np.random.default_rng(seed)
    save(tmp_path, series())
    path = tmp_path / "IM003.dcm"
    good = path.read_bytes()
    outcomes = set()
    for _ in range(60):
        data = bytearray(good)
        for at in rng.integers(100, len(good) - 2 * 20 * 24, rng.integers(1, 6)):
            data[at] = rng.integers(256)
        path.write_bytes(data[: rng.integers(132, len(good))] if rng.random() < 0.2 else data)
        try:
            open_study(tmp_path)
            outcomes.add("study")
        except BadInput as error:
            assert "\n" not in str(error)
            outcomes.add("refusal")
    assert outcomes == {"study", "refusal"}
