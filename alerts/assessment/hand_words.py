"""What people read where a person decides about a warning, and where nobody knows any more; zh and en.

Owns the sentences: a warning of rain, flood or water level raised, extended, upgraded, downgraded or ended by the duty
desk (值班人员研判), and the end of a warning without values or whose time is over. Does not own the watch's own words
(wording.py, wording_levels.py). A push stands alone in 50 characters: level, place, hazard and what to do never give
way; the note does.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from alerts.assessment.lifecycle import Action
from alerts.assessment.wording import (
    DRILL_EN,
    DRILL_END_EN,
    DRILL_END_ZH,
    DRILL_ZH,
    HEAD_ZH,
    PUSH_EN,
    PUSH_ZH,
    Words,
    clip,
    first_en,
    fit,
    one_line,
    place_zh,
    when_en,
    when_zh,
)
from foundation.clock import local

_HAZARDS: Final = {  # (push zh, push en, title zh, title en)
    "rainstorm": ("强降雨", "Heavy rain", "强降雨风险提示", "Heavy-rain warning"),
    "flood": ("内涝洪水", "Flooding", "内涝洪水风险提示", "Flood warning"),
    "reservoir": ("水位", "Reservoir level", "水位提示", "Reservoir level notice"),
    "river": ("水位", "River level", "水位提示", "River level notice"),
    "tide": ("潮位", "Tide", "潮位提示", "Tide notice"),
}
_ACTIONS: Final = {
    Action.RAISE: ("发布", "issued"),
    Action.EXTEND: ("扩展", "extended"),
    Action.UPGRADE: ("升级", "upgraded"),
    Action.DOWNGRADE: ("降级", "lowered"),
    Action.CANCEL: ("解除", "ended"),
    Action.EXPIRE: ("失效", "expired"),
}
_LEVELS: Final = {  # (level zh, en, push zh, en, body zh, en)
    0: (
        "解除",
        "ENDED",
        "请继续留意",
        "Keep watching.",
        "请继续留意责任区积水、山洪和滑坡，发现险情立即上报。",
        "Keep watching for flooding and landslides in your area; report any danger at once.",
    ),
    1: (
        "提示",
        "NOTICE",
        "请关注现场情况",
        "Watch your area.",
        "请关注责任区情况和后续提示，保持通信畅通。",
        "Watch your area and further notices; stay reachable.",
    ),
    2: (
        "关注",
        "ATTENTION",
        "请做好到岗准备",
        "Be ready to go to your post.",
        "请检查责任区低洼易涝点、河道水库、边坡和在建工地，做好到岗准备。",
        "Check low-lying spots, rivers, reservoirs, slopes and building sites in your area; be ready to go.",
    ),
    3: (
        "警示",
        "ALERT",
        "请立即到岗巡查",
        "Go to your post and inspect now.",
        "请立即到岗，巡查责任区低洼易涝点、河道水库、边坡、在建工地和危房，发现险情立即上报。收到请确认。",
        "Go to your post now; inspect low-lying spots, rivers, reservoirs, slopes, building sites and unsafe houses; "
        "report any danger at once. Confirm that you have read this.",
    ),
    4: (
        "紧急",
        "EMERGENCY",
        "请立即到岗转移危险区人员",
        "Go to your post now; move people to safety.",
        "请立即到岗，组织转移危险区域人员，停止涉水和户外作业，发现险情立即上报。收到请确认。",
        "Go to your post now; move people out of danger areas; stop work outdoors and in water; report any danger at "
        "once. Confirm that you have read this.",
    ),
}
TITLE_PLACE: Final = 40
_BY_DESK_ZH, _BY_DESK_EN = "值班人员研判", "by the duty desk's judgement"
_BLIND_ZH, _BLIND_EN = "数据中断", "no data"
_OVER_ZH, _OVER_EN = "时限已到", "its time is over"


@dataclass(frozen=True, slots=True)
class HandStory:
    """One step of a warning that a person decided, or that nobody confirms any more.

    `place`: the district, or the station; `streets`: names of those addressed. `level`: in force for them after it, 0
    where it is over. `blind`: of an expiry, whether values are missing; else the time a person set is over.
    """

    hazard: str
    action: Action
    place: str
    streets: tuple[str, ...]
    level: int
    at: datetime
    until: datetime
    note: str = ""
    blind: bool = False
    drill: bool = False


def hand_words(story: HandStory) -> Words:
    """The words of the step, Shenzhen time. Raises KeyError for an unknown hazard, a held level or one above 4."""
    short_zh, short_en, name_zh, name_en = _HAZARDS[story.hazard]
    did_zh, did_en = _ACTIONS[story.action]
    call_zh, call_en, push_zh, push_en, body_zh, body_en = _LEVELS[story.level]
    drill_zh, drill_en = (DRILL_ZH, DRILL_EN) if story.drill else ("", "")
    expires = story.action is Action.EXPIRE
    if expires:
        call_zh, call_en = _ACTIONS[Action.EXPIRE][0], "EXPIRED"
        push_zh, push_en = "请自行观察", "Watch for yourself."
    basis_zh, basis_en = _basis(story)
    note, place = one_line(story.note), one_line(story.place)
    streets = tuple(one_line(street) for street in story.streets)
    shown_zh = place_zh(place, streets, HEAD_ZH - len(f"【{call_zh}】{short_zh}"))
    changed_zh = did_zh if story.action in (Action.UPGRADE, Action.DOWNGRADE) else ""
    head_zh = f"{drill_zh}【{call_zh}】{shown_zh}{short_zh}{changed_zh}"
    head_en = f"{drill_en}[{call_en}] {short_en}: {clip(place, 20)} {first_en(streets, 'streets')}".rstrip()
    level_zh, level_en = (f"（{call_zh}级）", f" ({call_en})") if story.level else ("", "")
    news_zh, news_en = f"{name_zh}{did_zh}{level_zh}", f"{name_en} {did_en}{level_en}"
    where_zh = f"（{'、'.join(streets)}）" if streets else ""
    where_en = f" ({', '.join(streets)})" if streets else ""
    at, until = local(story.at), local(story.until)
    lines_zh = [f"{drill_zh}{when_zh(at)}，{basis_zh}，{place}{where_zh}{news_zh}。"]
    lines_en = [f"{drill_en}{when_en(at)}. {news_en}, {basis_en}: {place}{where_en}."]
    if expires:
        lines_zh.append("系统不再掌握情况，不等于险情已经解除。请到现场查看，自行观察和警戒。")
        lines_en.append("Nobody knows that the danger is over. Look on site and watch for yourself.")
    if note:
        lines_zh.append(f"研判意见：{note}")
        lines_en.append(f"Note: {note}")
    if story.level:
        lines_zh.append(f"本提示有效至{when_zh(until)}。")
        lines_en.append(f"Valid until {when_en(until)}.")
    end_zh, end_en = ([DRILL_END_ZH], [DRILL_END_EN]) if story.drill else ([], [])
    facts_zh, facts_en = [basis_zh, *filter(None, [note])], [basis_en, *filter(None, [note])]
    return Words(
        drill_zh + place_zh(place, streets, TITLE_PLACE) + news_zh,
        f"{drill_en}{news_en}, {clip(place, TITLE_PLACE)} {first_en(streets, 'streets')}".rstrip(),
        fit(head_zh, facts_zh, "：", "，", f"，{push_zh}", PUSH_ZH),
        fit(head_en, facts_en, ", ", ", ", f". {push_en}", PUSH_EN),
        "\n".join([*lines_zh, body_zh, *end_zh]),
        "\n".join([*lines_en, body_en, *end_en]),
    )


def _basis(story: HandStory) -> tuple[str, str]:
    """Who or what says so."""
    if story.action is not Action.EXPIRE:
        return _BY_DESK_ZH, _BY_DESK_EN
    return (_BLIND_ZH, _BLIND_EN) if story.blind else (_OVER_ZH, _OVER_EN)
