"""The after-action report on paper: what reports.py counted, as PDF, with the page's plots and the page's words.

The words stand once, in static/console/report_draw.js, and are read from there. Chinese is set in STSong-Light, which
every PDF reader brings along or replaces; nothing of the machine that draws it is needed. Same report, same bytes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from console.report_plots import ENDS, FONT, INK, MARKED, OF_STATE, QUIET, WIDTH, rain_plot, receipt_plot

DRAWN = Path(__file__).parent / "static" / "console" / "report_draw.js"
Row = dict[str, Any]
ASKED = ("delivered", "opened", "confirmed")  # of each order, in its row
COUNTED = ("warnings", "reminders", "orders", "notices", "levels", "level_reminders")

pdfmetrics.registerFont(UnicodeCIDFont(FONT))
TEXT = ParagraphStyle("text", fontName=FONT, fontSize=8.5, leading=11.5, textColor=INK, wordWrap="CJK")
SMALL = ParagraphStyle("small", TEXT, textColor=QUIET)
TITLE = ParagraphStyle("title", TEXT, fontSize=18, leading=24)
HEAD = ParagraphStyle(
    "head", TEXT, fontSize=12, leading=16, spaceBefore=10, spaceAfter=3, textColor=colors.HexColor("#1d4f91")
)
RIGHT = ParagraphStyle("right", TEXT, alignment=2)
RIGHT_SMALL = ParagraphStyle("right small", SMALL, alignment=2)


@dataclass(frozen=True, slots=True)
class Words:
    """The page's words in one language: `words("rain")`, `words.named("level", "alert")`."""

    column: int

    def __call__(self, key: str) -> str:
        return _tables()[0][key][self.column]

    def named(self, kind: str, code: str) -> str:
        found = _tables()[1][kind].get(code)
        return found[self.column] if found else code

    def title(self, row: Row) -> str:
        return str(row["title_en" if self.column else "title_zh"])


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, tuple[str, str]], dict[str, dict[str, tuple[str, str]]]]:
    """(words, codes by kind) as written in the page's script."""
    text = DRAWN.read_text("utf-8")
    pair = r'(\w+): \["([^"]*)", "([^"]*)"\]'
    words = {key: (zh, en) for key, zh, en in re.findall(rf"^  {pair},$", text, re.MULTILINE)}
    codes = {
        kind: {code: (zh, en) for code, zh, en in re.findall(pair, row)}
        for kind, row in re.findall(r"^  (\w+): \{(.*)\},$", text, re.MULTILINE)
    }
    return words, codes


def pdf(report: Row, *, english: bool = False) -> bytes:
    """The report (as reports.report gives it) as a PDF in A4."""
    w = Words(int(english))
    made = BytesIO()
    document = SimpleDocTemplate(
        made, pagesize=A4, leftMargin=14 * mm, rightMargin=14 * mm, topMargin=14 * mm, bottomMargin=14 * mm,
        title=w("title"), author="", invariant=1,
    )  # fmt: skip
    parts = (_head, _counters, _rain, _orders, _receipts, _warnings, _nobody, _late, _faults, _fatigue, _seal)
    document.build(
        [piece for part in parts for piece in part(report, w)], onFirstPage=_foot, onLaterPages=_foot
    )
    return made.getvalue()


def _foot(canvas: Canvas, document: SimpleDocTemplate) -> None:
    canvas.setFont(FONT, 7.5)
    canvas.setFillColor(QUIET)
    canvas.drawRightString(A4[0] - 14 * mm, 8 * mm, str(document.page))


def _head(report: Row, w: Words) -> list[Flowable]:
    regions = "、".join(region["name"] for region in report["regions"]) or w("nowhere")
    line = f"{_full(report['since'])} – {_full(report['until'])} · {w('of')} {regions} · {w('made')} {_full(report['made_at'])}"
    return [_text(w("title"), TITLE), _text(line, SMALL), _text(w("synthetic"), SMALL)]


def _seal(report: Row, w: Words) -> list[Flowable]:
    seal = report["seal"]
    if seal is None:
        return []
    return [_text(f"{w('sealed')} {_full(seal['made_at'])} · {seal['id']} · {seal['digest']}", SMALL)]


def _counters(report: Row, w: Words) -> list[Flowable]:
    kinds = ["real", *["drill"] * any(report["counters"]["drill"].values())]
    rows = [[w(kind), *(report["counters"][kind][key] for key in COUNTED)] for kind in kinds]
    return [_text(w("counters"), HEAD), _table(["", *map(w, COUNTED)], rows, [1, *[1.4] * 6], numbers=1)]


def _rain(report: Row, w: Words) -> list[Flowable]:
    curve = report["rain"]
    if curve is None:
        return [_text(w("rain"), HEAD), _text(w("no_rain"), SMALL)]
    note = f"{w('mm')} · {w('total')} {curve['mean_total_mm']} mm · {w('present')} {curve['share']:.0%}"
    if curve["replayed"]:
        note += f" · {w('replayed')} {_full(curve['since'])[:10]}"
    names = {action: w.named("action", action) for action in MARKED}
    plot = rain_plot(curve, report["warnings"], (w("mean"), w("highest")), names)
    return [KeepTogether([_text(w("rain"), HEAD), plot, _text(note, SMALL)])]


def _orders(report: Row, w: Words) -> list[Flowable]:
    lines = {line["order"]: line for line in report["bulletins"] if line["order"]}
    at = {minutes: n for n, minutes in enumerate(report["after_min"])}

    def share(order: Row, state: str, minutes: int) -> str:
        line = lines.get(order["id"])
        return f"{line['curve'][state][at[minutes]] / line['people']:.0%}" if line and line["people"] else "–"

    rows = [
        [
            _short(order["issued_at"]), _badge(order, w), w.title(order), order["name"], w.named("order", order["status"]),
            order["people"], *(share(order, state, 5) for state in ASKED), share(order, "confirmed", 30),
        ]
        for order in report["orders"]
    ]  # fmt: skip
    head = [w("issued"), w("level"), w("what"), w("region"), w("status"), w("people")]
    head += [f"{w(state)} 5 {w('within')}" for state in ASKED] + [f"{w('confirmed')} 30 {w('within')}"]
    widths = [1.3, 1, 4, 1.3, 1, 0.9, 1.1, 1.1, 1.1, 1.2]
    return [_text(w("orders"), HEAD), *_or_none(_table(head, rows, widths, numbers=5), rows, w("none"))]


def _receipts(report: Row, w: Words) -> list[Flowable]:
    pieces: list[Flowable] = [_text(w("receipts"), HEAD)]
    for group in report["curves"]:
        if not group["people"]:
            continue
        drill = f"{w('drill')} " if group["drill"] else ""
        caption = f"{drill}{w.named('kind', group['kind'])} · {group['bulletins']} {w('count')}"
        caption += f" · {group['people']:,} {w('persons')}"
        cells = [[w(state), *(f"{n / group['people']:.0%}" for n in group[state])] for state in OF_STATE]
        plot = receipt_plot(group, report["after_min"], w("minutes"), {state: w(state) for state in OF_STATE})
        beside = _table(
            ["", *map(str, report["after_min"])],
            cells,
            [1.5, *[1] * len(report["after_min"])],
            numbers=1,
            share=0.5,
        )
        both = Table(
            [[plot, beside]],
            colWidths=[WIDTH * 0.46, WIDTH * 0.54],
            style=[("VALIGN", (0, 0), (-1, -1), "MIDDLE")],
        )
        pieces.append(KeepTogether([_text(caption), both]))
    return pieces if len(pieces) > 1 else [*pieces, _text(w("none"), SMALL)]


def _warnings(report: Row, w: Words) -> list[Flowable]:
    def steps(warning: Row) -> str:
        said = (
            f"{_short(step['at'])[-5:]} {w.named('action', step['action'])}"
            + ("" if step["action"] in ENDS else f" {w.named('level', step['level'])}")
            for step in warning["steps"]
        )
        return " → ".join(said)

    rows = [
        [
            _short(warning["raised_at"]), _short(warning["ended_at"]) if warning["ended_at"] else "–",
            w.named("hazard", warning["hazard"]), warning["name"], _badge({**warning, "level": warning["peak_level"]}, w),
            steps(warning),
        ]
        for warning in report["warnings"]
    ]  # fmt: skip
    head = [w("from"), w("to"), w("what"), w("region"), w("peak"), w("steps")]
    table = _table(head, rows, [1.3, 1.3, 1, 1.3, 1.35, 6.6])
    return [_text(f"{w('warnings')} · {w('levels')}", HEAD), *_or_none(table, rows, w("none"))]


def _nobody(report: Row, w: Words) -> list[Flowable]:
    rows = [
        [_short(line["issued_at"]), _badge(line, w), w.title(line), len(line["nobody"]),
         "、".join(report["streets"].get(code, code) for code in line["nobody"])]
        for line in report["bulletins"]
        if line["nobody"]
    ]  # fmt: skip
    head = [w("issued"), w("level"), w("what"), "", w("nobody")]
    return [
        _text(w("nobody"), HEAD),
        *_or_none(_table(head, rows, [1.3, 1, 3.5, 0.5, 6]), rows, w("all_answered")),
    ]


def _late(report: Row, w: Words) -> list[Flowable]:
    late = report["late"]
    rungs, sends = late["rungs"], late["sends"]
    tables = [
        _table(
            [w("rungs"), w("taken"), w("late_n"), w("worst"), w("reached_nobody"), w("overdue")],
            [["", rungs["taken"], rungs["late"], f"{rungs['worst_s']} s", rungs["reached_nobody"], rungs["overdue"]]],
            [4, 1, 1, 1, 1.3, 1.3], numbers=1,
        ),
        _table(
            [w("sends"), w("sent"), w("late_n"), w("worst"), w("unsent")],
            [["", sends["sent"], sends["late"], f"{sends['worst_s']} s", sends["unsent"]]], [4, 1, 1, 1, 2.6], numbers=1,
        ),
        _table(
            [w("calls"), *(w.named("errand", errand) for errand in late["calls"])], [["", *late["calls"].values()]],
            [4, *[2] * len(late["calls"])], numbers=1,
        ),
    ]  # fmt: skip
    worst = [
        [w.title(row), w.named("errand", row["errand"]), row["steps"], f"{row['worst_s']} s"]
        for row in late["rungs_of"]
    ]  # fmt: skip
    if worst:
        tables.append(
            _table([w("what"), w("steps"), w("late_n"), w("worst")], worst, [6, 2, 1, 1], numbers=2)
        )
    return [_text(w("late"), HEAD), *tables]


def _faults(report: Row, w: Words) -> list[Flowable]:
    rows = [
        [row["transport"], row["reason"], w.named("state", row["state"]), row["lines"]]
        for row in report["faults"]
    ]
    table = _table([w("transport"), w("reason"), w("status"), w("lines")], rows, [1, 4, 2, 1], numbers=3)
    return [_text(w("faults"), HEAD), *_or_none(table, rows, w("no_faults"))]


def _fatigue(report: Row, w: Words) -> list[Flowable]:
    found = report["fatigue"]
    week = found["weekly"]
    head = [w("weekly"), w("people"), w("messages"), w("of_drills"), w("average"), w("p95"), w("most")]
    row = [
        "",
        found["people"],
        found["messages"],
        found["drill_messages"],
        week["mean"],
        week["p95"],
        week["most"],
    ]
    pieces = [_text(w("fatigue"), HEAD), _table(head, [row], [4, 1, 1, 1.2, 1, 1.3, 1], numbers=1)]
    rows = [[row["name"], row["people"], row["messages"], row["each"]] for row in found["regions"]]
    head = [w("most_called"), w("people"), w("messages"), w("each")]
    return [*pieces, *([_table(head, rows, [4, 1, 1, 1], numbers=1)] if rows else [])]


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[Any]],
    widths: Sequence[float],
    *,
    numbers: int = 99,
    share: float = 1.0,
) -> Table:
    """Columns from `numbers` on are figures; widths are relative, together `share` of the page."""

    def line(cells: Sequence[Any], left: ParagraphStyle, right: ParagraphStyle) -> list[Paragraph]:
        shown = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells)
        return [_text(text, right if n >= numbers else left) for n, text in enumerate(shown)]

    cells = [line(head, SMALL, RIGHT_SMALL), *(line(row, TEXT, RIGHT) for row in rows)]
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, 0), 0.5, colors.HexColor("#b9c4cf")),
        ("ROWBACKGROUNDS", (0, 1), (-1, -1), [colors.white, colors.HexColor("#f3f6fa")]),
        ("LEFTPADDING", (0, 0), (-1, -1), 2), ("RIGHTPADDING", (0, 0), (-1, -1), 4),
        ("TOPPADDING", (0, 0), (-1, -1), 1), ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]  # fmt: skip
    unit = WIDTH * share / sum(widths)
    return Table(
        cells,
        [unit * width for width in widths],
        repeatRows=1,
        splitInRow=1,
        style=TableStyle(style),
        spaceAfter=4,
    )


def _or_none(table: Table, rows: Sequence[object], none: str) -> list[Flowable]:
    return [table] if rows else [_text(none, SMALL), Spacer(1, 2)]


def _text(text: str, style: ParagraphStyle = TEXT) -> Paragraph:
    return Paragraph(escape(text), style)


def _badge(row: Row, w: Words) -> str:
    return (f"{w('drill')} " if row["drill"] else "") + w.named("level", row["level"])


def _full(at: str) -> str:
    return at[:16].replace("T", " ")


def _short(at: str) -> str:
    return at[5:16].replace("T", " ")
