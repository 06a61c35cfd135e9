"""Decides whether a report may leave as files: only an unsigned draft whose review finds nothing unsafe.

The review runs again on a report that comes from a file: between the draft and now anybody may have written into it.
"""

from collections.abc import Sequence

from medomni.errors import BadInput, UnsafeDraft
from medomni.reporting.lexicon import lexicon
from medomni.reporting.phrases import notice_text
from medomni.reporting.review import review
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.report import Report, ReportState


def refuse_unsafe(notices: Sequence[Notice], where: str = "") -> None:
    """Let a draft pass that holds no unsafe contradiction.

    Raises:
        UnsafeDraft: the review found one; the draft must not be written.
    """
    unsafe = dict.fromkeys(notice_text(notice, "en") for notice in notices if notice.level is NoticeLevel.UNSAFE)
    if unsafe:
        raise UnsafeDraft(
            "the draft is withheld as unsafe",
            found=" ".join(unsafe),
            remedy="correct the input, or report this study without MedOmni",
            where=where,
        )


def require_safe_draft(report: Report, where: str) -> None:
    """Let a stored report pass that is a draft and that the review, run anew, finds safe.

    Raises:
        BadInput: the report says that it is more than a draft, or holds facts that no draft of this release holds.
        UnsafeDraft: its text contradicts its findings, its header or its history.
    """
    if report.state is not ReportState.DRAFT:
        raise BadInput(
            "the report says that it is no draft, and this release knows no signature",
            found=f"state {report.state}",
            remedy="give the report.json as `medomni draft` wrote it",
            where=where,
        )
    strange = sum(fact.concept not in lexicon().concepts for fact in report.context.facts)
    if strange:
        raise BadInput(
            "is no report of this release",
            found=f"{strange} facts of the history are unknown",
            remedy="draft the study again",
            where=where,
        )
    refuse_unsafe((*report.notices, *review(report)), where)
