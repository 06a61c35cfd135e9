"""What a radiologist dictated about the images, read for the 18 labels: present, doubtful or absent, side, lobe, length.

    dictation + Study -> Dictation

The rule labeler reads the text; only coded remarks leave this module, no word of it.
"""

from medomni.anatomy import LOBES, anatomy
from medomni.reporting import labeler
from medomni.reporting.labeler import Mention
from medomni.types.dictation import Dictation, Remark
from medomni.types.finding import Laterality, Presence
from medomni.types.study import Study
from preprocessing.history import keyed_digest
from preprocessing.spoken import written

CHARACTERS_USED = 20_000
"""A dictation longer than this is read up to here; ten minutes of speech are some 10,000."""


def listen(dictation: str, study: Study) -> Dictation:
    """Return what the dictation says of the labels, bound to its study."""
    said = read(dictation)
    return said.model_copy(update={"sha256": keyed_digest(dictation, study)}) if said.characters else said


def read(dictation: str) -> Dictation:
    """Return what the dictation says of the labels, with spans into the dictation as given."""
    if not dictation.strip():
        return Dictation()
    now = written(dictation[:CHARACTERS_USED])
    language = "zh" if sum("\u4e00" <= letter <= "\u9fff" for letter in now.text) * 4 > len(now.text) else "en"
    return Dictation(
        language=language,
        remarks=tuple(_remark(one, now.span(one.start, one.end), language) for one in labeler.mentions(now.text, language)),
        characters=len(dictation),
    )


def _remark(mention: Mention, span: tuple[int, int], language: str) -> Remark:
    said = Presence.UNCERTAIN if mention.is_hedged else Presence.PRESENT
    lobes = _lobes(mention.clause, language)
    sides = mention.sides | {Laterality(side) for side in LOBES if any(name.endswith(side) for name in lobes)}
    return Remark(
        label=mention.label,
        presence=Presence.ABSENT if mention.is_denied else said,
        laterality=Laterality.of(sides),
        anatomy=lobes,
        size_mm=mention.size_mm,
        start=span[0],
        end=span[1],
    )


def _lobes(clause: str, language: str) -> tuple[str, ...]:
    names = [name for lobes in LOBES.values() for name in lobes]
    structures = anatomy().structures
    spelled = {name: structures[name].zh if language == "zh" else structures[name].en.lower() for name in names}
    return tuple(name for name, words in spelled.items() if words.removeprefix("the ") in clause)
