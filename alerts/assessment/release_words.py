"""What the duty desk reads when words about a warning wait for release; zh and en.

Owns the sentences. The push stands alone in 50 characters: when it goes out by itself, or that it does not, never gives
way; the title of what waits does. Does not own the policy (policy.py) nor the held row (alerts/releases.py).
"""

from datetime import datetime

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
    when_en,
    when_zh,
)
from foundation.clock import local


def release_words(
    held: Words, release_at: datetime | None, valid_until: datetime, *, drill: bool = False
) -> Words:
    """`held`: what waits; `release_at`: when it goes out by itself, None only by a person. Times in Shenzhen's."""
    drill_zh, drill_en = (DRILL_ZH, DRILL_EN) if drill else ("", "")
    waiting_zh, waiting_en = held.title_zh.removeprefix(drill_zh), held.title_en.removeprefix(drill_en)
    until = local(valid_until)
    if release_at is None:
        push_zh, push_en = "，须人工发布", ". A person must release it."
        rule_zh = f"本条不会自动发布；{when_zh(until)}后作废。"
        rule_en = f"It is not sent by itself, and lapses at {when_en(until)}."
    else:
        at = local(release_at)
        push_zh, push_en = f"，{at:%H:%M:%S}自动发布", f". Goes out by itself at {at:%H:%M:%S}."
        rule_zh = f"{when_zh(at)}（{at:%H:%M:%S}）自动发布，除非在此之前发布或取消。"
        rule_en = (
            f"It goes out by itself at {when_en(at)} ({at:%H:%M:%S}), unless released or dropped before."
        )
    head_zh, head_en = f"{drill_zh}【待发布】", f"{drill_en}[TO RELEASE] "
    end_zh, end_en = ([DRILL_END_ZH], [DRILL_END_EN]) if drill else ([], [])
    ask_zh, ask_en = (
        "请在值班台“待发布”中选择发布或不发布。",
        "On the console, under Releases: release or drop it.",
    )
    return Words(
        clip(f"{drill_zh}待发布：{waiting_zh}", TITLE_ZH),
        clip(f"{drill_en}To release: {waiting_en}", TITLE_EN),
        head_zh + clip(waiting_zh, PUSH_ZH - len(head_zh + push_zh)) + push_zh,
        head_en + clip(waiting_en, PUSH_EN - len(head_en + push_en)) + push_en,
        "\n".join([f"{drill_zh}以下预警消息待发布：", held.body_zh, rule_zh, ask_zh, *end_zh]),
        "\n".join([f"{drill_en}These words wait for release:", held.body_en, rule_en, ask_en, *end_en]),
    )
