"""What those who take part in an exercise read: that it begins, rests, goes on and ends; zh and en.

Owns the sentences. Every one says in title, push and body that it is a drill; what is said inside the exercise has its
own words (wording.py, order_words.py) with the same mark. A push stands alone in 50 characters: the drill's name gives
way, what to do never.
"""

from collections.abc import Sequence
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
    one_line,
)


class Act(StrEnum):
    """What happens to an exercise."""

    BEGIN = "begin"
    PAUSE = "pause"
    """By hand."""
    DANGER = "danger"
    """Paused by a real storm."""
    RESUME = "resume"
    END = "end"


_HAPPENED: Final = {  # the title's word; what the push and the body say after the name
    Act.BEGIN: (
        ("演练开始", "Drill begins"),
        ("现在开始，请按真实情况应答。", "begins now. Answer as if it were real."),
        "演练期间，带【演练】标记的消息均属本次演练，请像真的一样确认和处置，但不要动用真实的停课停工等措施。"
        "如遇真实险情，演练会自动暂停，真实消息不带此标记，请以真实消息为准。",
        "Messages marked as a drill belong to it: answer and act as if they were real, but stop no school or work. "
        "In a real danger the drill pauses by itself; real messages do not carry the mark and go first.",
    ),
    Act.PAUSE: (
        ("演练暂停", "Drill paused"),
        ("暂停，请等候通知。", "is paused. Wait for word."),
        "未发出的演练消息已停止，叫应已停止。请等候恢复或结束的通知。",
        "Drill messages that had not gone out are stopped, nobody is called. Wait until it goes on or ends.",
    ),
    Act.DANGER: (
        ("演练暂停，出现真实险情", "Drill paused: a real danger"),
        ("暂停：出现真实险情，请按真实消息行动。", "is paused: real danger. Act on real messages only."),
        "出现真实险情，演练立即暂停。请停止一切演练动作，只按不带【演练】标记的真实消息行动。未发出的演练消息已停止。",
        "There is a real danger; the drill is paused. Stop all of the drill and act only on messages without the drill "
        "mark. Drill messages that had not gone out are stopped.",
    ),
    Act.RESUME: (
        ("演练继续", "Drill goes on"),
        ("继续，请按真实情况应答。", "goes on. Answer as if it were real."),
        "演练继续。暂停前未发出的演练消息不再补发。",
        "The drill goes on. What had not gone out before the pause is not sent any more.",
    ),
    Act.END: (
        ("演练结束", "Drill over"),
        ("结束，感谢参加，请恢复正常值守。", "is over. Thank you; back to normal duty."),
        "演练结束，演练中的预警和指令一并作废，请恢复正常值守。",
        "The drill is over; its warnings and orders no longer stand. Back to normal duty.",
    ),
}


def drill_words(act: Act, name: str, authority: str, areas: Sequence[str], note: str = "") -> Words:
    """The message to all who take part; `areas` are names, `note` is the desk's own word."""
    (title_zh, title_en), (push_zh, push_en), body_zh, body_en = _HAPPENED[act]
    name, note = one_line(name), one_line(note)
    room_zh = PUSH_ZH - len(DRILL_ZH + push_zh) - 2
    room_en = PUSH_EN - len(DRILL_EN + push_en) - 3
    lines_zh = [
        f"{DRILL_ZH}{authority}组织的“{name}”{push_zh}",
        f"演练范围：{clip('、'.join(areas), 200)}。",
        body_zh,
        *([f"说明：{note}"] if note else []),
        DRILL_END_ZH,
    ]
    lines_en = [
        f'{DRILL_EN}"{name}" of {authority} {push_en}',
        f"Areas: {clip(', '.join(areas), 200)}.",
        body_en,
        *([f"Note: {note}"] if note else []),
        DRILL_END_EN,
    ]
    return Words(
        title_zh=clip(f"{DRILL_ZH}{title_zh}：{name}", TITLE_ZH),
        title_en=clip(f"{DRILL_EN}{title_en}: {name}", TITLE_EN),
        push_zh=f"{DRILL_ZH}“{clip(name, room_zh)}”{push_zh}",
        push_en=f'{DRILL_EN}"{clip(name, room_en)}" {push_en}',
        body_zh="\n".join(lines_zh),
        body_en="\n".join(lines_en),
    )
