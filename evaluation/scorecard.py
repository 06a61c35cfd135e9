"""Figures beside their bars, as benchmarks print them: one row for each, for a person or as JSON."""

Row = dict[str, object]


def row(what: str, figure: float, bar: float | None = None) -> Row:
    """A figure without a verdict: rounded, with its bar as the peer and the ratio of the two, None where there is no bar."""
    return {"figure": round(figure, 3), "peer": bar, "ratio": round(figure / bar, 3) if bar else None, "what": what}


def at_least(what: str, figure: float, bar: float) -> Row:
    """A figure that holds from its bar on."""
    return row(what, figure, bar) | {"ok": figure >= bar}


def at_most(what: str, figure: float, bar: float) -> Row:
    """A figure that holds up to its bar."""
    return row(what, figure, bar) | {"ok": figure <= bar}


def not_measured(what: str, why: str, bar: float | None = None) -> Row:
    """A figure that could not be measured here; with a bar it counts as missed, so that nobody takes it for held."""
    nothing: Row = {"figure": None, "peer": bar, "ratio": None, "what": what, "note": f"not measured: {why}"}
    return nothing if bar is None else nothing | {"ok": False}


def as_line(one: Row) -> str:
    """A row as a person reads it."""
    bar = "" if one["peer"] is None else f"(bar {one['peer']})"
    verdict = {True: "ok", False: "NOT OK", None: ""}[one.get("ok")]  # type: ignore[index]
    figure = "-" if one["figure"] is None else one["figure"]
    return f"{one['what']!s:90s} {figure!s:>8}  {bar} {one.get('note', '')} {verdict}".rstrip()


def all_hold(rows: list[Row]) -> bool:
    """Whether no figure missed its bar; figures without a verdict don't count."""
    return all(one.get("ok", True) for one in rows)
