"""``medomni style``: signed reports in, a house style out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app import options
from app.options import Force, Json

if TYPE_CHECKING:
    from medomni.reporting.house_style import Learned
    from medomni.types.style import Style

LARGEST_BYTES = 1 << 20
"""Bytes of a report's text, and of a style."""

Sources = Annotated[
    list[Path], typer.Argument(metavar="REPORT...", help="Signed reports: text files, or report.json; ten are a good number.")
]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The style that is written (JSON).", show_default=False)]
Language = Annotated[Literal["en", "zh"], typer.Option("--lang", help="Language of the reports.")]


def style(sources: Sources, out: Out, language: Language = "en", force: Force = False, as_json: Json = False) -> None:
    """Learn a house style from signed reports: order of sections and organs, headings, phrases. No network, no weights.

    MEDOMNI_STYLE=FILE then gives it to every draft in that language.
    """
    from app import atomic
    from medomni.reporting.house_style import learn

    learned = learn([_text(path) for path in sources], language)
    with atomic.new_file(out, replace=force) as target:
        target.write_text(learned.style.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if as_json:
        options.answer_json({"out": str(out), "style": learned.style.model_dump(), "seen": learned.seen})
    else:
        options.answer(_told(learned, out))


def read_style(path: Path) -> "Style":
    """Return the style of a file.

    Raises:
        BadInput: the file is missing, too large, or holds no style.
    """
    from pydantic import ValidationError

    from medomni.errors import BadInput
    from medomni.reporting.house_style import is_read_alike
    from medomni.safety.bounded import read_regular
    from medomni.types.style import Style

    try:
        style = Style.model_validate_json(read_regular(path, LARGEST_BYTES))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"][:2]) or "it is no JSON"
        raise BadInput("is no house style", found=where, remedy="make one with medomni style", where=path.name) from error
    odd = [key for key, phrase in style.phrases.items() if not is_read_alike(key, phrase, style.language)]
    if odd:
        remedy = "put back the phrase that medomni style had found, or take it out"
        raise BadInput("a phrase says something else than the usual one", found=odd[0], remedy=remedy, where=path.name)
    return style


def _text(path: Path) -> str:
    """A report as text with a line for each heading."""
    from medomni.errors import BadInput
    from medomni.export.report_file import read_report
    from medomni.reporting.states import SIGNED
    from medomni.safety.bounded import read_regular

    if path.suffix.lower() == ".json":
        report = read_report(path)
        if report.state not in SIGNED:
            raise BadInput(
                "nobody has signed this report", remedy="give signed ones: a style is what people write", where=path.name
            )
        sections = report.sections.values()
        return "\n".join(f"{one.heading}:\n" + "\n".join(sentence.text for sentence in one.sentences) for one in sections)
    try:
        return read_regular(path, LARGEST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput("the report is not UTF-8 text", remedy="save it as a plain UTF-8 text file", where=path.name) from error


def _told(learned: "Learned", out: Path) -> str:
    style, lines = learned.style, [f"From {learned.style.reports} reports:"]
    shown = {"sections": " > ".join(style.sections), "organs": " > ".join(style.organs)}
    shown |= {f"headings.{name}": heading for name, heading in style.headings.items()} | style.phrases
    for key, value in shown.items():
        seen = learned.seen.get(key)
        if value:
            lines.append(f"  {key}: {value}" + (f"   ({seen[0]} of {seen[1]} reports)" if seen else ""))
    if len(lines) == 1:
        lines.append("  nothing that differs from the usual style")
    return "\n".join([*lines, str(out)])
