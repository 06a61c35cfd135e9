"""Any source of a CT study -> a Study: one CT series chosen, checked and sorted, its pixels still on disk.

The one door for a folder, a zip archive, a DICOMDIR, an Enhanced CT file or a NIfTI file. It reads headers only and says what it
left out, what it doubts and what it refuses. ``assemble.py`` reads the pixels.
"""

from dataclasses import dataclass
from pathlib import Path

from medomni.errors import BadInput
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.study import Frame, Study
from preprocessing.intake import attributes, identity, tags
from preprocessing.intake.contents import Contents, Item, shown
from preprocessing.intake.geometry import Arranged, arrange
from preprocessing.intake.header import Header, NotDicom, read_header
from preprocessing.intake.series import (
    DICOMDIR_REASON,
    LeftOut,
    Stack,
    choose,
    left_out_reason,
    require_one_patient,
    stacks_of,
    summaries,
)
from preprocessing.intake.slices import SINGLE_FRAME_CT, Slice, frame_bytes, is_lossy, layout_of, single_slice
from preprocessing.intake.sources import SourceKind, list_source

DICOMDIR_CLASS = "1.2.840.10008.1.3.10"
MAX_TWINS_COMPARED = 50


@dataclass(frozen=True, eq=False)
class _Files:
    """What the items of a source turned out to be."""

    images: list[Slice]
    left_out: list[LeftOut]
    unreadable: list[tuple[Item, str]]


def open_study(source: Path) -> Study:
    """Return the study at a path with its best CT series chosen (rule: ``series.choose``).

    Raises:
        BadInput: there is no CT that can be trusted; the message names the file, the reason and the remedy.
    """
    listing = list_source(source)
    where = shown(source.name or source.resolve().name)
    if listing.kind is SourceKind.NIFTI:
        from preprocessing.nifti import open_nifti

        return open_nifti(source)
    with Contents() as contents:
        items = listing.items if listing.kind is not SourceKind.FILE else _follow_dicomdir(contents, listing.items[0])
        files = _read_files(contents, items)
        if not files.images:
            raise _no_ct(files, where)
        require_one_patient(files.images, where)
        stacks = stacks_of(files.images)
        chosen = choose(stacks)
        for image in chosen.slices:
            frame_bytes(image)
        arranged = arrange(chosen.slices)
        uids = _Uids(contents, arranged)
        frames = _frames(arranged.slices, uids.instances)
        notices = [*_file_notices(files, listing.left_out), *_series_notices(stacks, chosen), *arranged.notices]
        notices += [*_twin_notices(contents, arranged), *uids.notices]
    first = arranged.slices[0].header
    person, equipment = identity.person_of(first), identity.equipment_of(first)
    return Study(
        source_name=where,
        identity=identity.identity_of(first, uids.study, uids.series, uids.frame),
        acquisition=identity.acquisition_of(arranged.slices, arranged.tilt_deg, equipment),
        series=summaries(stacks, chosen, files.left_out),
        frames=frames,
        grid=arranged.grid,
        sex=person.sex,
        age_years=person.age_years,
        descriptions=identity.descriptions_of(first),
        notices=(*notices, *_content_notices(arranged.slices), *equipment.notices, *person.notices),
    )


def _frames(slices: tuple[Slice, ...], uids: list[str]) -> tuple[Frame, ...]:
    """Return where the pixels of each slice lie and how they become HU."""
    frames = []
    for image, uid in zip(slices, uids, strict=True):
        offset, length = frame_bytes(image)
        item = image.header.item
        sop_class, number = image.token(tags.SOP_CLASS_UID), image.instance_number
        frames.append(Frame(item.path, image.frame_index, uid, sop_class, number, item.member, offset, length, layout_of(image)))
    return tuple(frames)


def _follow_dicomdir(contents: Contents, item: Item) -> tuple[Item, ...]:
    """Return the files a DICOMDIR points to, or the one file itself."""
    try:
        header = read_header(contents, item)
    except NotDicom:
        return (item,)
    if attributes.token(header.values.get(tags.SOP_CLASS_UID)) != DICOMDIR_CLASS:
        return (item,)
    from preprocessing.intake.dicomdir import files_of

    return files_of(item.path)


def _read_files(contents: Contents, items: tuple[Item, ...]) -> _Files:
    files = _Files([], [], [])
    for item in items:
        try:
            header = read_header(contents, item)
        except NotDicom as other:
            files.unreadable.append((item, str(other)))
            continue
        except BadInput as error:
            if len(items) == 1:
                raise
            files.unreadable.append((item, error.wrong))
            continue
        reason = left_out_reason(header)
        if reason == DICOMDIR_REASON and item.member is None:
            from preprocessing.intake.dicomdir import refuse_if_outside

            refuse_if_outside(item.path)
        elif reason:
            files.left_out.append(LeftOut(header, reason))
        else:
            files.images.extend(_slices_of(contents, header))
    return files


def _slices_of(contents: Contents, header: Header) -> tuple[Slice, ...]:
    if attributes.token(header.values.get(tags.SOP_CLASS_UID)) != SINGLE_FRAME_CT:
        from preprocessing.intake.enhanced import frames_of

        return frames_of(contents, header)
    raw = header.values.get(tags.NUMBER_OF_FRAMES)
    if raw is not None and attributes.whole(raw) not in (1, None if not attributes.token(raw) else 1):
        raise BadInput(
            "NumberOfFrames makes no sense in a single-frame CT image",
            found=f"NumberOfFrames {attributes.equipment(raw)[:12]}",
            remedy="export the series again",
            where=header.item.name,
        )
    return (single_slice(header),)


def _no_ct(files: _Files, where: str) -> BadInput:
    """Return the refusal of a source without a CT image, with the most telling reason."""
    remedy = "give a folder, zip, DICOMDIR or NIfTI file of one CT series"
    if not files.left_out:
        if len(files.unreadable) == 1:
            item, reason = files.unreadable[0]
            return BadInput("not a CT study", found=reason, remedy=remedy, where=item.name)
        found = f"{len(files.unreadable)} files, none of them DICOM" if files.unreadable else "nothing in it"
        if files.unreadable:
            item, reason = files.unreadable[0]
            found += f"; {item.name}: {reason}"
        return BadInput("no CT images", found=found, remedy=remedy, where=where)
    order = ("contradiction", "modality", "values", "an 8-bit", "a colour", "localizer")
    telling = min(files.left_out, key=lambda x: next((k for k, word in enumerate(order) if x.reason.startswith(word)), 9))
    name = telling.header.item.name
    if telling.reason.startswith("contradiction: "):
        found = telling.reason.removeprefix("contradiction: ")
        return BadInput("the header contradicts itself", found=found, remedy="export the series again", where=name)
    if telling.reason.startswith("modality "):
        found = telling.reason.removeprefix("modality ")
        return BadInput(f"reads CT, got {found}", found=f"{len(files.left_out)} objects, no CT", remedy=remedy, where=name)
    return BadInput("no CT images", found=telling.reason, remedy=remedy, where=name)


class _Uids:
    """The UIDs of study, series, frame of reference and instances, with stated substitutes for those that are none."""

    def __init__(self, contents: Contents, arranged: Arranged) -> None:
        first = arranged.slices[0]
        self._contents, self._slices = contents, arranged.slices
        self._replaced: dict[str, int] = {}
        self._made: dict[Item, str] = {}
        self.study = self._settle("StudyInstanceUID", first.token(tags.STUDY_UID))
        self.series = self._settle("SeriesInstanceUID", first.token(tags.SERIES_UID))
        frame = first.token(tags.FRAME_OF_REFERENCE_UID)
        self.frame = self._settle("FrameOfReferenceUID", frame) if frame else ""
        stated = [image.token(tags.SOP_INSTANCE_UID) for image in arranged.slices]
        is_multi_frame = first.frames > 1
        are_unique = is_multi_frame or len(set(stated)) == len(stated)
        self.instances = [
            uid if are_unique and attributes.is_uid(uid) else self._instance(image, uid)
            for image, uid in zip(arranged.slices, stated, strict=True)
        ]
        fields = ", ".join(f"{name} ({count})" if count > 1 else name for name, count in self._replaced.items())
        self.notices = [Notice(code="identifiers_substituted", fields={"tags": fields})] if fields else []

    def _settle(self, name: str, uid: str) -> str:
        if attributes.is_uid(uid):
            return uid
        self._replaced[name] = 1
        if uid:
            return identity.substitute_uid(name.encode(), uid.encode())
        ends = {0, len(self._slices) // 2, len(self._slices) - 1}
        return identity.substitute_uid(name.encode(), *(self._bytes(self._slices[k]) for k in sorted(ends)))

    def _instance(self, image: Slice, uid: str) -> str:
        if image.header.item not in self._made:
            self._replaced["SOPInstanceUID"] = self._replaced.get("SOPInstanceUID", 0) + 1
            parts = (self.series.encode(), uid.encode(), self._bytes(image))
            self._made[image.header.item] = identity.substitute_uid(b"SOPInstanceUID", *parts)
        return self._made[image.header.item]

    def _bytes(self, image: Slice) -> bytes:
        return self._contents.whole(image.header.item)


def _file_notices(files: _Files, links: int) -> list[Notice]:
    notices = []
    if files.unreadable:
        notices.append(_warn("files_not_read", count=str(len(files.unreadable))))
    if links:
        notices.append(_tell("special_files_left_out", count=str(links)))
    localizers = sum(x.reason == "localizer" for x in files.left_out)
    if localizers:
        notices.append(_tell("localizer_left_out", count=str(localizers)))
    if len(files.left_out) > localizers:
        notices.append(_tell("objects_left_out", count=str(len(files.left_out) - localizers)))
    return notices


def _series_notices(stacks: list[Stack], chosen: Stack) -> list[Notice]:
    if len(stacks) == 1:
        return []
    return [_tell("several_series", count=str(len(stacks)), images=str(len(chosen.slices)))]


def _twin_notices(contents: Contents, arranged: Arranged) -> list[Notice]:
    """Say how many slices lay twice at one position, and whether any pair differs."""
    if not arranged.twins:
        return []
    differ = max(0, len(arranged.twins) - MAX_TWINS_COMPARED)  # those not compared count as different
    for kept, other in arranged.twins[:MAX_TWINS_COMPARED]:
        differ += _stored(contents, kept) != _stored(contents, other)
    notices = [_tell("duplicate_slices", count=str(len(arranged.twins)))]
    return notices + ([_warn("duplicate_slices_differ", count=str(differ))] if differ > 0 else [])


def _stored(contents: Contents, image: Slice) -> bytes:
    offset, length = frame_bytes(image)
    return contents.whole(image.header.item)[offset : offset + length]


def _content_notices(slices: tuple[Slice, ...]) -> list[Notice]:
    """Say what is unusual about headers and pixels of the chosen series."""
    notices = []
    headers = [image.header for image in slices]
    if any(not image.token(tags.MODALITY) for image in slices):
        notices.append(_warn("modality_missing"))
    if any(header.has_cut_text for header in headers):
        notices.append(_warn("header_text_cut", count=str(sum(header.has_cut_text for header in headers))))
    if any(header.has_program_preamble for header in headers):
        notices.append(_warn("program_in_preamble", count=str(sum(h.has_program_preamble for h in headers))))
    if any(is_lossy(image) for image in slices):
        notices.append(_warn("lossy_source"))
    if any(image.token(tags.BURNED_IN).upper() == "YES" for image in slices):
        notices.append(_warn("burned_in_annotation"))
    return notices


def _warn(code: str, **fields: str) -> Notice:
    return Notice(code=code, level=NoticeLevel.WARNING, fields=fields)


def _tell(code: str, **fields: str) -> Notice:
    return Notice(code=code, level=NoticeLevel.INFO, fields=fields)
