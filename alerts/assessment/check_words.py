"""What the duty desk reads when a gauge reports rain that would warn, if it could be believed; zh and en.

Owns the sentences of a check (核实). The push stands alone in 50 characters: the mark, the value and the act never give
way, the gauge's name and the reason do. Does not own who is told, nor what is doubted (hydrology/science).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from alerts.assessment.wording import PUSH_EN, PUSH_ZH, Words, clip, one_line
from foundation.clock import local

_DOUBTS: Final = {  # by the check that objects, as the push says it
    "range": ("超出常理", "beyond what is usual"),
    "neighbours": ("周边站均无此雨", "no neighbour has it"),
    "radar": ("实况格点无雨", "no rain in the field"),
    "sum": ("累计值不符", "its sums disagree"),
    "clock": ("测站时钟有误", "its clock is wrong"),
    "source": ("来源自标可疑", "its source doubts it"),
}
_OTHER: Final = ("质控存疑", "quality control doubts it")
_ACT_ZH, _ACT_EN = "请核实", "Please check."
_TO_DO_ZH: Final = (
    "核实前该值不会单独触发预警。请电话询问现场或邻近值守人员，调看视频和雷达；然后在值班台“核实”中选择“属实”"
    "（3小时内该站按正常值参与预警）或“设备故障”（该站在所选时段内停用）。"
)
_TO_DO_EN: Final = (
    "Until checked it raises no warning by itself. Call somebody on the spot or nearby, look at cameras and radar; then "
    "answer on the console under Checks: real (for 3 h the gauge counts as good) or broken (it is left out as long as "
    "you choose)."
)


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A doubted 5-minute value: mm in the slot, and the reason of quality control."""

    station: str
    name: str
    value_mm: float
    why: str


def check_words(doubtful: Sequence[Doubtful], district: str, slot_at: datetime) -> Words:
    """The words for the gauges of one district in one slot, the heaviest first; at least one."""
    ordered = sorted(doubtful, key=lambda one: (-one.value_mm, one.station))
    first, more = ordered[0], len(ordered) - 1
    name, at = one_line(first.name), local(slot_at)
    zh, en = _DOUBTS.get(first.why.partition(":")[0], _OTHER)
    value = f"{first.value_mm:.1f}".removesuffix(".0")
    more_zh, more_en = (f"等{more + 1}站", f" and {more} more") if more else ("", "")
    tail_zh, tail_en = (
        f"{more_zh}5分钟{value}毫米，{zh}，{_ACT_ZH}",
        f"{more_en}: {value} mm in 5 min, {en}. {_ACT_EN}",
    )
    mark_zh, mark_en = "【核实】", "[CHECK] "
    lines_zh = [f"{at.month}月{at.day}日{at:%H:%M}，{district}以下雨量站的数值足以触发预警，但质控存疑："]
    lines_en = [
        f"{at:%Y-%m-%d %H:%M}, {district}: these gauges report enough for a warning, but are doubted:"
    ]
    for one in ordered:
        lines_zh.append(
            f"{one.name}（{one.station}）5分钟{one.value_mm:.1f}毫米；{_why_zh(one.why)}（{one.why}）。"
        )
        lines_en.append(f"{one.name} ({one.station}): {one.value_mm:.1f} mm in 5 min; {one.why}.")
    return Words(
        title_zh=f"雨量核实：{clip(name, 40)}{more_zh}",
        title_en=f"Check rain: {clip(name, 80)}{more_en}",
        push_zh=mark_zh + clip(name, PUSH_ZH - len(mark_zh + tail_zh)) + tail_zh,
        push_en=mark_en + clip(name, PUSH_EN - len(mark_en + tail_en)) + tail_en,
        body_zh="\n".join([*lines_zh, _TO_DO_ZH]),
        body_en="\n".join([*lines_en, _TO_DO_EN]),
    )


def _why_zh(why: str) -> str:
    return _DOUBTS.get(why.partition(":")[0], _OTHER)[0]
