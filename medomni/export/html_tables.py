"""The tables of the report page: coded findings, measurements, and how the draft was made."""

from collections.abc import Iterable
from html import escape

from medomni.export.signed import is_rejected
from medomni.export.words import is_number, name, places, reason, say, slices, value
from medomni.reporting.cleaned import clean
from medomni.types.finding import Finding, Presence
from medomni.types.report import Report

ORDER = (Presence.PRESENT, Presence.UNCERTAIN, Presence.ABSENT, Presence.NOT_EVALUATED)


def findings_table(report: Report) -> str:
    """Return the table of clinical findings: what was seen first, then what a person rejected, what was not evaluated last."""
    language = report.language
    findings = [finding for finding in report.findings if not is_number(finding)]
    findings.sort(key=lambda finding: (ORDER.index(finding.presence), not is_rejected(finding, report)))
    rows = (_finding_row(finding, report) for finding in findings)
    heads = ("table_finding", "table_state", "table_place", "table_values", "table_slices")
    return _table("coded", say("table_title", language), [say(head, language) for head in heads], rows)


def measurements_table(report: Report) -> str:
    """Return the table of measurements that belong to no clinical finding."""
    language = report.language
    rows = (
        f'<tr><th scope="row">{escape(_title(finding, language))}</th><td>{_values(finding, language)}</td></tr>'
        for finding in report.findings
        if is_number(finding) and finding.measurements
    )
    heads = [say(head, language) for head in ("table_finding", "table_values")]
    return _table("measured", say("table_measurements", language), heads, rows)


def provenance_table(report: Report) -> str:
    """Return what went into the draft and which parts made it, with their digests."""
    language, provenance = report.language, report.provenance
    facts = {
        "provenance_input": provenance.input_sha256,
        "provenance_history": report.context.history_sha256,
        "provenance_key": provenance.study_key,
    }
    rows = [
        f'<tr><th scope="row">{escape(clean(f"{part.role}: {part.name}"))}</th>'
        f"<td>{escape(clean(part.version))}</td><td><code>{escape(clean(part.digest))}</code></td></tr>"
        for part in provenance.parts
    ]
    rows += [
        f'<tr><th scope="row" colspan="2">{escape(say(key, language))}</th><td><code>{escape(clean(fact))}</code></td></tr>'
        for key, fact in facts.items()
        if fact
    ]
    heads = [say(head, language) for head in ("provenance_part", "provenance_version", "provenance_digest")]
    return _table("provenance", say("provenance", language), heads, rows)


def _title(finding: Finding, language: str) -> str:
    where = places(finding, language)
    title = name(finding.label, language)
    return f"{title} ({where})" if where and finding.label == "organ_volume" else title


def _finding_row(finding: Finding, report: Report) -> str:
    language = report.language
    kind = "rejected" if is_rejected(finding, report) else str(finding.presence)
    state = escape(say(f"presence_{kind}", language))
    head = f'<th scope="row">{escape(name(finding.label, language))}</th><td class="state">{state}</td>'
    if finding.presence is Presence.NOT_EVALUATED:
        return f'<tr class="not_evaluated">{head}<td colspan="3">{escape(reason(finding, language))}</td></tr>'
    numbers = "" if finding.presence is Presence.ABSENT else ", ".join(str(number) for number in slices(finding))
    where = escape(places(finding, language))
    return f'<tr class="{kind}">{head}<td>{where}</td><td>{_values(finding, language)}</td><td>{numbers}</td></tr>'


def _values(finding: Finding, language: str) -> str:
    items = (
        f"<li>{escape(name(measurement.name, language))} <b>{escape(value(measurement, language))}</b></li>"
        for measurement in finding.measurements
    )
    content = "".join(items)
    return f"<ul>{content}</ul>" if content else ""


def _table(kind: str, title: str, heads: list[str], rows: Iterable[str]) -> str:
    body = "\n".join(rows)
    if not body:
        return ""
    head = "".join(f'<th scope="col">{escape(word)}</th>' for word in heads)
    return (
        f'<section class="{kind}" aria-labelledby="{kind}"><h2 id="{kind}">{escape(title)}</h2>'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></section>"
    )
