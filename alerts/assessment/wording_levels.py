"""What people read about water levels: notices of a station, its silence, a follower's own threshold, in zh and en.

Owns the sentences. Lengths, clipping and the calm of the words are wording.py's: a push stands alone in 50
characters, place and figure before everything else. Levels are in metres of the station's own datum, which the body
names.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from alerts.assessment.lifecycle import Action
from alerts.assessment.stages import Condition, ObjectClass, Reason
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
    fit,
    one_line,
    when_en,
    when_zh,
)
from foundation.clock import local
from hydrology.science.stages import LimitKind

NAME_ZH, NAME_EN = 14, 30  # a station's name in a push
_LEVELS: Final = {
    1: ("提示", "NOTICE"),
    2: ("关注", "ATTENTION"),
    3: ("警示", "ALERT"),
    4: ("紧急", "EMERGENCY"),
}
_LIMITS: Final = {
    LimitKind.FLOOD_SEASON: ("汛限", "the flood-season limit"),
    LimitKind.NORMAL: ("正常", "the normal level"),
    LimitKind.DESIGN: ("设计", "the design flood level"),
    LimitKind.CHECK: ("校核", "the check flood level"),
    LimitKind.CREST_MARGIN: ("坝顶下0.5米", "0.5 m below the dam crest"),
    LimitKind.CREST: ("坝顶", "the dam crest"),
    LimitKind.WARNING: ("警戒", "the warning stage"),
    LimitKind.GUARANTEE: ("保证", "the guarantee stage"),
    LimitKind.HIGHEST: ("历史最高", "the record stage"),
}
_DAM: Final = {  # what is to be done: (push zh, push en, body zh, body en)
    1: ("请关注水位", "Watch the level.", "请关注水位和后续提示。", "Watch the level and further notices."),
    2: (
        "请加密巡查",
        "Inspect more often.",
        "请加密巡查大坝和溢洪道，提醒下游群众注意水位。",
        "Inspect dam and spillway more often; tell people downstream to watch the water.",
    ),
    3: (
        "请立即到岗巡坝",
        "Go to the dam and inspect now.",
        "请立即到岗，巡查大坝、溢洪道和闸门，按调度令泄洪，发现险情立即上报。收到请确认。",
        "Go to the dam now; inspect dam, spillway and gates; release water as ordered; report any danger at once. "
        "Confirm that you have read this.",
    ),
    4: (
        "请立即转移下游人员",
        "Move people downstream to safety now.",
        "请立即到岗，组织转移下游危险区人员，加强大坝巡查，发现险情立即上报。收到请确认。",
        "Go to the dam now; move people out of the danger area downstream; keep the dam under watch; report any "
        "danger at once. Confirm that you have read this.",
    ),
}
_BANK: Final = {
    1: _DAM[1],
    2: (
        "请做好到岗准备",
        "Be ready to go to your post.",
        "请检查沿岸低洼处、涉水步道和穿堤涵闸，做好到岗准备。",
        "Check low ground, waterside paths and culverts along the bank; be ready to go to your post.",
    ),
    3: (
        "请立即到岗巡堤",
        "Go to the bank and inspect now.",
        "请立即到岗，巡查堤防和沿岸低洼处，劝离涉水人员，发现险情立即上报。收到请确认。",
        "Go to your post now; inspect dykes and low ground along the bank; keep people away from the water; report "
        "any danger at once. Confirm that you have read this.",
    ),
    4: (
        "请立即转移沿岸人员",
        "Move people along the bank to safety now.",
        "请立即到岗，组织转移沿岸危险区人员，封闭涉水通道，发现险情立即上报。收到请确认。",
        "Go to your post now; move people out of danger along the bank; close ways through the water; report any "
        "danger at once. Confirm that you have read this.",
    ),
}
_ENDED: Final = (
    "请继续留意",
    "Keep watching.",
    "水位已回落。请继续留意，发现险情立即上报。",
    "The level has fallen. Keep watching; report any danger at once.",
)


@dataclass(frozen=True, slots=True)
class LevelStory:
    """One step of a station's notice; metres in `datum`, `rate_m_per_h` None where too little is known."""

    name: str
    street: str
    object_class: ObjectClass
    action: Action
    level: int
    level_m: float
    datum: str
    reasons: tuple[Reason, ...]
    rate_m_per_h: float | None
    observed_at: datetime
    valid_until: datetime
    drill: bool


def level_words(story: LevelStory) -> Words:
    """The words of a step of a level notice; Shenzhen time. Raises KeyError for a level outside 1..4 unless it ends."""
    ends = story.action is Action.CANCEL
    call_zh, call_en = ("解除", "ENDED") if ends else _LEVELS[story.level]
    asks = (
        _ENDED
        if ends
        else (_BANK if story.object_class in (ObjectClass.RIVER, ObjectClass.TIDE) else _DAM)[story.level]
    )
    drill_zh, drill_en = (DRILL_ZH, DRILL_EN) if story.drill else ("", "")
    name, street = one_line(story.name), one_line(story.street)
    facts = [] if ends else [_fact(reason) for reason in story.reasons]
    headline_zh, headline_en = ("水位回落", "level has fallen") if ends else facts[0]
    if story.object_class is ObjectClass.UNGATED and not ends:
        facts.append(("无闸门", "no gates"))
    rise = _rise(story.rate_m_per_h) if not ends else None
    if rise and not any(reason.condition == Condition.RISE_60MIN for reason in story.reasons):
        facts.append(rise)
    said_zh, said_en = [zh for zh, _ in facts], [en for _, en in facts]
    head_zh = f"{drill_zh}【{call_zh}】{clip(name, NAME_ZH)}" + ("水位回落" if ends else "")
    head_en = f"{drill_en}[{call_en}] {clip(name, NAME_EN)}" + (": level has fallen" if ends else "")
    at_zh, at_en = when_zh(local(story.observed_at)), when_en(local(story.observed_at))
    lines_zh = [f"{drill_zh}{at_zh}，{street}{name}水位{story.level_m:.2f}米（{story.datum}）。"]
    lines_en = [f"{drill_en}{at_en}. {name}, {street}: level {story.level_m:.2f} m ({story.datum})."]
    if facts:
        lines_zh.append("，".join(said_zh) + "。")
        lines_en.append("; ".join(said_en) + ".")
    lines_zh += [_limit_zh(reason) for reason in story.reasons if reason.limit and not ends]
    lines_en += [_limit_en(reason) for reason in story.reasons if reason.limit and not ends]
    if not ends:
        lines_zh.append(f"本提示有效至{when_zh(local(story.valid_until))}。")
        lines_en.append(f"Valid until {when_en(local(story.valid_until))}.")
    level_zh, level_en = ("（解除）", "ended") if ends else (f"（{call_zh}级）", call_en)
    end_zh, end_en = ([DRILL_END_ZH], [DRILL_END_EN]) if story.drill else ([], [])
    return Words(
        clip(f"{drill_zh}{name}{headline_zh}{level_zh}", TITLE_ZH),
        clip(f"{drill_en}{name}: {headline_en} ({level_en})", TITLE_EN),
        fit(head_zh, said_zh, "：", "，", f"，{asks[0]}", PUSH_ZH),
        fit(head_en, said_en, ": ", ", ", f". {asks[1]}", PUSH_EN),
        "\n".join([*lines_zh, asks[2], *end_zh]),
        "\n".join([*lines_en, asks[3], *end_en]),
    )


def silence_words(
    name: str, street: str, level_m: float, level: int, last_at: datetime, drill: bool
) -> Words:
    """A station with an open notice of this level has said nothing for too long; `last_at` is its last reading."""
    call_zh, call_en = _LEVELS[level]
    name, street = one_line(name), one_line(street)
    drill_zh, drill_en = (DRILL_ZH, DRILL_EN) if drill else ("", "")
    at_zh, at_en = when_zh(local(last_at)), when_en(local(last_at))
    last_zh, last_en = f"{at_zh}水位{level_m:.2f}米", f"{level_m:.2f} m at {at_en}"
    end_zh, end_en = ([DRILL_END_ZH], [DRILL_END_EN]) if drill else ([], [])
    body_zh = f"{drill_zh}{street}{name}自{at_zh}后无数据，最后{last_zh}，{call_zh}级提示继续有效。请现场查看水位并上报。"
    body_en = (
        f"{drill_en}{name}, {street}: no data since {at_en}; last level {level_m:.2f} m. The {call_en} stays in force. "
        "Look at the water on site and report."
    )
    return Words(
        clip(f"{drill_zh}{name}失联（{call_zh}级提示继续有效）", TITLE_ZH),
        clip(f"{drill_en}{name}: no data ({call_en} stays in force)", TITLE_EN),
        fit(
            f"{drill_zh}【失联】{clip(name, NAME_ZH)}",
            [f"最后{last_zh}"],
            "：",
            "，",
            "，请现场查看水位",
            PUSH_ZH,
        ),
        fit(
            f"{drill_en}[NO DATA] {clip(name, NAME_EN)}",
            [f"last {last_en}"],
            ": ",
            ", ",
            ". Look on site.",
            PUSH_EN,
        ),
        "\n".join([body_zh, *end_zh]),
        "\n".join([body_en, *end_en]),
    )


def follow_words(
    name: str, street: str, level_m: float, threshold_m: float, datum: str, observed_at: datetime
) -> Words:
    """The level of a followed station has reached its followers' own threshold."""
    name, street = one_line(name), one_line(street)
    at_zh, at_en = when_zh(local(observed_at)), when_en(local(observed_at))
    fact_zh = f"水位{level_m:.2f}米，达到您设的{threshold_m:.2f}米"
    fact_en = f"level {level_m:.2f} m, your threshold {threshold_m:.2f} m"
    return Words(
        clip(f"{name}水位达到您设的{threshold_m:.2f}米", TITLE_ZH),
        clip(f"{name}: {fact_en}", TITLE_EN),
        f"【水情】{clip(name, NAME_ZH)}{fact_zh}",
        clip(f"[LEVEL] {clip(name, NAME_EN)}: {fact_en}", PUSH_EN),
        f"{at_zh}，{street}{name}{fact_zh}（{datum}）。水位回落到阈值以下0.05米后再次达到时会再次提醒。",
        f"{at_en}. {name}, {street}: {fact_en} ({datum}). You are told again when it has fallen 0.05 m below it and "
        "comes back.",
    )


def _fact(reason: Reason) -> tuple[str, str]:
    """One reason in a few words."""
    if reason.condition == Condition.RISE_60MIN:
        return _rise(reason.value) or ("", "")
    if reason.condition == Condition.RISE_30MIN:
        return f"30分钟涨{reason.value:.2f}米", f"up {reason.value:.2f} m in 30 min"
    assert reason.limit is not None  # every other condition speaks of a limit
    limit_zh, limit_en = _LIMITS[LimitKind(reason.limit.kind)]
    if reason.condition in (Condition.AHEAD_FIRST, Condition.AHEAD_GRAVE):
        minutes = max(1, round(reason.value / 60))
        return f"约{minutes}分钟后达{limit_zh}水位", f"{limit_en} in about {minutes} min"
    if round(reason.value, 2) < 0:
        return f"距{limit_zh}水位{-reason.value:.2f}米", f"{-reason.value:.2f} m below {limit_en}"
    if round(reason.value, 2) == 0:
        return f"达到{limit_zh}水位", f"at {limit_en}"
    return f"超{limit_zh}水位{reason.value:.2f}米", f"{reason.value:.2f} m over {limit_en}"


def _rise(rate_m_per_h: float | None) -> tuple[str, str] | None:
    """The rate where it says something."""
    if rate_m_per_h is None or round(rate_m_per_h, 2) <= 0:
        return None
    return f"1小时涨{rate_m_per_h:.2f}米", f"up {rate_m_per_h:.2f} m in 1 h"


def _limit_zh(reason: Reason) -> str:
    assert reason.limit is not None
    return f"{_LIMITS[LimitKind(reason.limit.kind)][0]}水位{reason.limit.limit_m:.2f}米。"


def _limit_en(reason: Reason) -> str:
    assert reason.limit is not None
    return f"{_LIMITS[LimitKind(reason.limit.kind)][1].capitalize()}: {reason.limit.limit_m:.2f} m."
