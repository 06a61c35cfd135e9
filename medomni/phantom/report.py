"""The reference report of a phantom: what a radiologist who knew the truth would write, in varied wording.

    Told (facts, technique, prior) -> text

Written from the truth alone: nothing here looks at the image or at a draft. An organ outside ``Told.organs`` is not mentioned.
"""

from dataclasses import dataclass, replace

import numpy as np

from medomni.phantom.cohort import BodyRegion
from medomni.phantom.facts import Fact
from medomni.phantom.scan import Technique
from medomni.phantom.sentences import Voice

ORGAN_OF = {
    **dict.fromkeys(("lung_opacity", "consolidation", "lung_nodule", "atelectasis", "emphysema"), "lungs"),
    **dict.fromkeys(("pulmonary_fibrotic_sequela", "interlobular_septal_thickening", "mosaic_attenuation_pattern"), "lungs"),
    **dict.fromkeys(("bronchiectasis", "peribronchial_thickening"), "airways"),
    "pleural_effusion": "pleura",
    **dict.fromkeys(("cardiomegaly", "pericardial_effusion", "coronary_artery_wall_calcification"), "heart"),
    "arterial_wall_calcification": "great_vessels",
    **dict.fromkeys(("lymphadenopathy", "hiatal_hernia"), "mediastinum"),
    "medical_material": "devices",
    "steatosis": "liver",
    "splenomegaly": "spleen",
    **dict.fromkeys(("renal_stone", "renal_cyst"), "kidneys"),
    "vertebral_fracture": "bones",
}
"""Where a report speaks of each kind."""
_ORGANS = (
    *("lungs", "airways", "pleura", "heart", "great_vessels", "mediastinum"),
    *("liver", "spleen", "kidneys", "bones", "devices"),
)
_ALWAYS = frozenset(("lungs", "pleura", "heart", "mediastinum", "liver", "kidneys"))
"""Organs that a report mentions even when they are normal; the others sometimes."""
_CHEST_ORDER = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
_ABDOMEN_ORDER = (6, 7, 8, 4, 9, 5, 0, 2, 10)
_MERGED = frozenset(
    (
        *("pleural_effusion", "emphysema", "interlobular_septal_thickening", "mosaic_attenuation_pattern"),
        *("peribronchial_thickening", "bronchiectasis", "lung_opacity", "atelectasis"),
    )
)
"""Kinds that are told in one sentence when both sides have them."""
_MINOR = frozenset(("renal_cyst", "medical_material", "hiatal_hernia", "arterial_wall_calcification"))
"""Kinds that an impression sometimes leaves to the findings."""


@dataclass(frozen=True)
class Told:
    """Everything that a report may tell.

    Attributes:
        organs: those in the field of view.
        phase: contrast phase, "" without contrast medium.
        prior_date: of the prior study (YYYYMMDD), "" without one; ``prior_months`` the time between the two.
        resolved: prior facts that are gone.
    """

    region: BodyRegion
    facts: tuple[Fact, ...]
    technique: Technique
    phase: str
    organs: frozenset[str]
    prior_date: str = ""
    prior_months: int = 0
    resolved: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class Sections:
    """The parts of a report: headed blocks of lines; findings as (organ heading, sentences)."""

    technique: str
    comparison: str
    findings: tuple[tuple[str, str], ...]
    impression: tuple[str, ...]


def voice_of(seed: int, language: str) -> Voice:
    """The author of a seed's report in a language."""
    rng = np.random.default_rng([seed, 8, ("en", "zh").index(language)])
    return Voice(language, rng, is_centimetre=bool(rng.random() < 0.35))


def compose(told: Told, voice: Voice) -> Sections:
    """Return the sections of the report."""
    facts = _merge(told.facts)
    findings = []
    order = _CHEST_ORDER if told.region is BodyRegion.CHEST else _ABDOMEN_ORDER
    for organ in (_ORGANS[place] for place in order):
        text = _organ(organ, told, facts, voice) if organ in told.organs else ""
        if text:
            findings.append((voice.pick(voice.words.tables["organs"][organ]), text))
    return Sections(_technique(told, voice), _comparison(told, voice), tuple(findings), _impression(told, facts, voice))


def write_report(told: Told, voice: Voice) -> str:
    """Return the whole report as text, in a layout that varies from author to author."""
    sections = compose(told, voice)
    layout = str(voice.rng.choice(("blocks", "lines", "prose"), p=(0.5, 0.3, 0.2)))
    colon = "：" if voice.language == "zh" else ":"
    gap = "" if voice.language == "zh" else " "
    if layout == "blocks":
        findings = "\n".join(f"{organ}{colon}{gap}{text}" for organ, text in sections.findings)
    else:
        findings = ("\n" if layout == "lines" else gap).join(text for _, text in sections.findings)
    numbered = len(sections.impression) > 1 and voice.rng.random() < 0.7
    lines = [f"{number}. {line}" if numbered else line for number, line in enumerate(sections.impression, start=1)]
    blocks = (
        ("technique", sections.technique),
        ("comparison", sections.comparison),
        ("findings", findings),
        ("impression", "\n".join(lines)),
    )
    return "\n\n".join(f"{_headline(name, voice)}{colon}\n{text}" for name, text in blocks if text)


def _headline(name: str, voice: Voice) -> str:
    return voice.heading(name)


def _technique(told: Told, voice: Voice) -> str:
    words = voice.words.tables
    kind = "enhanced" if told.phase else "low_dose" if told.technique.is_low_dose else "plain"
    slots = {
        "thickness": f"{told.technique.slice_thickness_mm:g}",
        "kvp": str(told.technique.kvp),
        "kernel": voice.pick(words["kernels"][told.technique.kernel]),
    }
    if told.phase:
        slots["phase"] = voice.pick(words["phases"][told.phase])
    return voice.say(words["technique_lines"][f"{kind}_{told.region}"], slots)


def _comparison(told: Told, voice: Voice) -> str:
    lines = voice.words.tables["comparison_lines"]
    if not told.prior_date:
        return voice.pick(lines["none"])
    year, month, day = told.prior_date[:4], told.prior_date[4:6], told.prior_date[6:]
    date = f"{year}年{int(month)}月{int(day)}日" if voice.language == "zh" else f"{year}-{month}-{day}"
    return voice.say(lines["prior"], {"months": str(told.prior_months), "date": date})


def _merge(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """One fact for a kind that both sides have in the same form; volumes add up, the worse severity counts."""
    merged: list[Fact] = []
    for fact in facts:
        twin = next((other for other in merged if _are_twins(fact, other)), None)
        if twin is None:
            merged.append(fact)
        else:
            merged[merged.index(twin)] = _both(twin, fact)
    return tuple(merged)


def _are_twins(one: Fact, other: Fact) -> bool:
    same = one.kind == other.kind and one.kind in _MERGED and one.variant == other.variant and one.change == other.change
    return same and {one.side, other.side} == {"left", "right"}


def _both(one: Fact, other: Fact) -> Fact:
    severities = ("mild", "moderate", "severe")
    worse = max(one.severity, other.severity, key=severities.index)
    volume = one.measurements.get("volume", 0.0) + other.measurements.get("volume", 0.0)
    before = one.before.get("volume", 0.0) + other.before.get("volume", 0.0)
    return replace(
        one,
        side="both",
        lobes=tuple(dict.fromkeys((*one.lobes, *other.lobes))),
        severity=worse,
        measurements={"volume": volume} if volume else {},
        before={"volume": before} if before and "volume" in one.before and "volume" in other.before else {},
    )


def _organ(organ: str, told: Told, facts: tuple[Fact, ...], voice: Voice) -> str:
    here = [fact for fact in facts if ORGAN_OF[fact.kind] == organ]
    gone = [fact for fact in told.resolved if ORGAN_OF[fact.kind] == organ]
    sentences = [*_nodule_count(here, voice)]
    for fact in here:
        sentences.append(voice.finding(fact))
        sentences.append(voice.change(fact))
    sentences += [voice.resolved(fact) for fact in gone if not any(fact.kind == other.kind for other in here)]
    if here or organ in _ALWAYS or voice.rng.random() < 0.6:
        sentences += _normals(organ, told, voice)
    gap = "" if voice.language == "zh" else " "
    return gap.join(sentence for sentence in sentences if sentence)


def _nodule_count(facts: list[Fact], voice: Voice) -> list[str]:
    count = sum(fact.kind == "lung_nodule" for fact in facts)
    if count < 2 or facts[0].kind != "lung_nodule":
        return []
    return [voice.say(voice.words.tables["several"]["lung_nodule"], {"count": voice.count(count)})]


def _normals(organ: str, told: Told, voice: Voice) -> list[str]:
    """Statements on what is absent: each label once, the widest statement first, the lesser ones now and then."""
    present = {fact.kind for fact in told.facts}
    said: set[str] = set()
    lines: list[str] = []
    for normal in voice.words.normals:
        if normal.organ != organ or present & set(normal.absent):
            continue
        is_new = bool(set(normal.absent) - said) if normal.absent else not lines and not present & _kinds_of(organ)
        if not is_new or said & set(normal.absent):
            continue
        if not lines or voice.rng.random() < 0.7:
            lines.append(voice.tidy(voice.pick(normal.texts)))
            said |= set(normal.absent)
    return lines


def _kinds_of(organ: str) -> set[str]:
    return {kind for kind, place in ORGAN_OF.items() if place == organ}


def _impression(told: Told, facts: tuple[Fact, ...], voice: Voice) -> tuple[str, ...]:
    told_facts = [fact for fact in facts if ORGAN_OF[fact.kind] in told.organs]
    chosen = [fact for fact in told_facts if fact.kind not in _MINOR or voice.rng.random() < 0.5] or told_facts
    lines = []
    for fact in chosen:
        parts = (voice.impression(fact), voice.change(fact) if voice.rng.random() < 0.7 else "")
        lines.append(("" if voice.language == "zh" else " ").join(part for part in parts if part))
    lines += [voice.resolved(fact) for fact in told.resolved if all(fact.kind != other.kind for other in told.facts)]
    if not lines:
        lines = [voice.pick(voice.words.tables["impressions"][f"normal_{told.region}"])]
    return tuple(lines)
