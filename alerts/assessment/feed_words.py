"""What the duty engineer reads when a feed falls silent, and when it is back; zh and en.

Owns the sentences. A push stands alone in 50 characters: which feed, since when, what it was good for, what to do;
the feed's name gives way, the time and the act never. Does not own who is told, nor what silent means
(hydrology/science/feed_states.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from alerts.assessment.wording import PUSH_EN, PUSH_ZH, TITLE_EN, TITLE_ZH, Words, clip, one_line
from foundation.clock import local
from hydrology.science.feed_states import Doubt

NAME_ZH: Final = 14
NAME_EN: Final = 40
_HAPPENED: Final = {
    Doubt.NO_POSTS: ("无数据", "no data"),
    Doubt.NOTHING_GOOD: ("有报文但无一被接收", "posts come, none is accepted"),
    Doubt.STANDS_STILL: ("数据时间停滞", "its data stands still"),
    Doubt.SOURCE_FAILS: ("采集失败", "fetching fails"),
}
_REMEDIES: Final = {
    Doubt.NO_POSTS: (
        "请联系数据提供方，核对其发送程序、网络、时钟和签名密钥。",
        "Call the provider: check its sender, the network, its clock and its signing secret.",
    ),
    Doubt.NOTHING_GOOD: (
        "请在控制台“数据”页查看被拒报文的原因（编码、单位、时间、测站未登记），改正后请对方重发；原文已留存。",
        "Read on the console's Data page why its posts were refused (codes, units, times, stations not registered), "
        "mend it and have them sent again; the bytes have been kept.",
    ),
    Doubt.STANDS_STILL: (
        "对方仍在重复发送旧数据。请对方核对其采集链路和时钟。",
        "Old data is being sent again and again. Have the provider check its own collection and its clock.",
    ),
    Doubt.SOURCE_FAILS: (
        "请核对该地址、口令和网络；在控制台“数据”页查看失败原因。",
        "Check the address, the credentials and the network; the Data page shows why it fails.",
    ),
}
_BLIND: Final = (
    "现已没有任何实时数据源正常：系统看不到雨情水情，不会发出新的预警。请立即到岗处理，并改用电话收集雨水情。收到请确认。",
    "No live feed is well any more: the system sees neither rain nor levels and will raise no new warning. Act now, "
    "and gather rain and levels by telephone. Confirm that you have read this.",
)
KINDS: Final = {  # of what a feed was the source, as the message counts it
    "rain": ("雨量站", "rain gauges"),
    "reservoir": ("水库站", "reservoirs"),
    "river": ("河道站", "river posts"),
    "tide": ("潮位站", "tide posts"),
    "observed": ("实况格点雨量", "observed rain grids"),
    "nowcast": ("临近预报", "nowcasts"),
    "radar": ("雷达图", "radar pictures"),
}


@dataclass(frozen=True, slots=True)
class Silence:
    """A silent feed. since: when it was last well (None: never); good_at: receipt of the last accepted value and
    observed_at the newest instant it reported; falls_out: of each of KINDS how many it serves (0: a product, not
    counted); faults: (source, why) of the sources that fail; blind: no other live feed is well."""

    key: str
    name: str
    doubt: Doubt
    since: datetime | None
    good_at: datetime | None
    observed_at: datetime | None
    falls_out: Mapping[str, int]
    faults: Sequence[tuple[str, str]]
    blind: bool


def silence_words(silence: Silence, now: datetime) -> Words:
    """The alarm. Raises KeyError for a doubt that is none and for an unknown kind."""
    zh, en = _HAPPENED[silence.doubt]
    remedy_zh, remedy_en = _REMEDIES[silence.doubt]
    lost_zh, lost_en = (_lost(silence.falls_out, column) for column in (0, 1))
    since_zh = f"{_when(silence.since, now)}起" if silence.since else "接入以来"
    since_en = f"since {_when(silence.since, now)}" if silence.since else "since it was connected"
    act_zh, act_en = (
        ("已无实时数据，请立即处理", "No live feed left: act now.")
        if silence.blind
        else ("请检查", "Please check.")
    )
    name, name_en = one_line(silence.name), _clip(silence.name, NAME_EN)
    body_zh = [
        f"数据源“{name}”（{silence.key}）{since_zh}{zh}。",
        _last_good(silence, now, ("最近有效数据", "，数据时间", "尚无有效数据"), "。"),
        f"受影响：{lost_zh}；无备用源接替的将显示为过时，不再视为正常。"
        if lost_zh
        else "目前没有测站或格点以它为准。",
        *(f"采集点 {key}：{why}" for key, why in silence.faults),
        f"处置：{remedy_zh}",
        *([_BLIND[0]] if silence.blind else []),
    ]
    body_en = [
        f"Feed “{name}” ({silence.key}): {en} {since_en}.",
        _last_good(silence, now, ("Last good value", ", speaking of", "No good value yet"), "."),
        f"Affected: {lost_en}. What no other feed serves is shown as stale, never as normal."
        if lost_en
        else "No station or grid rests on it at present.",
        *(f"Source {key}: {why}" for key, why in silence.faults),
        f"To do: {remedy_en}",
        *([_BLIND[1]] if silence.blind else []),
    ]
    return Words(
        title_zh=f"数据中断：{_clip(name, TITLE_ZH - 20)}{zh}",
        title_en=_clip(f"Feed silent: {name_en}, {en}", TITLE_EN),
        push_zh=_push(
            "【数据中断】", name, f"{since_zh}{zh}", lost_zh and f"，影响{lost_zh}", f"，{act_zh}", PUSH_ZH
        ),
        push_en=_push(
            "[FEED SILENT] ",
            name_en,
            f": {en} {since_en}",
            lost_en and f"; affects {lost_en}",
            f". {act_en}",
            PUSH_EN,
        ),
        body_zh="\n".join(body_zh),
        body_en="\n".join(body_en),
    )


def recovery_words(key: str, name: str, silent_since: datetime, now: datetime) -> Words:
    """The all-clear."""
    name, short = one_line(name), _clip(name, NAME_ZH)
    minutes = max(1, round((now - silent_since).total_seconds() / 60))
    zh = f"{minutes}分钟" if minutes < 120 else f"约{round(minutes / 60)}小时"
    en = f"{minutes} min" if minutes < 120 else f"about {round(minutes / 60)} h"
    at = _when(now, now)
    return Words(
        title_zh=f"数据恢复：{_clip(name, TITLE_ZH - 10)}",
        title_en=f"Feed back: {_clip(name, NAME_EN)}",
        push_zh=f"【数据恢复】{short}{at}恢复，中断{zh}，无需处置",
        push_en=f"[FEED BACK] {_clip(name, NAME_EN)} is back at {at} after {en}. Nothing to do.",
        body_zh=f"数据源“{name}”（{key}）自 {_when(silent_since, now)} 中断，{at} 起连续正常，中断{zh}。"
        "中断期间的数据如由对方补发，会照常入库并参与统计，但不会补发已过时的预警。",
        body_en=f"Feed “{name}” ({key}) was not well from {_when(silent_since, now)}; it is steady again at {at}, "
        f"after {en}. What the provider sends late is stored and counted; it raises no warning that is history.",
    )


def _lost(falls_out: Mapping[str, int], column: int) -> str:
    """雨量站206、水库站177 / 206 rain gauges, 177 reservoirs."""
    if column:
        return ", ".join(
            f"{count} {KINDS[kind][1]}" if count else KINDS[kind][1] for kind, count in falls_out.items()
        )
    return "、".join(f"{KINDS[kind][0]}{count or ''}" for kind, count in falls_out.items())


def _last_good(silence: Silence, now: datetime, said: tuple[str, str, str], stop: str) -> str:
    received, of, never = said
    if silence.good_at is None:
        return never + stop
    observed = f"{of} {_when(silence.observed_at, now)}" if silence.observed_at else ""
    return f"{received} {_when(silence.good_at, now)}{observed}{stop}"


def _push(mark: str, name: str, happened: str, fact: str, act: str, limit: int) -> str:
    """All of it if there is room, else without the fact, else with less of the name."""
    room = limit - len(mark + happened + act)
    short = _clip(name, min(NAME_ZH, room) if limit == PUSH_ZH else room)
    whole = mark + short + happened + fact + act
    return whole if len(whole) <= limit else mark + short + happened + act


def _when(at: datetime, now: datetime) -> str:
    """17:35; with the day when it is another: 11-23 17:35."""
    there, here = local(at), local(now)
    return f"{there:%H:%M}" if there.date() == here.date() else f"{there:%m-%d %H:%M}"


def _clip(text: str, limit: int) -> str:
    return clip(one_line(text), limit)
