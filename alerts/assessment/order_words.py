"""What people read of a response order: issued, taking another's place, called off. Dry, zh and en; limits: wording.py.

The text is the author's; level, action, what is due by when and what is stopped are said by us and never give way in the
push, the list of areas and the title do. Names of places are Chinese in both languages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from alerts.assessment.wording import (
    DRILL_EN,
    DRILL_END_EN,
    DRILL_END_ZH,
    DRILL_ZH,
    PUSH_EN,
    PUSH_ZH,
    TITLE_EN,
    TITLE_ZH,
    Words,
    clip,
    first_en,
    one_line,
    when_en,
)
from foundation.clock import local

RESPONSES: Final = {
    "watch": ("关注级", "level watch"),
    "IV": ("Ⅳ级", "level IV"),
    "III": ("Ⅲ级", "level III"),
    "II": ("Ⅱ级", "level II"),
    "I": ("Ⅰ级", "level I"),
}
ACTIONS: Final = {  # as a template says it
    "start": ("启动", "started"),
    "upgrade": ("升级为", "raised"),
    "downgrade": ("降为", "lowered"),
    "convert": ("转为", "changed"),
}
_HEADS: Final = {  # as the push says it, before the level
    "start": ("", ""),
    "upgrade": ("升级为", "RAISED TO "),
    "downgrade": ("降为", "LOWERED TO "),
    "convert": ("转为", "CHANGED TO "),
}
HAZARDS: Final = {
    "flood": ("防汛", "flood"),
    "rainstorm": ("暴雨内涝", "rainstorm"),
    "reservoir": ("水库", "reservoir"),
    "river": ("河道", "river"),
    "tide": ("潮位", "tide"),
}
SECTORS: Final = {
    "school": ("停课", "schools"),
    "work": ("停工", "outdoor work"),
    "production": ("停产", "production"),
    "transport": ("停运", "public transport"),
    "business": ("停业", "businesses"),
}


class Over(StrEnum):
    """Why an order that was sent asks for nothing any more."""

    ENDED = "ended"  # it was in force to its end
    WITHDRAWN = "withdrawn"  # it was taken back
    LEFT = "left"  # for those whom the order that takes its place does not address


_OVER: Final = {  # what is said first, and why
    Over.ENDED: ("终止", "ENDED", "", ""),
    Over.WITHDRAWN: ("撤回", "WITHDRAWN", "", ""),
    Over.LEFT: (
        "终止",
        "ENDED",
        "新指令不再包含您的责任区或岗位。",
        "The new order no longer covers your area or post. ",
    ),
}


@dataclass(frozen=True, slots=True)
class Ordered:
    """What an order says beside its author's text. `was`: (hazard, level) of the response whose place it takes."""

    level: str
    areas: Sequence[str]
    deadline_at: datetime | None
    drill: bool
    hazard: str = "flood"
    action: str = "start"
    was: tuple[str, str] | None = None
    stops: Sequence[tuple[str, Sequence[str]]] = ()  # sector, names of its areas
    papers: int = 0
    over: Over | None = None  # None: it stands


def order_words(said: Ordered, title_zh: str, text_zh: str, title_en: str = "", text_en: str = "") -> Words:
    """The words of a response order. KeyError for a level, action, hazard or sector that there is not."""
    level_zh, level_en = RESPONSES[said.level]
    mark_zh, mark_en = (DRILL_ZH, DRILL_EN) if said.drill else ("", "")
    sign_zh, sign_en = _sign(said)
    title = one_line(title_zh)
    other = one_line(title_en) or f"Flood response {level_en}: {title}"
    first_zh = clip(one_line(said.areas[0]), 7) if said.areas else ""
    more_zh = f"等{len(said.areas)}地" if len(said.areas) > 1 else ""
    does_zh, does_en = _HEADS[said.action]
    areas_zh, areas_en = f"范围：{'、'.join(said.areas)}。", f"Areas: {', '.join(said.areas)}."
    if said.over is None:
        tail_zh = tail_en = ""
        top_zh, top_en = mark_zh, mark_en
        more = _more(said)
        lines_zh = [mark_zh + text_zh, areas_zh, *(zh for zh, _ in more), f"{sign_zh}。"]
        lines_en = [mark_en + (text_en or text_zh), areas_en, *(en for _, en in more), sign_en]
    else:  # what is over comes first, and what had been ordered last: nobody goes because of it
        over_zh, over_en, why_zh, why_en = _OVER[said.over]
        does_zh, does_en, tail_zh, tail_en = "", "", over_zh, f" {over_en}"
        top_zh, top_en = f"{mark_zh}【{over_zh}】", f"{mark_en}[{over_en}] "
        lines_zh = [f"{top_zh}{why_zh}{sign_zh}：{title}。", areas_zh, f"原指令内容：{text_zh}"]
        lines_en = [
            f"{top_en}{why_en}Stop acting on this order: {other}.",
            areas_en,
            f"What it said: {text_en or text_zh}",
        ]
    head_zh = f"{mark_zh}【{does_zh}{level_zh}响应{tail_zh}】{first_zh}{more_zh}："
    head_en = f"{mark_en}[RESPONSE {does_en}{level_en.upper()}{tail_en}] {first_en(said.areas, 'areas')}: "
    return Words(
        title_zh=top_zh + clip(title, TITLE_ZH - len(top_zh)),
        title_en=top_en + clip(other, TITLE_EN - len(top_en)),
        push_zh=f"{head_zh}{clip(title, PUSH_ZH - len(head_zh) - len(sign_zh) - 1)}，{sign_zh}",
        push_en=f"{head_en}{clip(other, PUSH_EN - len(head_en) - len(sign_en) - 2)}. {sign_en}",
        body_zh="\n".join(filter(None, [*lines_zh, DRILL_END_ZH if said.drill else ""])),
        body_en="\n".join(filter(None, [*lines_en, DRILL_END_EN if said.drill else ""])),
    )


def _sign(said: Ordered) -> tuple[str, str]:
    """What is asked for, by when."""
    if said.over is not None:
        return "原指令不再执行", "Stop acting on it."
    if said.deadline_at is None:
        return "请立即签收", "Confirm receipt now."
    due = local(said.deadline_at)
    return f"请{due.day}日{due:%H:%M}前签收", f"Confirm receipt by {when_en(due)}."


def _more(said: Ordered) -> list[tuple[str, str]]:
    """Lines of the body: whose place it takes, what is stopped where, papers."""
    lines = []
    if said.was is not None:
        (hazard_zh, hazard_en), (level_zh, level_en) = HAZARDS[said.was[0]], RESPONSES[said.was[1]]
        (now_zh, now_en), (to_zh, to_en) = HAZARDS[said.hazard], RESPONSES[said.level]
        does_zh, does_en = ACTIONS[said.action]
        lines.append((
            f"原{hazard_zh}{level_zh}响应{does_zh}{now_zh}{to_zh}响应，原指令不再执行。",
            f"The {hazard_en} response, {level_en}, is {does_en} to {now_en}, {to_en}; the former order ends.",
        ))  # fmt: skip
    for sector, areas in said.stops:
        zh, en = SECTORS[sector]
        lines.append((f"{zh}：{'、'.join(areas)}。", f"Stopped: {en} in {', '.join(areas)}."))
    if said.papers:
        lines.append((f"附件{said.papers}份。", f"Attachments: {said.papers}."))
    return lines
