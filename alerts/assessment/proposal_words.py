"""What the duty desk reads when signals suggest another response level: dry, zh and en. See wording.py for the limits."""

from alerts.assessment.wording import PUSH_EN, PUSH_ZH, TITLE_EN, TITLE_ZH, Words

_LEVELS = {
    0: ("结束响应", "the end of the response"),
    1: ("关注级", "level watch"),
    2: ("Ⅳ级", "level IV"),
    3: ("Ⅲ级", "level III"),
    4: ("Ⅱ级", "level II"),
    5: ("Ⅰ级", "level I"),
}


def proposal_words(place: str, level: int, level_now: int, why_zh: str, why_en: str) -> Words:
    """`level` and `level_now` count 0 (none) to 5 (Ⅰ); `why_zh`, `why_en` name the signals. Nothing is released by itself."""
    (zh, en), (now_zh, now_en) = _LEVELS[level], _LEVELS[level_now]
    if not level_now:
        now_zh, now_en = "未启动响应", "no response"
    return Words(
        title_zh=f"【建议】{place}防汛应急响应{zh}"[:TITLE_ZH],
        title_en=f"Suggested for {place}: {en}"[:TITLE_EN],
        push_zh=f"预警信号变化，建议{place}{zh}，请研判。"[:PUSH_ZH],
        push_en=f"The signals changed: {en} is suggested for {place}. Please decide."[:PUSH_EN],
        body_zh=f"当前：{now_zh}。依据：{why_zh}。本建议不会自动发布，请值班人员研判后起草指令，或不采纳。",
        body_en=f"Now: {now_en}. Because: {why_en}. Nothing is released by itself: draft an order, or decline.",
    )
