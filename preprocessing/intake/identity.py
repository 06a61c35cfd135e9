"""The header of the chosen series -> who, when and how: Identity, Acquisition, sex, age, with substitutes where it is silent.

A missing or invalid UID gets a stated substitute under the UUID root 2.25 (PS3.5 B.2), made from what the file holds, so
that the same study always gets the same one.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import date

from medomni.types.notice import Notice, NoticeLevel
from medomni.types.study import Acquisition, Contrast, Identity
from preprocessing.intake import attributes, tags
from preprocessing.intake.header import Header
from preprocessing.intake.slices import Slice, is_lossy

MAX_AGE = 130
_NO_CONTRAST = frozenset({
    "NONE", "NO", "N", "NATIVE", "WITHOUT", "UNENHANCED", "NON-CONTRAST", "NON CONTRAST", "NO CONTRAST",
    "0", "无", "平扫", "不用", "未用",
})  # fmt: skip
_NAMING = (
    tags.PATIENT_NAME, tags.PATIENT_ID, tags.OTHER_PATIENT_NAMES, tags.OTHER_PATIENT_IDS, tags.BIRTH_DATE,
    tags.ACCESSION_NUMBER, tags.REFERRING_PHYSICIAN,
)  # fmt: skip


@dataclass(frozen=True)
class Equipment:
    """The names and codes of machine and protocol that a report may show, and a notice when some were left out."""

    body_part: str
    image_type: tuple[str, ...]
    patient_position: str
    manufacturer: str
    model: str
    kernel: str
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Person:
    """Sex and age as far as they are credible."""

    sex: str
    age_years: float | None
    notices: tuple[Notice, ...]


def identity_of(header: Header, study_uid: str, series_uid: str, frame_uid: str) -> Identity:
    """Return the direct identifiers of a header, cleaned, around UIDs that were settled before."""
    values = header.values
    character_set = values.get(tags.CHARACTER_SET)

    def text(tag: int, limit: int = attributes.MAX_ID) -> str:
        return attributes.text(values.get(tag), character_set, limit)

    return Identity(
        patient_id=text(tags.PATIENT_ID),
        patient_id_issuer=text(tags.ISSUER_OF_PATIENT_ID),
        patient_name=text(tags.PATIENT_NAME, attributes.MAX_NAME),
        birth_date=_da(attributes.day(values.get(tags.BIRTH_DATE))),
        accession_number=text(tags.ACCESSION_NUMBER),
        study_id=text(tags.STUDY_ID),
        study_date=_da(attributes.day(values.get(tags.STUDY_DATE))),
        study_time=attributes.time_of_day(values.get(tags.STUDY_TIME)),
        study_instance_uid=study_uid,
        series_instance_uid=series_uid,
        frame_of_reference_uid=frame_uid,
        is_study_uid_substituted=study_uid != attributes.token(values.get(tags.STUDY_UID)),
    )


def descriptions_of(header: Header) -> tuple[str, ...]:
    """Return study, series and protocol description, cleaned and cut; those that are there."""
    values = header.values
    found = (
        attributes.text(values.get(tag), values.get(tags.CHARACTER_SET), attributes.MAX_DESCRIPTION)
        for tag in (tags.STUDY_DESCRIPTION, tags.SERIES_DESCRIPTION, tags.PROTOCOL_NAME)
    )
    return tuple(text for text in found if text)


def equipment_of(header: Header) -> Equipment:
    """Return the machine's names and settings, without any that could be a person's: those get a notice."""
    values, people = header.values, _words(header, *_NAMING)
    named = people | _words(header, tags.INSTITUTION_NAME)
    left_out = []

    def accepted(tag: int, tag_name: str, rule: re.Pattern[str], names: frozenset[str] = named) -> str:
        found = attributes.equipment_name(values.get(tag), names, rule)
        if not found and attributes.token(values.get(tag)):
            left_out.append(tag_name)
        return found

    stated = attributes.tokens(values.get(tags.IMAGE_TYPE))[:6]
    types = tuple(attributes.equipment(part.encode("latin-1", "replace")) for part in stated)
    parts = Equipment(
        # a hospital may be named after a body part
        body_part=accepted(tags.BODY_PART, "BodyPartExamined", attributes.EQUIPMENT, people),
        image_type=tuple(part for part in types if not attributes.is_shared(part, people)),
        patient_position=accepted(tags.PATIENT_POSITION, "PatientPosition", attributes.POSITION, people),
        manufacturer=accepted(tags.MANUFACTURER, "Manufacturer", attributes.EQUIPMENT),
        model=accepted(tags.MODEL_NAME, "ManufacturerModelName", attributes.EQUIPMENT),
        kernel=accepted(tags.KERNEL, "ConvolutionKernel", attributes.KERNEL),
    )
    notice = Notice(code="equipment_text_left_out", level=NoticeLevel.INFO, fields={"tags": ", ".join(left_out)})
    return replace(parts, notices=(notice,) if left_out else ())


def _words(header: Header, *named: int) -> frozenset[str]:
    """The words of attributes that name people or places."""
    values, character_set = header.values, header.values.get(tags.CHARACTER_SET)
    texts = (attributes.text(values.get(tag), character_set, attributes.MAX_NAME) for tag in named)
    return attributes.words(" ".join(texts))


def acquisition_of(slices: tuple[Slice, ...], tilt_deg: float, equipment: Equipment) -> Acquisition:
    """Return how the series was acquired; ``tilt_deg`` is measured from the positions, ``equipment`` was cleared of names."""
    header = slices[0].header
    values = header.values
    dose = attributes.double(values.get(tags.CTDI_VOL), header.is_little_endian)
    return Acquisition(
        body_part=equipment.body_part,
        image_type=equipment.image_type,
        patient_position=equipment.patient_position,
        manufacturer=equipment.manufacturer,
        model=equipment.model,
        slice_thickness_mm=_within(attributes.number(values.get(tags.SLICE_THICKNESS)), 100),
        kvp=_within(attributes.number(values.get(tags.KVP)), 500),
        kernel=equipment.kernel,
        contrast=contrast_of(values.get(tags.CONTRAST_AGENT), values.get(tags.CONTRAST_ROUTE), values.get(tags.CHARACTER_SET)),
        ctdi_vol_mgy=_within(dose, 1000),
        gantry_tilt_deg=round(tilt_deg, 1) if tilt_deg >= 0.5 else None,
        transfer_syntax_uid=header.transfer_syntax_uid,
        is_lossy=any(is_lossy(image) for image in slices),
        has_burned_in_annotation=any(image.token(tags.BURNED_IN).upper() == "YES" for image in slices),
    )


def contrast_of(agent: bytes | None, route: bytes | None, character_set: bytes | None = None) -> Contrast:
    """Return what agent and route say; an agent without a route is OTHER, and silence is NOT_STATED."""
    name, way = attributes.token(agent).upper(), attributes.token(route).upper()
    if not name and not way:
        return Contrast.NOT_STATED
    if _says_none(agent, character_set) if name else _says_none(route, character_set):
        return Contrast.NONE
    words = f" {name} {way} ".replace("/", " ").replace("&", " ").replace("+", " ").replace("_", " ")
    if "INTRAVEN" in words or " IV " in words or " I.V. " in words:
        return Contrast.INTRAVENOUS
    return Contrast.ORAL if "ORAL" in words or " PO " in words else Contrast.OTHER


def _says_none(raw: bytes | None, character_set: bytes | None) -> bool:
    """Whether a value denies contrast; Chinese headers often forget to state their character set."""
    told = (raw or b"").strip(b" \0\t\r\n")
    stated = attributes.text(told, character_set, attributes.MAX_ID)
    read = [stated, told.decode("utf-8", "replace"), told.decode("gb18030", "replace")]
    return any(text.strip().upper() in _NO_CONTRAST for text in read)


def person_of(header: Header) -> Person:
    """Return sex and age; an impossible date or age gives no age and a notice."""
    values = header.values
    sex = attributes.token(values.get(tags.PATIENT_SEX)).upper()
    study, birth = values.get(tags.STUDY_DATE), values.get(tags.BIRTH_DATE)
    stated = values.get(tags.PATIENT_AGE)
    studied_on, born_on, age = attributes.day(study), attributes.day(birth), attributes.stated_age(stated)
    wrong = [name for name, raw, value in (("StudyDate", study, studied_on), ("PatientBirthDate", birth, born_on),
             ("PatientAge", stated, age)) if attributes.token(raw) and value is None]  # fmt: skip
    computed = (studied_on - born_on).days / 365.25 if studied_on and born_on else None
    if computed is not None and not 0 <= computed <= MAX_AGE:
        wrong.append("PatientBirthDate")
    elif computed is not None and age is not None and abs(computed - age) > 1.5:
        wrong.append("PatientAge")
    notices = (_warn("impossible_dates", tags=", ".join(sorted(set(wrong)))),) if wrong else ()
    best = age if computed is None else computed
    return Person(sex if sex in ("M", "F", "O") else "", None if wrong else best, notices)


def substitute_uid(*parts: bytes) -> str:
    """Return a UID under 2.25 that depends on the given bytes and on nothing else."""
    digest = hashlib.sha256(b"medomni/uid")
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    number = int.from_bytes(digest.digest()[:16], "big") & ~(0xF << 76) | (0x8 << 76)  # UUID version 8 (RFC 9562)
    return f"2.25.{number & ~(0x3 << 62) | (0x2 << 62)}"


def _within(value: float | None, most: float) -> float | None:
    return value if value is not None and 0 < value <= most else None


def _da(value: date | None) -> str:
    return value.strftime("%Y%m%d") if value and value.year >= 1850 else ""


def _warn(code: str, **fields: str) -> Notice:
    return Notice(code=code, level=NoticeLevel.WARNING, fields=fields)
