"""Which numbers a sentence may hold: those of its findings, its header attributes, its history facts, its prior.

Draft + Sentence -> allowed (digits, unit) pairs
"""

from medomni.reporting.follow_up import diameter_of, follow_up, rounded_mm
from medomni.reporting.numerals import numeral, plain
from medomni.reporting.technique import GRID_TAGS, KERNEL_CHARACTERS, age_number
from medomni.reporting.vocabulary import side, vocabulary
from medomni.types.finding import Finding, Laterality
from medomni.types.report import Draft, ReceiptKind, Sentence

Allowed = set[tuple[str, str]]
"""Digits and unit; "" allows the digits without a unit."""


def allowed_numbers(draft: Draft, sentence: Sentence, named_sides: set[Laterality]) -> Allowed | None:
    """The numbers the sentence has a source for, or None where they cannot be checked from the draft.

    A sentence that names one side may not hold a number measured on the other. Numbers of the volume's geometry (slices,
    spacing) and of dictation are not part of a draft and stay unchecked.
    """
    receipt = sentence.receipt
    cited = [finding for finding in draft.findings if finding.id in sentence.finding_ids]
    allowed: Allowed = set().union(*(_of_finding(finding, named_sides) for finding in cited))
    if receipt is None:
        return allowed
    if receipt.kind is ReceiptKind.DICTATED or (receipt.kind is ReceiptKind.TAG and set(receipt.tags) & set(GRID_TAGS)):
        return None
    if receipt.kind is ReceiptKind.TAG:
        return allowed | _of_header(draft)
    if receipt.kind is ReceiptKind.HISTORY:
        return allowed | _of_history(draft, receipt.span)
    if receipt.kind is ReceiptKind.PRIOR and draft.prior:
        return allowed | _of_prior(draft, set(sentence.finding_ids))
    return allowed


def without_names(draft: Draft, text: str) -> str:
    """The text without names from the header that can hold digits (the reconstruction kernel)."""
    kernel = draft.acquisition.kernel[:KERNEL_CHARACTERS]
    return text.replace(kernel, " ") if kernel else text


def _of_finding(finding: Finding, named_sides: set[Laterality]) -> Allowed:
    single = {Laterality.LEFT, Laterality.RIGHT} & named_sides
    other = {Laterality.LEFT, Laterality.RIGHT} - single if len(single) == 1 and len(named_sides) == 1 else set()
    allowed: Allowed = set()
    slices = [evidence.slice_index for evidence in finding.evidence]
    for measurement in finding.measurements:
        slices.append(measurement.slice_index)
        if side(measurement.name) not in other:
            shown = numeral(measurement)
            allowed |= {(shown.digits.lstrip("<"), shown.unit), (shown.digits.lstrip("<"), "")}
    allowed |= {(str(index + 1), "") for index in slices if index is not None}
    entry = vocabulary().labels.get(finding.label)
    limits = entry.thresholds_hu if entry else ()
    return allowed | {(str(limit), unit) for limit in limits for unit in ("HU", "")}


def _of_header(draft: Draft) -> Allowed:
    header, age = draft.acquisition, draft.context.age_years
    values = [
        *((plain(value, 2), "mm") for value in (header.slice_thickness_mm,) if value),
        *((plain(value, 0), "") for value in (header.kvp, header.dlp_mgy_cm) if value),
        *((plain(value, 1), "") for value in (header.ctdi_vol_mgy, header.gantry_tilt_deg) if value is not None),
    ]
    if age is not None:
        values.append((str(age_number(age)[0]), ""))
    return {pair for digits, unit in values for pair in ((digits, unit), (digits, ""))}


def _of_prior(draft: Draft, cited: set[str]) -> Allowed:
    """The days between, and what is reckoned of the cited findings; without any, sizes of what the earlier report alone holds."""
    told = follow_up(draft.findings, draft.prior)
    allowed: Allowed = set()
    if draft.prior and draft.prior.days_before is not None:
        allowed.add((str(abs(draft.prior.days_before)), ""))
    own = [one for one in told.followed if one.finding.id in cited]
    changes = [change for one in own for change in one.changes]
    if told.total and set(told.total.finding_ids) == cited:
        changes.append(told.total.change)
        allowed.add((str(len(cited)), ""))
    for change in changes:
        allowed |= {(f"{value:f}", change.unit) for value in (change.before, change.now)} | {(str(change.percent), "%")}
    allowed |= {(str(one.doubling_days), "") for one in own}
    alone = told.gone if not cited else (*told.new, *told.unsure)
    sizes = [size for one in alone if (not cited or one.id in cited) and (size := diameter_of(one))]
    return allowed | {(f"{rounded_mm(size):f}", size.unit) for size in sizes}


def _of_history(draft: Draft, span: tuple[int, int] | None) -> Allowed:
    facts = [fact for fact in draft.context.facts if span and fact.start < span[1] and fact.end > span[0]]
    digits = [number for fact in facts for number in fact.detail.split(" ")[0].split("-") if number]
    return {(number, unit) for number in digits for unit in ("", "%")}
