"""The plots of the printed report: rain with the warnings' marks, and receipt curves. Drawing only; points, A4 wide.

The same pictures as static/console/report_draw.js draws on the page.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from math import log10, sqrt
from typing import Any

from reportlab.graphics.shapes import Drawing, Group, Line, Polygon, PolyLine, Rect, String
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm

FONT = "STSong-Light"
WIDTH = A4[0] - 28 * mm
INK, QUIET, GRID = (colors.HexColor(code) for code in ("#17212b", "#56636f", "#dbe2e9"))
MEAN, HIGHEST, GAP = (colors.HexColor(code) for code in ("#7fb2ec", "#12355e", "#e9e9e9"))
# colour and width: the earlier the wider, so that curves that coincide are all seen
OF_STATE = {
    state: (colors.HexColor(code), width)
    for state, code, width in (
        ("accepted", "#b3bdc8", 5.6),
        ("delivered", "#3c6fd1", 4.0),
        ("shown", "#8b5cc7", 2.6),
        ("opened", "#16a3b8", 1.7),
        ("confirmed", "#1c8f50", 1.1),
        ("acting", "#d97706", 0.6),
    )
}
OF_LEVEL = {
    level: colors.HexColor(code)
    for level, code in (
        ("notice", "#2563c9"),
        ("attention", "#a98000"),
        ("alert", "#d95f00"),
        ("emergency", "#d01d22"),
    )
}
ENDS = ("cancel", "expire")
MARKED = ("raise", "upgrade", *ENDS)
STACK = 6  # marks of one slot stand over each other, so many at most
Row = dict[str, Any]


def rain_plot(
    curve: Row, warnings: Sequence[Row], series: tuple[str, str], actions: Mapping[str, str]
) -> Drawing:
    """Bars: areal mean; line: highest; grey: missing; above it a mark a step of a real warning, in its level's colour."""
    height, left, low, top = 190.0, 26.0, 32.0, 140.0
    drawing = Drawing(WIDTH, height)
    first, last = (datetime.fromisoformat(curve[end]) for end in ("since", "until"))
    most = _nice(max([1.0, *(slot["highest_mm"] or 0.0 for slot in curve["slots"])]))
    wide = (WIDTH - left) / max(1, len(curve["slots"]))

    def x(at: datetime) -> float:
        return left + (at - first) / (last - first) * (WIDTH - left)

    def y(rain_mm: float) -> float:
        return low + rain_mm / most * (top - low)

    for value in (0.0, most / 2, most):
        drawing.add(Line(left, y(value), WIDTH, y(value), strokeColor=GRID, strokeWidth=0.5))
        drawing.add(_word(left - 3, y(value) - 2.5, f"{value:g}", anchor="end"))
    run: list[float] = []
    for slot in [*curve["slots"], None]:
        if slot is None or slot["highest_mm"] is None:
            if len(run) > 2:
                drawing.add(PolyLine(run, strokeColor=HIGHEST, strokeWidth=1))
            run = []
            if slot is not None:
                drawing.add(_bar(x(datetime.fromisoformat(slot["at"])) - wide, low, wide, top - low, GAP))
            continue
        at = x(datetime.fromisoformat(slot["at"]))
        if slot["mean_mm"]:
            drawing.add(_bar(at - wide, low, wide * 0.9, y(slot["mean_mm"]) - low, MEAN))
        run += [at, y(slot["highest_mm"])]
    for at in _hours(first, last):
        drawing.add(_word(x(at), low - 10, f"{at:%H:%M}", anchor="middle"))
    _add_marks(drawing, warnings, (first, last), x, low, top)
    _add_key(drawing, series, actions)
    return drawing


def _add_marks(
    drawing: Drawing,
    warnings: Sequence[Row],
    span: tuple[datetime, datetime],
    x: Callable[[datetime], float],
    low: float,
    top: float,
) -> None:
    rows: dict[datetime, int] = {}
    for warning in warnings:
        for step in warning["steps"]:
            at = datetime.fromisoformat(step["at"])
            if warning["drill"] or step["action"] not in MARKED or not span[0] <= at <= span[1]:
                continue
            row = rows[at] = rows.get(at, -1) + 1
            if row == 0:
                drawing.add(
                    Line(
                        x(at), low, x(at), top + 2, strokeColor=QUIET, strokeWidth=0.4, strokeDashArray=[2, 2]
                    )
                )
            drawing.add(_mark(x(at), top + 6 + row % STACK * 7, step["action"], step["level"]))


def _mark(x: float, y: float, action: str, level: str) -> Group:
    """▲ raised or upgraded, in the level's colour; × over."""
    if action in ENDS:
        cross = ((x - 2, y - 2, x + 2, y + 2), (x - 2, y + 2, x + 2, y - 2))
        return Group(*(Line(*ends, strokeColor=QUIET, strokeWidth=1) for ends in cross))
    fill = OF_LEVEL.get(level, QUIET)
    return Group(Polygon([x - 3, y - 2.5, x + 3, y - 2.5, x, y + 3], fillColor=fill, strokeColor=None))


def _add_key(drawing: Drawing, series: tuple[str, str], actions: Mapping[str, str]) -> None:
    drawing.add(_bar(26, 3, 7, 8, MEAN))
    drawing.add(_word(37, 4, series[0]))
    drawing.add(Line(110, 7, 124, 7, strokeColor=HIGHEST))
    drawing.add(_word(128, 4, series[1]))
    for n, action in enumerate(("raise", "cancel")):
        drawing.add(_mark(230 + 120 * n, 7, action, ""))
        said = " / ".join(actions[one] for one in (ENDS if action in ENDS else ("raise", "upgrade")))
        drawing.add(_word(238 + 120 * n, 4, said))


def receipt_plot(group: Row, after_min: Sequence[int], minutes: str, names: Mapping[str, str]) -> Drawing:
    """Share of people who had come to each state over minutes, on a scale of roots."""
    width, height, left, low = WIDTH * 0.44, 128.0, 26.0, 24.0
    drawing = Drawing(width, height)

    def x(after: float) -> float:
        return left + sqrt(after / after_min[-1]) * (width - left - 8)

    def y(share: float) -> float:
        return low + share * (height - low - 31)

    for share in (0.0, 0.5, 1.0):
        drawing.add(Line(left, y(share), width, y(share), strokeColor=GRID, strokeWidth=0.5))
        drawing.add(_word(left - 3, y(share) - 2.5, f"{share:.0%}", anchor="end"))
    for state, (colour, thick) in OF_STATE.items():
        points = [
            (0, 0.0),
            *((after, n / group["people"]) for after, n in zip(after_min, group[state], strict=True)),
        ]
        line = [place for after, share in points for place in (x(after), y(share))]
        drawing.add(PolyLine(line, strokeColor=colour, strokeWidth=thick))
    for n, (state, (colour, thick)) in enumerate(OF_STATE.items()):
        at, row = left + 66 * (n % 3), height - 8 - 11 * (n // 3)
        drawing.add(Line(at, row + 2.5, at + 10, row + 2.5, strokeColor=colour, strokeWidth=thick))
        drawing.add(_word(at + 13, row, names[state]))
    for after in after_min:
        drawing.add(_word(x(after), low - 10, str(after), anchor="middle"))
    drawing.add(_word((left + width) / 2, 3, minutes, anchor="middle"))
    return drawing


def _hours(first: datetime, last: datetime) -> list[datetime]:
    """About eight round instants between the two, in the zone they are told in."""
    span = last - first
    steps = [timedelta(minutes=m) for m in (15, 30, 60, 120, 180, 360, 720)]
    step = next((step for step in steps if span / step <= 9), steps[-1])
    start = first.replace(hour=0, minute=0, second=0, microsecond=0)
    laid = (start + step * n for n in range((last - start) // step + 1))
    return [at for at in laid if at >= first]


def _nice(value: float) -> float:
    ten = 10.0 ** int(log10(value))
    return next((n * ten for n in (1, 2, 4, 5, 10) if n * ten >= value), value)


def _bar(x: float, y: float, width: float, height: float, colour: colors.Color) -> Rect:
    return Rect(x, y, width, height, fillColor=colour, strokeColor=None)


def _word(x: float, y: float, text: str, *, anchor: str = "start", colour: colors.Color = QUIET) -> String:
    return String(x, y, text, fontName=FONT, fontSize=7, fillColor=colour, textAnchor=anchor)
