"""What people read stands alone, fits, and never loses the level or what to do (alerts/assessment/wording.py)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.assessment.lifecycle import Action, Step
from alerts.assessment.rules import WINDOWS, Level, Reason
from alerts.assessment.wording import Words, first_en, warning_words
from foundation.clock import local

SLOT_AT = local(datetime(2023, 9, 7, 10, 20, tzinfo=UTC))
UNTIL = SLOT_AT + timedelta(hours=2)
LUOHU = ["东门街道", "桂园街道", "清水河街道", "笋岗街道", "南湖街道"]
DUE = {1: "请关注雨情", 2: "请做好到岗准备", 3: "请立即到岗巡查", 4: "请立即到岗转移危险区人员"}
NAMED = {1: "提示", 2: "关注", 3: "警示", 4: "紧急"}


def hour(value_mm: float, *, share: float = 1.0) -> Reason:
    return Reason("rain_60min", Level.ALERT, value_mm, 50, "station:G1", share, 40)


def tell(
    action: Action = Action.RAISE,
    level: int = 3,
    streets: list[str] = LUOHU,
    figures: list[Reason] | None = None,
    nowcast_mm: float | None = None,
    drill: bool = False,
    district: str = "罗湖区",
) -> Words:
    step = Step(action, level, ("440303001",), speak=True)
    return warning_words(step, district, streets, figures or [], nowcast_mm, SLOT_AT, UNTIL, drill)


def test_a_push_says_level_place_rain_and_what_to_do() -> None:
    words = tell(figures=[hour(51), hour(52), hour(50), hour(50), hour(50)])
    assert words.push_zh == "【警示】罗湖桂园、东门等5街道强降雨：1小时52毫米，请立即到岗巡查"
    assert words.push_en == (
        "[ALERT] Heavy rain: 罗湖区 桂园街道 and 4 more streets, 52 mm in 1 h. Go to your post and inspect now."
    )
    assert words.title_zh == "罗湖区强降雨风险提示发布（警示级）"
    assert words.title_en == "Heavy-rain warning issued (ALERT), 罗湖区"


def test_a_body_lists_every_street_gravest_first_with_source_and_validity() -> None:
    words = tell(streets=LUOHU[:2], figures=[hour(51), hour(52, share=0.9)], nowcast_mm=30.4)
    assert words.body_zh.splitlines()[:4] == [
        "9月7日18:20，罗湖区（桂园街道、东门街道）强降雨风险提示发布（警示级）。",
        "桂园街道：1小时至少52毫米，阈值50毫米，雨量站G1。",
        "东门街道：1小时51毫米，阈值50毫米，雨量站G1。",
        "预计未来1小时最大30毫米。本提示有效至9月7日20:20。",
    ]
    assert words.body_en.splitlines()[1] == "桂园街道: at least 52 mm in 1 h, threshold 50 mm, gauge G1."


def test_times_are_shenzhen_time_whatever_zone_they_come_in() -> None:
    step = Step(Action.RAISE, 3, (), speak=True)
    there = warning_words(step, "罗湖区", [], [], None, SLOT_AT.astimezone(UTC), UNTIL.astimezone(UTC), False)
    assert there == warning_words(step, "罗湖区", [], [], None, SLOT_AT, UNTIL, False)
    assert "9月7日18:20" in there.body_zh and "2023-09-07 20:20" in there.body_en


def test_one_street_is_named_in_full_and_a_few_are_all_named() -> None:
    assert tell(streets=["桂园街道"]).push_zh.startswith("【警示】罗湖桂园街道强降雨")
    assert tell(streets=["桂园街道", "东门街道"]).push_zh.startswith("【警示】罗湖桂园、东门街道强降雨")
    assert tell(streets=[]).push_zh.startswith("【警示】罗湖区强降雨")
    assert tell(streets=["鮜门街道"], district="深汕特别合作区").push_zh.startswith("【警示】深汕鮜门街道")


def test_a_missing_nowcast_is_said_and_never_becomes_a_number() -> None:
    for missing in (None, float("nan")):
        words = tell(nowcast_mm=missing)
        assert "暂无临近预报" in words.body_zh and "No nowcast" in words.body_en
        assert "未来" not in words.push_zh and "nan" not in words.body_zh


def test_a_nowcast_that_is_the_reason_is_told_once() -> None:
    reason = Reason("nowcast_60min", Level.ALERT, 55, 50, "cell:114.1,22.5", 1, None)
    push = tell(streets=["桂园街道"], figures=[reason], nowcast_mm=55).push_zh
    assert push == "【警示】罗湖桂园街道强降雨：预计1小时55毫米，请立即到岗巡查"


def test_figures_that_cannot_be_matched_to_streets_are_not_shown() -> None:
    words = tell(figures=[hour(52)])
    assert "52" not in words.push_zh + words.body_zh


def test_an_end_says_that_it_is_over_and_asks_no_one_to_turn_out() -> None:
    words = tell(Action.CANCEL, 0)
    assert words.push_zh == "【解除】罗湖东门、桂园等5街道强降雨风险，请继续留意积水和滑坡"
    assert words.title_zh == "罗湖区强降雨风险提示解除"
    assert "到岗" not in words.push_zh + words.body_zh and "有效至" not in words.body_zh
    assert words.push_en.startswith("[ENDED]")


def test_a_step_named_by_the_row_s_word_is_told_alike() -> None:
    by_word = warning_words(
        Step("cancel", 0, (), True),  # type: ignore[arg-type]
        "罗湖区", LUOHU, [], None, SLOT_AT, UNTIL, False,
    )  # fmt: skip
    assert by_word == tell(Action.CANCEL, 0)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=64)
names = st.lists(st.one_of(texts, st.sampled_from(LUOHU)), max_size=120)
reasons = st.builds(
    lambda window, level, mm, share: Reason(window, level, mm, 20, "station:G1", share, None),
    st.sampled_from(WINDOWS),
    st.sampled_from(list(Level)[1:]),
    st.floats(0.1, 1e6),
    st.floats(0, 1),
)
steps = st.one_of(
    st.just((Action.CANCEL, 0)),
    st.tuples(st.sampled_from(["raise", "extend", "upgrade", "downgrade"]).map(Action), st.integers(1, 4)),
)


@given(steps, names, st.data(), st.none() | st.floats(), st.booleans(), texts)
def test_a_push_always_fits_and_keeps_level_and_action(
    told: tuple[Action, int],
    streets: list[str],
    draw: st.DataObject,
    nowcast_mm: float | None,
    drill: bool,
    district: str,
) -> None:
    action, level = told
    figures = draw.draw(st.lists(reasons, min_size=len(streets), max_size=len(streets)))
    words = tell(action, level, streets, figures, nowcast_mm, drill, district)
    mark_zh, mark_en = ("【演练】", "[DRILL] ") if drill else ("", "")
    assert len(words.push_zh) <= 50 and len(words.push_en) <= 160
    assert len(words.title_zh) <= 80 and len(words.title_en) <= 160
    assert words.push_zh.startswith(f"{mark_zh}【{NAMED.get(level, '解除')}】")
    assert words.push_zh.endswith(DUE.get(level, "请继续留意积水和滑坡"))
    assert len(words.push_zh.split("强降雨")[0]) <= 24
    for text in (words.title_zh, words.push_zh, words.body_zh):
        assert text.startswith(mark_zh)
    for text in (words.title_en, words.push_en, words.body_en):
        assert text.startswith(mark_en)
    assert words.title_zh.endswith(f"（{NAMED[level]}级）" if level else "解除")
    assert drill == ("演练" in words.body_zh.splitlines()[-1])


@pytest.mark.parametrize(
    ("streets", "head"),
    [
        (["清水河街道"] * 10, "【警示】罗湖清水河等10街道强降雨"),
        (["桂园街道"] * 3, "【警示】罗湖桂园、桂园、桂园街道强降雨"),
        (["大亚湾经济技术开发区街道"] * 7, "【警示】罗湖大亚湾经济技…等7街道强降雨"),
    ],
)
def test_the_essential_stands_in_the_first_twenty_characters(streets: list[str], head: str) -> None:
    push = tell(streets=streets).push_zh
    assert push.startswith(head) and len(head) <= 20


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(KeyError):
        tell(level=0)


def test_words_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="push_zh is longer than 50"):
        Words("", "", "雨" * 51, "", "", "")


@pytest.mark.parametrize(("n", "said"), [(1, "a"), (2, "a and 1 more street"), (3, "a and 2 more streets")])
def test_one_more_street_is_one_street(n: int, said: str) -> None:
    assert first_en(["a", "b", "c"][:n], "streets") == said
