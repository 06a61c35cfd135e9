"""Headers of a source -> the CT series in it, the one to draft from, and a line for everything left out.

Two series are never put together, and two patients or two studies never drafted from.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from medomni.errors import BadInput
from medomni.types.study import SeriesSummary
from preprocessing.intake import attributes, tags
from preprocessing.intake.geometry import MIN_SLICES, normal_of
from preprocessing.intake.header import Header
from preprocessing.intake.slices import CT_CLASSES, Slice

DICOMDIR_REASON = "a DICOMDIR"
_CLASS_NAMES = {
    "1.2.840.10008.5.1.4.1.1.104.1": "an encapsulated PDF",
    "1.2.840.10008.5.1.4.1.1.104.2": "an encapsulated document",
    "1.2.840.10008.1.3.10": DICOMDIR_REASON,
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_STRUCTURED_REPORT = "1.2.840.10008.5.1.4.1.1.88"
_LOCALIZER = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM", "SURVIEW", "SCANOGRAM"})
_PROJECTION = frozenset({"MIP", "MINIP", "MAXIP", "VRT", "SSD", "PROJECTION", "SCREEN", "SCREENSHOT", "DOSE"})
_REFORMATTED = frozenset({"MPR", "REFORMATTED", "RESAMPLED", "CURVED", "AVERAGE"})
_HU_TYPES = frozenset({"", "HU", "HU_MOD", "US"})
_SOFT = re.compile(r"SOFT|STANDARD|STND|^[BCD][3]\d|^BR[34]\d|^B[ABC]?$|^FC[01]\d|MEDIAST", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Stack:
    """Images of one series (and acquisition) that may form a volume."""

    slices: tuple[Slice, ...]
    coverage_mm: float
    positions: int
    is_axial: bool

    @property
    def first(self) -> Slice:
        """Any image of the stack; what holds for the series is read from it."""
        return self.slices[0]


@dataclass(frozen=True, eq=False)
class LeftOut:
    """One file that is no image of a CT volume, with the reason code that says why."""

    header: Header
    reason: str


def left_out_reason(header: Header) -> str:
    """Return why an object is no CT image that can be part of a volume, or ""."""
    values = header.values
    modality = attributes.equipment(values.get(tags.MODALITY)).upper()[:16]
    sop_class = attributes.token(values.get(tags.SOP_CLASS_UID))
    if modality not in ("CT", ""):
        claims_ct = sop_class in CT_CLASSES
        return f"contradiction: Modality says {modality}, SOPClassUID says CT Image" if claims_ct else f"modality {modality}"
    return _class_reason(sop_class) if sop_class not in CT_CLASSES else _picture_reason(header)


def _picture_reason(header: Header) -> str:
    """Return why an object of a CT class holds no CT numbers of a slice, or ""."""
    values, is_little = header.values, header.is_little_endian
    words = set(re.split(r"[^A-Z]+", " ".join(attributes.tokens(values.get(tags.IMAGE_TYPE)))))
    reasons = (
        (header.pixel_offset < 0, "no pixel data"),
        (attributes.integer(values.get(tags.SAMPLES_PER_PIXEL), is_little, False) == 3, "a colour picture"),
        (attributes.token(values.get(tags.PHOTOMETRIC)) not in ("", "MONOCHROME1", "MONOCHROME2"), "a colour picture"),
        (attributes.integer(values.get(tags.BITS_ALLOCATED), is_little, False) == 8, "an 8-bit picture without CT numbers"),
        (bool(words & _LOCALIZER), "localizer"),
        (bool(words & _PROJECTION), "a projection or screen picture"),
        (attributes.token(values.get(tags.RESCALE_TYPE)).upper() not in _HU_TYPES, "values that are not HU"),
    )
    return next((reason for is_so, reason in reasons if is_so), "")


def _class_reason(sop_class: str) -> str:
    if sop_class.startswith(_STRUCTURED_REPORT):
        return "a structured report"
    if sop_class.startswith(_SECONDARY_CAPTURE):
        return "a secondary capture (picture of a screen or paper)"
    return _CLASS_NAMES.get(sop_class, "not a CT image")


def require_one_patient(slices: list[Slice], where: str) -> None:
    """Refuse images of several patients or several studies; the message tells how many images each has, and no identifier.

    Raises:
        BadInput: more than one PatientID (or, without one, PatientName) or more than one StudyInstanceUID.
    """
    by_id = Counter(s.token(tags.PATIENT_ID) for s in slices)
    people = by_id if by_id.get("", 0) < len(slices) else Counter(s.token(tags.PATIENT_NAME) for s in slices)
    if len(people) > 1:
        found = f"{len(people)} patients: {_shares(people)}"
        raise BadInput("mixes patients", found=found, remedy="give one patient's study at a time", where=where)
    studies = Counter(s.token(tags.STUDY_UID) for s in slices)
    if len(studies) > 1:
        found = f"{len(studies)} studies: {_shares(studies)}"
        raise BadInput("mixes studies", found=found, remedy="give one study at a time", where=where)


def _shares(counts: Counter[str]) -> str:
    """How many images each has, the fewest first: "95 and 98 images"."""
    ordered = [str(count) for count in sorted(counts.values())]
    if len(ordered) > 4:
        return f"{ordered[0]} to {ordered[-1]} images each"
    return f"{', '.join(ordered[:-1])} and {ordered[-1]} images"


def stacks_of(slices: list[Slice]) -> list[Stack]:
    """Group images by series; a series that visits its positions again and again is split by AcquisitionNumber."""
    by_series: dict[str, list[Slice]] = {}
    for image in slices:
        by_series.setdefault(image.token(tags.SERIES_UID), []).append(image)
    stacks = []
    for members in by_series.values():
        whole = _stack(members)
        acquisitions = {s.token(tags.ACQUISITION_NUMBER) for s in members}
        if whole.positions < 0.75 * len(members) and len(acquisitions) > 1:
            parts = ([s for s in members if s.token(tags.ACQUISITION_NUMBER) == a] for a in sorted(acquisitions))
            stacks += [_stack(part) for part in parts]
        else:
            stacks.append(whole)
    return stacks


def _stack(members: list[Slice]) -> Stack:
    normal = normal_of(members[0])
    if normal is None:
        return Stack(tuple(members), 0.0, 0, False)
    x, y, z = normal.tolist()
    along = {round(x * p[0] + y * p[1] + z * p[2], 1) for p in (s.position for s in members) if p is not None}
    coverage = max(along) - min(along) if along else 0.0
    return Stack(tuple(members), coverage, len(along), bool(np.argmax(np.abs(normal)) == 2))


def choose(stacks: list[Stack]) -> Stack:
    """Return the stack to draft from.

    The rule, each point deciding only where those before it are equal: at least three positions; axial; not reformatted;
    the longest coverage (within 20 mm counts as equal); a soft-tissue kernel; slices nearest to 1.25 mm apart; the lowest
    series number; the series UID in plain order.
    """
    return min(stacks, key=_rank)


def rule_of(stack: Stack, total: int) -> str:
    """Return the words that say why a stack was chosen."""
    plane = "axial" if stack.is_axial else "not axial"
    text = f"chosen: {plane}, {stack.coverage_mm:.0f} mm long"
    return text + (f", best of {total} CT series" if total > 1 else ", the only CT series")


def _rank(stack: Stack) -> tuple[bool, bool, bool, int, bool, float, float, str]:
    values = stack.first.header.values
    words = set(re.split(r"[^A-Z]+", " ".join(attributes.tokens(values.get(tags.IMAGE_TYPE)))))
    step = stack.coverage_mm / max(1, stack.positions - 1)
    return (
        stack.positions < MIN_SLICES,
        not stack.is_axial,
        bool(words & _REFORMATTED),
        -round(stack.coverage_mm / 20),
        _SOFT.search(stack.first.token(tags.KERNEL)) is None,
        round(abs(step - 1.25), 1),
        attributes.number(values.get(tags.SERIES_NUMBER)) or 0.0,
        stack.first.token(tags.SERIES_UID) + stack.first.token(tags.ACQUISITION_NUMBER),
    )


def summaries(stacks: list[Stack], chosen: Stack, left_out: list[LeftOut]) -> tuple[SeriesSummary, ...]:
    """Return one line for each series found, the chosen one first."""
    ordered = sorted(stacks, key=_rank)
    lines = [_line(stack.first.header, len(stack.slices), rule_of(chosen, len(stacks)), True) for stack in [chosen]]
    lines += [_line(s.first.header, len(s.slices), "another CT series of the study", False) for s in ordered if s is not chosen]
    others = Counter((attributes.token(x.header.values.get(tags.SERIES_UID)), x.reason) for x in left_out)
    first = {(attributes.token(x.header.values.get(tags.SERIES_UID)), x.reason): x.header for x in reversed(left_out)}
    return tuple(lines) + tuple(_line(first[key], count, f"left out: {key[1]}", False) for key, count in others.items())


def _line(header: Header, images: int, reason: str, is_chosen: bool) -> SeriesSummary:
    values = header.values
    character_set = values.get(tags.CHARACTER_SET)
    return SeriesSummary(
        modality=attributes.equipment(values.get(tags.MODALITY))[:16],
        description=attributes.text(values.get(tags.SERIES_DESCRIPTION), character_set, attributes.MAX_DESCRIPTION),
        number=attributes.whole(values.get(tags.SERIES_NUMBER)),
        images=images,
        is_chosen=is_chosen,
        reason=reason,
    )
