"""What we promise, as data with its reason: the one place. Dry.

An indicator is a number of seconds (or lines) of which less is better. A reading within `limit` is good; None is a
reading that never came to pass (a message that did not reach its share, a canary that did not come back) and is not.
`objective` is the share of readings that must be good. Canaries have an indicator a vendor, `canary_s/fcm`; the target is
that of the word before the stroke. The figures are design choices until a season has been measured.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class Target:
    """One promise. Texts in both languages; `unit` is `s` or `lines`."""

    key: str
    name_zh: str
    name_en: str
    limit: float
    objective: float
    why_zh: str
    why_en: str
    unit: str = "s"


TARGETS: Final = tuple(
    Target(*row)
    for row in (
        ("ingest_lag_s", "数据时延（最差实时源）", "Ingest lag (worst live feed)", 300, 0.95,
         "五分钟一时段；再晚，该时段研判就要等待或缺测。",
         "A slot is five minutes; what comes later makes the watch wait, or counts as missing."),
        ("rule_lag_s", "研判时延", "Rule lag", 30, 0.99,
         "时段数据到后最多等缺报源 20 秒，再留一次轮询。",
         "A slot waits at most 20 s for a source that is missing, and one sweep of 10 s."),
        ("oldest_unsent_s", "最久未发（普通及以上）", "Oldest unsent (not bulk)", 10, 0.99,
         "全市 4.5 万人一次下发应在 8 秒内交给通道。",
         "An order to all 45,000 is to be with the vendor within 8 s."),
        ("queue_lines", "待发条数", "Lines waiting", 45_000, 0.99,
         "超过一次全市下发，即两条指令相撞或通道堵塞。",
         "More than one order to the whole city: two have met, or a vendor is jammed.", "lines"),
        ("accepted_90_s", "发布 → 90% 通道受理", "Order → 90 % accepted", 5, 0.99,
         "每秒 6,000 条以上；只计有在线设备的人。",
         "At 6,000 a second; of those with a live device."),
        ("accepted_99_s", "发布 → 99% 通道受理", "Order → 99 % accepted", 10, 0.95,
         "最后 1% 含一次限流重试。", "The last per cent includes one retry after a quota."),
        ("delivered_90_s", "发布 → 90% 送达", "Order → 90 % delivered", 30, 0.95,
         "手机在线时推送数秒即到，客户端随即回执。",
         "A phone that is on has it within seconds, and its app says so at once."),
        ("delivered_99_s", "发布 → 99% 送达", "Order → 99 % delivered", 300, 0.9,
         "其余在首次叫应重拨后送达。", "The rest is reached by the first repeat of the ladder."),
        ("confirmed_90_s", "发布 → 90% 签收", "Order → 90 % confirmed", 300, 0.9,
         "考核口径：五分钟内签收。只计须签收的消息。",
         "The drill's own grade: five minutes. Of messages that ask for it."),
        ("confirmed_99_s", "发布 → 99% 签收", "Order → 99 % confirmed", 1800, 0.9,
         "叫应阶梯走完（短信、电话、B 角、上级）应有答复。",
         "By then the ladder has been climbed: text, call, deputy, superior."),
        ("canary_s", "探测手机往返", "Canary there and back", 30, 0.99,
         "每三分钟一次，走与预警相同的路；一分钟未回即为故障。",
         "Every three minutes by the way of a warning; not back after a minute is a fault."),
    )
)  # fmt: skip
BY_KEY: Final = {target.key: target for target in TARGETS}
SHARES: Final = (0.9, 0.99)
MATURE_AFTER: Final = timedelta(seconds=1800)  # the longest limit: then a message's times are what they are

# when the watch over the machines raises an alarm (watchman.py)
LEASE_OVER_S: Final = 60.0  # a lease of 30 s, and as long again nobody took it up
BACKLOG_S: Final = {0: 15.0, 1: 60.0, 2: 900.0}  # by lane: oldest line due; bulk may take its time
TELEPHONE_BACKLOG_S: Final = 300.0  # lines of texts and calls are few, and wait their turn
SILENT_S: Final = 120.0  # a vendor who accepted nothing for so long, while …
SILENT_LINES: Final = 3  # … so many lines were tried twice and wait
CANARIES_MISSED: Final = 2  # in a row: one may be a phone that was just restarted


def target_of(indicator: str) -> Target:
    return BY_KEY[indicator.partition("/")[0]]
