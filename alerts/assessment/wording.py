"""What people read: titles, pushes and bodies of warnings, in zh and en; orders have order_words.py.

Owns the sentences and their lengths. Does not own who is addressed, when, or the level codes' meaning
(models). A push stands alone in 50 characters (vivo's limit, project domain notes 8) with the essential
first: level, place, hazard; names of streets are shortened, level and action never. Texts hold no names of
persons and no numbers to call. A drill says so in title, push and body. Names of places are Chinese in both
languages. Half of this file is the sentences themselves, kept where they can be read side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Final

from alerts.assessment.lifecycle import Action, Step
from alerts.assessment.rules import Reason
from foundation.clock import local

PUSH_ZH: Final = 50
PUSH_EN: Final = 160
TITLE_ZH: Final = 80
TITLE_EN: Final = 160
HEAD_ZH: Final = 20  # phones cut the rest off the lock screen
DRILL_ZH, DRILL_EN = "【演练】", "[DRILL] "
DRILL_END_ZH, DRILL_END_EN = "本条为演练，并非真实险情。", "This is a drill, not a real danger."


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one bulletin. Raises ValueError when a title or push is longer than its column."""

    title_zh: str
    title_en: str
    push_zh: str
    push_en: str
    body_zh: str
    body_en: str

    def __post_init__(self) -> None:
        limits = {"title_zh": TITLE_ZH, "title_en": TITLE_EN, "push_zh": PUSH_ZH, "push_en": PUSH_EN}
        for name, limit in limits.items():
            if len(getattr(self, name)) > limit:
                raise ValueError(f"{name} is longer than {limit} characters")


@dataclass(frozen=True, slots=True)
class _Call:
    """How a level is named and what it asks for: in short for the push, in full for the body."""

    zh: str
    en: str
    push_zh: str
    push_en: str
    body_zh: str
    body_en: str


_CANCEL: Final = _Call(
    "解除",
    "ENDED",
    "请继续留意积水和滑坡",
    "Keep watching for flooding and landslides.",
    "雨势已减弱。积水、山洪和滑坡仍可能滞后发生，请继续留意责任区情况，发现险情立即上报。",
    "The rain has eased. Flooding and landslides may still follow: keep watching, report any danger at once.",
)
_CALLS: Final = {
    1: _Call(
        "提示",
        "NOTICE",
        "请关注雨情",
        "Watch the rain.",
        "请关注雨情和后续提示，保持通信畅通。",
        "Watch the rain and further notices; stay reachable.",
    ),
    2: _Call(
        "关注",
        "ATTENTION",
        "请做好到岗准备",
        "Be ready to go to your post.",
        "请检查责任区低洼易涝点、边坡和在建工地，做好到岗准备。",
        "Check low-lying spots, slopes and building sites in your area; be ready to go to your post.",
    ),
    3: _Call(
        "警示",
        "ALERT",
        "请立即到岗巡查",
        "Go to your post and inspect now.",
        "请立即到岗，巡查责任区低洼易涝点、边坡、河道水库、在建工地和危房，发现险情立即上报。收到请确认。",
        "Go to your post now; inspect low-lying spots, slopes, rivers, reservoirs, building sites and unsafe "
        "houses; report any danger at once. Confirm that you have read this.",
    ),
    4: _Call(
        "紧急",
        "EMERGENCY",
        "请立即到岗转移危险区人员",
        "Go to your post now; move people to safety.",
        "请立即到岗，组织转移危险区域人员，停止涉水和户外作业，发现险情立即上报。收到请确认。",
        "Go to your post now; move people out of danger areas; stop work outdoors and in water; report any "
        "danger at once. Confirm that you have read this.",
    ),
}
_ACTIONS: Final = {
    Action.RAISE: ("发布", "issued"),
    Action.EXTEND: ("扩展", "extended"),
    Action.UPGRADE: ("升级", "upgraded"),
    Action.DOWNGRADE: ("降级", "lowered"),
    Action.CANCEL: ("解除", "ended"),
}
_HAZARDS: Final = {  # as the push says it, short
    Action.RAISE: ("强降雨", "Heavy rain"),
    Action.EXTEND: ("强降雨", "Heavy rain"),
    Action.UPGRADE: ("强降雨升级", "Heavy rain, level raised"),
    Action.DOWNGRADE: ("强降雨降级", "Heavy rain, level lowered"),
    Action.CANCEL: ("强降雨风险", "Heavy rain"),
}


@dataclass(frozen=True, slots=True)
class _Story:
    """One step of a warning, ready to be told in either language; streets and rain gravest first."""

    call: _Call
    action: Action
    district: str
    streets: tuple[str, ...]
    rain: tuple[tuple[str, Reason], ...]
    ahead_mm: float | None
    slot_at: datetime
    valid_until: datetime
    drill: bool

    @property
    def ends(self) -> bool:
        return self.action is Action.CANCEL

    @property
    def push_ahead_mm(self) -> float | None:
        """The nowcast where it adds something: rain to speak of, and not already the reason itself."""
        told = bool(self.rain) and self.rain[0][1].window == "nowcast_60min"
        return None if told or self.ends or self.ahead_mm is None or self.ahead_mm < 1 else self.ahead_mm


def warning_words(
    step: Step,
    district_zh: str,
    streets: Sequence[str],
    figures: Sequence[Reason],
    nowcast_mm: float | None,
    slot_at: datetime,
    valid_until: datetime,
    drill: bool,
) -> Words:
    """The words of one step of a warning; times are shown in Shenzhen time.

    `streets`: names of those addressed; none means the whole district. `figures`: the gravest reason of each,
    in the same order, or nothing (raised by hand, ended); when the lengths differ nobody can say which is
    whose, so none is shown. `nowcast_mm`: the highest rain expected there in the next hour; None or NaN: no
    nowcast. Raises KeyError for a level outside 1..4 unless the step cancels.
    """
    action = Action(step.action)
    ends = action is Action.CANCEL
    rain = list(zip(streets, figures, strict=True)) if len(streets) == len(figures) and not ends else []
    rain.sort(key=lambda pair: (-pair[1].level, -pair[1].value_mm / pair[1].threshold_mm))
    story = _Story(
        call=_CANCEL if ends else _CALLS[step.level],
        action=action,
        district=one_line(district_zh),
        streets=tuple(one_line(street) for street in ([street for street, _ in rain] or streets)),
        rain=tuple(rain),
        ahead_mm=nowcast_mm if nowcast_mm is not None and isfinite(nowcast_mm) else None,
        slot_at=local(slot_at),
        valid_until=local(valid_until),
        drill=drill,
    )
    (title_zh, push_zh, body_zh), (title_en, push_en, body_en) = _tell_zh(story), _tell_en(story)
    return Words(title_zh, title_en, push_zh, push_en, body_zh, body_en)


def _tell_zh(story: _Story) -> tuple[str, str, str]:
    """(title, push, body) in Chinese."""
    call, mark = story.call, DRILL_ZH if story.drill else ""
    news = f"强降雨风险提示{_ACTIONS[story.action][0]}" + ("" if story.ends else f"（{call.zh}级）")
    facts = [_rain_zh(story.rain[0][1])] if story.rain else []
    if story.push_ahead_mm is not None:
        facts.append(f"未来1小时{_mm(story.push_ahead_mm)}毫米")
    hazard = _HAZARDS[story.action][0]
    place = place_zh(story.district, story.streets, HEAD_ZH - len(f"【{call.zh}】{hazard}"))
    head = f"{mark}【{call.zh}】{place}{hazard}"
    streets = f"（{'、'.join(story.streets)}）" if story.streets else ""
    lines = [f"{mark}{when_zh(story.slot_at)}，{story.district}{streets}{news}。"]
    for street, r in story.rain:
        source = r.source.replace("station:", "雨量站").replace("cell:", "网格")
        lines.append(f"{street}：{_rain_zh(r)}，阈值{_mm(r.threshold_mm)}毫米，{source}。")
    if not story.ends:
        ahead = "暂无临近预报" if story.ahead_mm is None else f"预计未来1小时最大{_mm(story.ahead_mm)}毫米"
        lines.append(f"{ahead}。本提示有效至{when_zh(story.valid_until)}。")
    lines.append(call.body_zh)
    return (
        mark + clip(story.district, TITLE_ZH - len(mark + news)) + news,
        fit(head, facts, "：", "，", f"，{call.push_zh}", PUSH_ZH),
        "\n".join([*lines, *([DRILL_END_ZH] if story.drill else [])]),
    )


def _tell_en(story: _Story) -> tuple[str, str, str]:
    """(title, push, body) in English; names of places stay Chinese."""
    call, mark = story.call, DRILL_EN if story.drill else ""
    facts = [_rain_en(story.rain[0][1])] if story.rain else []
    if story.push_ahead_mm is not None:
        facts.append(f"{_mm(story.push_ahead_mm)} mm expected in 1 h")
    place = f"{clip(story.district, 20)} {first_en(story.streets, 'streets')}".rstrip()
    head = f"{mark}[{call.en}] {_HAZARDS[story.action][1]}: {place}"
    news = f"Heavy-rain warning {_ACTIONS[story.action][1]}" + ("" if story.ends else f" ({call.en})")
    streets = f" ({', '.join(story.streets)})" if story.streets else ""
    lines = [f"{mark}{when_en(story.slot_at)}. {news}: {story.district}{streets}."]
    for street, r in story.rain:
        source = r.source.replace("station:", "gauge ").replace("cell:", "grid cell ")
        lines.append(f"{street}: {_rain_en(r)}, threshold {_mm(r.threshold_mm)} mm, {source}.")
    if not story.ends:
        ahead = "No nowcast" if story.ahead_mm is None else f"Up to {_mm(story.ahead_mm)} mm expected in 1 h"
        lines.append(f"{ahead}. Valid until {when_en(story.valid_until)}.")
    lines.append(call.body_en)
    return (
        f"{mark}{news}, {clip(story.district, TITLE_EN - len(mark + news) - 2)}",
        fit(head, facts, ", ", ", ", f". {call.push_en}", PUSH_EN),
        "\n".join([*lines, *([DRILL_END_EN] if story.drill else [])]),
    )


def fit(head: str, facts: Sequence[str], opener: str, joiner: str, tail: str, limit: int) -> str:
    """Head, as many facts as have room, in order, and always the tail."""
    text = head
    for fact in facts:
        added = (opener if text == head else joiner) + fact
        if len(text) + len(added) + len(tail) <= limit:
            text += added
    return text + tail


def place_zh(district: str, streets: Sequence[str], room: int) -> str:
    """As many street names as the room allows, then 等N街道; the first name is cut before the number goes."""
    if not streets:
        return clip(district, room)
    short = clip(district.removesuffix("特别合作区").removesuffix("新区").removesuffix("区") or district, 4)
    names = [street.removesuffix("街道") or street for street in streets]
    room -= len(short)
    for shown in range(min(len(names), room), 0, -1):
        listed = "、".join(names[:shown]) + ("街道" if shown == len(names) else f"等{len(names)}街道")
        if len(listed) <= room:
            return short + listed
    unit = f"等{len(names)}街道" if len(names) > 1 else "街道"
    return short + clip(names[0], max(2, room - len(unit))) + unit


def first_en(names: Sequence[str], unit: str) -> str:
    first = clip(one_line(names[0]), 20) if names else ""
    more = len(names) - 1
    return first + (f" and {more} more {unit if more > 1 else unit.removesuffix('s')}" if more > 0 else "")


def _rain_zh(reason: Reason) -> str:
    """1小时52毫米; with slots missing the sum is a lower bound and says so."""
    kind, minutes = reason.window.removesuffix("min").split("_")
    span = f"{int(minutes) // 60}小时" if int(minutes) >= 60 else f"{minutes}分钟"
    ahead, least = "预计" if kind == "nowcast" else "", "至少" if reason.share < 1 else ""
    return f"{ahead}{span}{least}{_mm(reason.value_mm)}毫米"


def _rain_en(reason: Reason) -> str:
    kind, minutes = reason.window.removesuffix("min").split("_")
    span = f"{int(minutes) // 60} h" if int(minutes) >= 60 else f"{minutes} min"
    ahead, least = " expected" if kind == "nowcast" else "", "at least " if reason.share < 1 else ""
    return f"{least}{_mm(reason.value_mm)} mm{ahead} in {span}"


def _mm(value_mm: float) -> str:
    """Whole millimetres from 10 on, a tenth below, where it decides."""
    return f"{value_mm:.0f}" if value_mm >= 10 else f"{value_mm:.1f}".removesuffix(".0")


def when_zh(at: datetime) -> str:
    return f"{at.month}月{at.day}日{at:%H:%M}"


def when_en(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def one_line(text: str) -> str:
    return " ".join(text.split())


def clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
