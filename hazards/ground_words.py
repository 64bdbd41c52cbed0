"""What is said of a report from the ground, in zh and en: to the desks, to who is sent, to who saw it.

A push stands alone in 50 characters: mark, kind and act never give way, the place does. No names of persons, and of the
reporter's own text not a word outside the body.
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

from alerts.assessment.wording import PUSH_EN, PUSH_ZH, TITLE_EN, TITLE_ZH, Words, clip, one_line
from foundation.clock import local
from hazards.models import CloseReason, GroundKind, GroundSeverity

_KINDS_EN: Final = {
    GroundKind.WATERLOGGING: "waterlogging",
    GroundKind.LANDSLIDE: "landslide",
    GroundKind.RESERVOIR: "reservoir in danger",
    GroundKind.RIVER: "river or dike in danger",
    GroundKind.BUILDING: "building in danger",
    GroundKind.TREE: "fallen tree",
    GroundKind.TRAPPED: "people trapped",
    GroundKind.OTHER: "other danger",
}
_REASONS_EN: Final = {
    CloseReason.HANDLED: "dealt with",
    CloseReason.FALSE_ALARM: "not confirmed on the spot",
    CloseReason.DUPLICATE: "already reported; it goes on there",
}
Pair = tuple[str, str]  # zh, en


class Danger(NamedTuple):
    """What the sentences need of a report; the place from the district down, the stamp as it is kept."""

    kind: GroundKind
    severity: GroundSeverity
    place: str
    lon: float
    lat: float
    text: str
    at: datetime
    stamp: dict[str, Any]


def told_at_once(seen: Danger) -> Words:
    """To the duty desks of the place and above: lives may be in danger."""
    return _words(
        seen,
        ("【险情上报】", "[REPORT] "),
        ("请立即处置", "Act now."),
        (
            "请在值班台“灾情”页指派人员并跟踪处置。",
            "Send somebody from the console's page of reports, and see it through.",
        ),
    )


def go_there(seen: Danger, note: str) -> Words:
    """To who is sent."""
    return _words(
        seen,
        ("【险情处置】", "[GO] "),
        ("请立即前往", "Go there now."),
        (f"请立即前往处置，并反馈进展。{note}", f"Go there, and say how it stands. {note}".strip()),
    )


def go_no_more(seen: Danger) -> Words:
    """To who was sent before another."""
    return _words(
        seen,
        ("【改派】", "[CALLED OFF] "),
        ("已改派，您无需前往", "Another goes."),
        ("已改派他人，您无需再前往。", "Another has been sent; you need not go any more."),
    )


def closed(seen: Danger, reason: CloseReason, note: str, original: int | None) -> Words:
    """To who saw it, and to who was sent."""
    where = (f"，见上报 {original}", f": report {original}") if original else ("", "")
    return _words(
        seen,
        ("【上报办结】", "[CLOSED] "),
        (f"办结：{reason.label}", f"Closed: {_REASONS_EN[reason]}."),
        (
            f"处理结果：{reason.label}{where[0]}。{note}",
            f"Result: {_REASONS_EN[reason]}{where[1]}. {note}".strip(),
        ),
    )


def _words(seen: Danger, mark: Pair, act: Pair, to_do: Pair) -> Words:
    what_zh = f"{seen.kind.label}（{seen.severity.label}）"
    what_en = f"{_KINDS_EN[seen.kind]} ({seen.severity})"
    place, at = one_line(seen.place), local(seen.at)
    room_zh = PUSH_ZH - len(mark[0] + what_zh + act[0]) - 1
    room_en = PUSH_EN - len(mark[1] + what_en + act[1]) - 4
    point = f"{seen.lon:.5f}, {seen.lat:.5f}"
    around_zh, around_en = _around(seen.stamp)
    return Words(
        title_zh=clip(f"{mark[0]}{place}{what_zh}", TITLE_ZH),
        title_en=clip(f"{mark[1]}{what_en}, {place}", TITLE_EN),
        push_zh=f"{mark[0]}{clip(place, room_zh)}{what_zh}，{act[0]}",
        push_en=f"{mark[1]}{what_en}, {clip(place, room_en)}. {act[1]}",
        body_zh=f"{at.month}月{at.day}日{at:%H:%M}，{place}（{point}）：{what_zh}。{seen.text}\n{around_zh}{to_do[0]}",
        body_en=f"{at:%Y-%m-%d %H:%M}, {place} ({point}): {what_en}. {seen.text}\n{around_en}{to_do[1]}",
    )


def _around(stamp: dict[str, Any]) -> Pair:
    """The rain and the levels that stand in the stamp, one line; nothing where nothing is known."""
    zh, en = [], []
    gauge = stamp.get("gauge")
    if gauge and gauge["rain_60min_mm"] is not None:
        zh.append(f"{gauge['name']}1小时{gauge['rain_60min_mm']:g}毫米")
        en.append(f"{gauge['name']} {gauge['rain_60min_mm']:g} mm in 1 h")
    for level in stamp.get("levels", ()):
        if level["level_m"] is not None:
            over = level["over_m"]
            zh.append(
                f"{level['name']}{level['level_m']:.2f}米"
                + ("" if over is None else f"（距限{over:+.2f}米）")
            )
            en.append(
                f"{level['name']} {level['level_m']:.2f} m" + ("" if over is None else f" ({over:+.2f} m)")
            )
    if not zh:
        return "", ""
    return f"上报时周边：{'，'.join(zh)}。\n", f"Around it then: {', '.join(en)}.\n"
