"""The receipt of a sentence as a margin note: one short line, and the details behind it."""

from collections.abc import Iterator
from html import escape

from medomni.export.words import name, say, value
from medomni.export.writers import BY_HAND, written
from medomni.reporting.cleaned import clean
from medomni.reporting.follow_up import follow_up
from medomni.types.finding import BoxMm, Measurement
from medomni.types.report import Origin, Receipt, ReceiptKind, Report, Sentence


def receipt_note(sentence: Sentence, report: Report) -> str:
    """Return where a sentence comes from; a sentence without a receipt is marked, because it needs a check."""
    return _note(*source(sentence, report))


def source(sentence: Sentence, report: Report) -> tuple[str, str, list[tuple[str, str]]]:
    """Return kind, summary and details of where a sentence comes from: its receipt, and the person who wrote on it.

    A sentence that a person changed says so first, and what it was proved by before: "edited (before: measured · slice 44)".
    """
    hands = {hand for _, hand in written(sentence)}
    if not hands & set(BY_HAND):
        return receipt_facts(sentence, report)
    hand = "edited" if None in hands else "typed" if Origin.TYPED in hands else "dictated"
    done, text = say(f"receipt_{hand}", report.language), say("receipt_person_text", report.language)
    if sentence.receipt is None or sentence.receipt.kind is ReceiptKind.DICTATED:
        return hand, done, [("", text)]
    _, before, rows = receipt_facts(sentence, report)
    return hand, say("receipt_before", report.language, done=done, before=before), [("", text), *rows]


def receipt_facts(sentence: Sentence, report: Report) -> tuple[str, str, list[tuple[str, str]]]:
    """Return kind, summary and details (name, value) of a receipt, in the report's language; kind ``missing`` without one."""
    receipt, language = sentence.receipt, report.language
    if receipt is None:
        return "missing", say("receipt_missing", language), [("", say("receipt_missing_text", language))]
    rows = [*_rows(receipt, sentence, report)]
    if not rows and receipt.kind is ReceiptKind.TEMPLATE:
        rows = [("", say("receipt_template_text", language))]
    return str(receipt.kind), _summary(receipt, language), rows


def position(point: tuple[float, float, float]) -> str:
    """Return a point in patient coordinates as text."""
    return ", ".join(f"{axis} {_whole(along)}" for axis, along in zip("xyz", point, strict=True)) + " mm"


def box(corners: BoxMm) -> str:
    """Return a box in patient coordinates as text."""
    low, high = corners
    return ", ".join(f"{axis} {_whole(a)} … {_whole(b)}" for axis, a, b in zip("xyz", low, high, strict=True)) + " mm"


def _whole(millimetres: float) -> str:
    return f"{round(millimetres)}".replace("-", "\N{MINUS SIGN}")


def _summary(receipt: Receipt, language: str) -> str:
    kind = say(f"receipt_{receipt.kind}", language)
    if receipt.slice_index is None:
        return kind
    return f"{kind} · {say('image_count', language, number=str(receipt.slice_index + 1))}"


def _rows(receipt: Receipt, sentence: Sentence, report: Report) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of each detail that the receipt states."""
    language = report.language
    facts = {
        "label": name(receipt.label, language) if receipt.label else "",
        "structure": name(receipt.structure, language) if receipt.structure not in ("", receipt.label) else "",
        "probability": f"{receipt.probability:.2f}" if receipt.probability is not None else "",
        "threshold": f"{receipt.threshold:.2f}" if receipt.threshold is not None else "",
        "position": position(receipt.position_mm) if receipt.position_mm else "",
        "box": box(receipt.box_mm) if receipt.box_mm else "",
        "span": f"{receipt.span[0] + 1} … {receipt.span[1]}" if receipt.span else "",
        "tags": ", ".join(clean(tag) for tag in receipt.tags),
    }
    yield from ((say(f"receipt_{key}", language), fact) for key, fact in facts.items() if fact)
    if receipt.kind is ReceiptKind.PRIOR:
        yield from _changes(sentence, report)
        return
    for measurement in _measurements(receipt, sentence, report):
        yield name(measurement.name, language), value(measurement, language)


def _changes(sentence: Sentence, report: Report) -> Iterator[tuple[str, str]]:
    """Yield what a change was reckoned from: each number then, on which slice and how long ago, and now."""
    language, days = report.language, report.prior.days_before if report.prior else None
    for one in follow_up(report.findings, report.prior).followed:
        if one.finding.id not in sentence.finding_ids:
            continue
        index = next((evidence.slice_index for evidence in one.earlier.evidence if evidence.slice_index is not None), None)
        place = say("image_count", language, number=str(index + 1)) if index is not None else ""
        ago = say("receipt_ago", language, days=str(days)) if days else ""
        where = ", ".join(part for part in (place, ago) if part)
        wanted = sentence.receipt.measurements if sentence.receipt else ()
        for change in one.changes:
            if wanted and change.name not in wanted:
                continue
            before = f"{change.before} {change.unit}" + (f" ({where})" if where else "")
            yield name(change.name, language), f"{before} \N{RIGHTWARDS ARROW} {change.now} {change.unit}"


def _measurements(receipt: Receipt, sentence: Sentence, report: Report) -> Iterator[Measurement]:
    """Yield the measurements that a receipt names, from the findings that the sentence is about."""
    for finding in report.findings:
        if finding.id in sentence.finding_ids:
            yield from (m for m in finding.measurements if m.name in receipt.measurements)


def _note(kind: str, summary: str, rows: list[tuple[str, str]]) -> str:
    mark = f'<span class="kind">{escape(summary)}</span>'
    if not rows:
        return f'<div class="receipt {kind}">{mark}</div>'
    items = "".join(
        f"<dt>{escape(term)}</dt><dd>{escape(fact)}</dd>" if term else f'<dd class="alone">{escape(fact)}</dd>'
        for term, fact in rows
    )
    return f'<details class="receipt {kind}"><summary>{mark}</summary><dl>{items}</dl></details>'
