"""What people read about water levels (alerts/assessment/wording_levels.py)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.assessment.lifecycle import Action
from alerts.assessment.rules import Level
from alerts.assessment.stages import DEFAULT_ROWS, Figures, ObjectClass, Reason, Table, assess
from alerts.assessment.wording_levels import LevelStory, follow_words, level_words, silence_words
from hydrology.science.stages import Limit, LimitKind, reservoir_limits, river_limits

AT = datetime(2026, 9, 7, 12, tzinfo=UTC)
TABLE = Table.from_json("levels-1", DEFAULT_ROWS)
LAKE = reservoir_limits(normal_m=30.0, season_m=28.0, design_m=32.0, check_m=33.0, crest_m=34.0)
BROOK = river_limits(warning_m=5.0, guarantee_m=6.0, highest_m=7.0)


def told(kind: ObjectClass, level_m: float, rate: float | None = None, **fields: object) -> LevelStory:
    limits = BROOK if kind in (ObjectClass.RIVER, ObjectClass.TIDE) else LAKE
    found = assess(Figures("s", kind, level_m, limits, rate_m_per_h=rate), TABLE)
    story = LevelStory(
        name="清林水库", street="龙城街道", object_class=kind, action=Action.RAISE, level=int(found.level),
        level_m=level_m, datum="85高程", reasons=found.reasons, rate_m_per_h=rate, observed_at=AT,
        valid_until=AT + timedelta(hours=2), drill=False,
    )  # fmt: skip
    return replace(story, **fields)


@pytest.mark.parametrize(
    ("story", "push_zh"),
    [
        (
            told(ObjectClass.GATED, 28.35, 0.2),
            "【警示】清林水库：超汛限水位0.35米，1小时涨0.20米，请立即到岗巡坝",
        ),
        (told(ObjectClass.GATED, 27.8), "【提示】清林水库：距汛限水位0.20米，请关注水位"),
        (told(ObjectClass.GATED, 27.6, 0.8), "【关注】清林水库：约30分钟后达汛限水位，1小时涨0.80米，请加密巡查"),
        (told(ObjectClass.UNGATED, 28.002), "【提示】清林水库：达到汛限水位，无闸门，请关注水位"),
        (told(ObjectClass.UNGATED, 32.0), "【紧急】清林水库：达到设计水位，超汛限水位4.00米，无闸门，请立即转移下游人员"),
        (told(ObjectClass.RIVER, 6.2, 0.9),
         "【紧急】清林水库：超保证水位0.20米，超警戒水位1.20米，1小时涨0.90米，请立即转移沿岸人员"),
        (told(ObjectClass.TIDE, 5.1, drill=True), "【演练】【关注】清林水库：超警戒水位0.10米，请做好到岗准备"),
        (told(ObjectClass.RIVER, 4.5, action=Action.CANCEL), "【解除】清林水库水位回落，请继续留意"),
    ],
)  # fmt: skip
def test_a_push_says_how_bad_where_how_much_and_what_to_do(story: LevelStory, push_zh: str) -> None:
    assert level_words(story).push_zh == push_zh


def test_the_body_names_level_datum_limit_and_validity() -> None:
    words = level_words(told(ObjectClass.GATED, 28.35, 0.2))
    for part in (
        "9月7日20:00",
        "龙城街道清林水库",
        "28.35米（85高程）",
        "汛限水位28.00米",
        "9月7日22:00",
        "收到请确认",
    ):
        assert part in words.body_zh
    for part in ("2026-09-07 20:00", "level 28.35 m (85高程)", "flood-season limit: 28.00 m", "Confirm"):
        assert part in words.body_en


def test_a_drill_says_so_everywhere() -> None:
    words = level_words(told(ObjectClass.GATED, 28.35, drill=True))
    for zh in (words.title_zh, words.push_zh, words.body_zh):
        assert zh.startswith("【演练】")
    for en in (words.title_en, words.push_en, words.body_en):
        assert en.startswith("[DRILL]")
    silent = silence_words("清林水库", "龙城街道", 28.1, 3, AT, True)
    assert silent.push_zh.startswith("【演练】") and silent.push_en.startswith("[DRILL]")


def test_silence_tells_the_last_level_and_asks_to_look() -> None:
    words = silence_words("清林水库", "龙城街道", 28.1, 3, AT, False)
    assert words.push_zh == "【失联】清林水库：最后9月7日20:00水位28.10米，请现场查看水位"
    assert "警示级提示继续有效" in words.body_zh


NAMES = st.text(min_size=1, max_size=64)
REASONS = st.lists(
    st.builds(
        Reason,
        condition=st.sampled_from(["first", "design", "ahead_first_s", "rise_30min_m", "rise_60min_m"]),
        level=st.sampled_from(list(Level)[1:]),
        value=st.floats(0, 5000),
        threshold=st.floats(-1, 3600),
        limit=st.builds(Limit, st.sampled_from(LimitKind), st.floats(-10, 900), st.just("over")),
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip


@given(
    name=NAMES, street=NAMES, kind=st.sampled_from(ObjectClass), action=st.sampled_from(Action),
    level=st.integers(1, 4), level_m=st.floats(-50, 1000), reasons=REASONS, drill=st.booleans(),
    rate=st.none() | st.floats(-9, 9),
)  # fmt: skip
def test_whatever_is_told_fits_its_columns_and_keeps_level_and_action(
    name: str, street: str, kind: ObjectClass, action: Action, level: int, level_m: float, reasons: list[Reason],
    drill: bool, rate: float | None,
) -> None:  # fmt: skip
    story = LevelStory(
        name, street, kind, action, level, level_m, "85高程", tuple(reasons), rate, AT, AT, drill
    )  # fmt: skip
    words = level_words(story)  # Words refuses what is too long
    assert words.push_zh.rpartition("，")[2].startswith("请")
    word = "解除" if action is Action.CANCEL else {1: "提示", 2: "关注", 3: "警示", 4: "紧急"}[level]
    assert f"【{word}】" in words.push_zh
    assert silence_words(name, street, level_m, level, AT, drill).push_zh.endswith("请现场查看水位")
    assert "米" in follow_words(name, street, level_m, level_m, "85高程", AT).push_zh
