"""What the reminders say, in zh and en. A push stands alone in 50 characters; no names of persons; a drill says so."""

from collections.abc import Mapping, Sequence
from datetime import datetime
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
)
from alerts.models import ResponseOrder
from foundation.clock import local

FIRST: Final = 5  # regions named; the others are counted
NAME_ZH, NAME_EN = 12, 60  # of the order, in a push


def form_wanted(order: ResponseOrder, number: int, until_at: datetime) -> Words:
    """To those whose region has not sent the form of the period that ends at `until_at`."""
    by = f"{local(until_at):%m-%d %H:%M}"
    return _words(
        order,
        head=("【催报】", "[Report due] "),
        push=(f"请于{by}前填报反馈表，无情况也请零报告。", f"Send the form by {by}, be it a zero report."),
        title=(f"第{number}期反馈表未报", f"form {number} is missing"),
        body=(
            f"第{number}期反馈表须在 {by} 前填报，您所在区域尚未填报。没有情况也请作零报告。",
            f"Form number {number} is wanted by {by} and your region has not sent it. Nothing to report? Say so.",
        ),
    )


def zero_wanted(order: ResponseOrder, day: int) -> Words:
    """To those whose region has said nothing for 24 hours."""
    return _words(
        order,
        head=("【零报告】", "[Zero report] "),
        push=(
            "您所在区域24小时未填报，请立即填报或零报告。",
            "Nothing heard for 24 h. Report now, be it zero.",
        ),
        title=(f"第{day}个24小时未报", f"nothing in 24 hours (day {day})"),
        body=(
            "您所在区域 24 小时内没有任何填报。请立即填报反馈表；没有情况请作零报告。",
            "Nothing has come from your region for 24 hours. Send the form now; nothing to report? Say so.",
        ),
    )


def task_wanted(order: ResponseOrder, tasks: int) -> Words:
    """To those who have said nothing of tasks whose time is up."""
    return _words(
        order,
        head=("【任务超时】", "[Task overdue] "),
        push=("您有任务到时限未反馈，请立即反馈进展。", "A task of yours is overdue. Say how it stands."),
        title=(f"{tasks}项任务到时限未反馈", f"{tasks} overdue tasks without a word"),
        body=(
            "本指令有任务已到时限，您尚未反馈。请打开任务，反馈进行中、已完成或有困难（请注明原因）。",
            "Tasks of this order are due and you have not reported. Open them: doing, done, or blocked and why.",
        ),
    )


def form_missing(order: ResponseOrder, above: str, number: int, regions: Sequence[str]) -> Words:
    """To the desk above the regions whose form of a period has not come."""
    return _missing(
        order,
        above,
        regions,
        head=("【未报】", "[Missing] "),
        what=(f"第{number}期反馈表未报", f"did not send form {number}"),
        count=f"{len(regions)}个区域",
    )


def zero_missing(order: ResponseOrder, above: str, day: int, regions: Sequence[str]) -> Words:
    """To the desk above the regions that have said nothing for 24 hours."""
    return _missing(
        order,
        above,
        regions,
        head=("【零报告缺报】", "[No zero report] "),
        what=("24小时未作任何填报", f"said nothing for 24 hours (day {day})"),
        count=f"{len(regions)}个区域",
    )


def task_missing(order: ResponseOrder, above: str, people: int, regions: Sequence[str]) -> Words:
    """To the desk above those who have said nothing of overdue tasks, even after a reminder."""
    return _missing(
        order,
        above,
        regions,
        head=("【任务超时】", "[Task overdue] "),
        what=("任务超时未反馈", f"silent about overdue tasks ({people} people)"),
        count=f"{people}人、{len(regions)}个区域",
    )


def form_unread(
    title_zh: str, title_en: str, drill: bool, why: tuple[str, str], faults: Mapping[str, str]
) -> Words:
    """To the officer whose form, sent with a receipt, could not be counted; `why` (zh, en), faults by field."""
    mark_zh, mark_en = (DRILL_ZH, DRILL_EN) if drill else ("", "")
    lines = [f"{name}: {reason}" for name, reason in sorted(faults.items())][:20]
    return Words(
        clip(f"{mark_zh}【反馈表未计入】{title_zh}", TITLE_ZH),
        clip(f"{mark_en}[Form not counted] {title_en}", TITLE_EN),
        clip(f"{mark_zh}【反馈表未计入】您提交的反馈表有误，请修改后重新提交。", PUSH_ZH),
        clip(f"{mark_en}[Form not counted] Your form is faulty. Mend it and send it again.", PUSH_EN),
        "\n".join([f"{mark_zh}{why[0]}", *lines, "原表已随回执保存。", *([DRILL_END_ZH] if drill else [])]),
        "\n".join(
            [
                f"{mark_en}{why[1]}",
                *lines,
                "What you sent is kept with its receipt.",
                *([DRILL_END_EN] if drill else []),
            ]
        ),
    )


Said = tuple[str, str]  # zh, en


def _missing(
    order: ResponseOrder, above: str, regions: Sequence[str], *, head: Said, what: Said, count: str
) -> Words:
    first = "、".join(regions[:FIRST]) + ("等" if len(regions) > FIRST else "")
    how_many_en = f"{len(regions)} region{'' if len(regions) == 1 else 's'}"
    more = f" and {len(regions) - FIRST} more" if len(regions) > FIRST else ""
    first_en = ", ".join(regions[:FIRST]) + more
    return _words(
        order,
        head=head,
        push=(
            f"{clip(above, 10)}{count}{what[0]}，请督促。",
            f"{how_many_en} {what[1]}. See to it.",
        ),
        title=(f"{above}{count}{what[0]}", f"{how_many_en} {what[1]}"),
        body=(
            f"{above}下{count}{what[0]}：{first}。请督促。",
            f"Below {above}, {how_many_en} {what[1]}: {first_en}. See to it.",
        ),
    )


def _words(order: ResponseOrder, *, head: Said, push: Said, title: Said, body: Said) -> Words:
    mark_zh, mark_en = (DRILL_ZH, DRILL_EN) if order.drill else ("", "")
    end_zh, end_en = (f"\n{DRILL_END_ZH}", f"\n{DRILL_END_EN}") if order.drill else ("", "")
    name_en = order.title_en or order.title_zh
    return Words(
        clip(f"{mark_zh}{head[0]}{title[0]}：{order.title_zh}", TITLE_ZH),
        clip(f"{mark_en}{head[1]}{title[1]}: {name_en}", TITLE_EN),
        clip(f"{mark_zh}{head[0]}{push[0]}{clip(order.title_zh, NAME_ZH)}", PUSH_ZH),
        clip(f"{mark_en}{head[1]}{push[1]} {clip(name_en, NAME_EN)}", PUSH_EN),
        f"{mark_zh}“{order.title_zh}”：{body[0]}{end_zh}",
        f"{mark_en}{name_en}: {body[1]}{end_en}",
    )
