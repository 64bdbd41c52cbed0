"""What people read of an order: level, action, what is due by when and what is stopped are always there."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.assessment.order_words import ACTIONS, HAZARDS, SECTORS, Ordered, Over, order_words
from alerts.assessment.plans import HAZARDS as PLAN_HAZARDS
from alerts.assessment.plans import SECTORS as PLAN_SECTORS
from alerts.models import Hazard, OrderAction, Sector
from foundation.clock import SHENZHEN

UNTIL = datetime(2023, 9, 7, 20, 20, tzinfo=SHENZHEN)
names = st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12), max_size=40)
texts = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=120)
LEVELS = {"watch": "关注级", "IV": "Ⅳ级", "III": "Ⅲ级", "II": "Ⅱ级", "I": "Ⅰ级"}
DOES = {"start": "", "upgrade": "升级为", "downgrade": "降为", "convert": "转为"}


def test_an_order_says_level_area_title_and_when_it_is_due() -> None:
    said = Ordered("IV", ["罗湖区", "福田区"], UNTIL, False)
    words = order_words(said, "关于启动防汛Ⅳ级应急响应的紧急通知", "各单位……")
    assert words.push_zh == "【Ⅳ级响应】罗湖区等2地：关于启动防汛Ⅳ级应急响应的紧急通知，请7日20:20前签收"
    assert words.push_en.endswith("Confirm receipt by 2023-09-07 20:20.")
    assert words.body_zh.splitlines() == ["各单位……", "范围：罗湖区、福田区。", "请7日20:20前签收。"]


def test_an_order_that_ends_asks_for_nothing_more() -> None:
    words = order_words(
        Ordered("III", ["罗湖区"], UNTIL, True, over=Over.ENDED), "防汛Ⅲ级应急响应结束", "即日起结束。"
    )
    assert words.push_zh == "【演练】【Ⅲ级响应终止】罗湖区：防汛Ⅲ级应急响应结束，原指令不再执行"
    assert "签收" not in words.body_zh and "ENDED" in words.push_en


@pytest.mark.parametrize(
    ("over", "zh", "en"), [(Over.ENDED, "【终止】", "[ENDED] "), (Over.WITHDRAWN, "【撤回】", "[WITHDRAWN] ")]
)
def test_an_order_that_is_over_says_so_first_and_what_it_had_said_last(over: Over, zh: str, en: str) -> None:
    words = order_words(
        Ordered("IV", ["罗湖区"], UNTIL, False, over=over), "请到岗", "请到岗", "Go", "Go now."
    )
    assert (words.title_zh, words.title_en) == (f"{zh}请到岗", f"{en}Go")
    assert words.body_zh == f"{zh}原指令不再执行：请到岗。\n范围：罗湖区。\n原指令内容：请到岗"
    assert words.body_en == f"{en}Stop acting on this order: Go.\nAreas: 罗湖区.\nWhat it said: Go now."


def test_who_is_left_out_of_the_new_order_reads_why_his_ends() -> None:
    words = order_words(Ordered("III", ["罗湖区"], None, False, over=Over.LEFT), "标题", "请巡查。")
    assert words.body_zh.startswith("【终止】新指令不再包含您的责任区或岗位。")
    assert words.body_en.startswith("[ENDED] The new order no longer covers your area or post.")


def test_what_takes_the_place_of_what_and_what_is_stopped_stands_in_the_body() -> None:
    said = Ordered(
        "II", ["罗湖区"], None, False, action="convert", was=("rainstorm", "III"),
        stops=[("school", ["罗湖区"]), ("work", ["东湖街道", "桂园街道"])], papers=2,
    )  # fmt: skip
    words = order_words(said, "标题", "请巡查。")
    assert words.push_zh.startswith("【转为Ⅱ级响应】罗湖区：标题")
    assert words.body_zh.splitlines()[2:] == [
        "原暴雨内涝Ⅲ级响应转为防汛Ⅱ级响应，原指令不再执行。",
        "停课：罗湖区。",
        "停工：东湖街道、桂园街道。",
        "附件2份。",
        "请立即签收。",
    ]
    assert "The rainstorm response, level III, is changed to flood, level II" in words.body_en
    assert "Stopped: schools in 罗湖区." in words.body_en


@given(
    st.sampled_from(sorted(LEVELS)), st.sampled_from(sorted(DOES)), names, texts, texts,
    st.booleans(), st.booleans(), st.sampled_from([None, *Over]), st.just("") | texts,
)  # fmt: skip
def test_an_order_always_fits_and_keeps_level_action_and_deadline(
    code: str,
    action: str,
    areas: list[str],
    title: str,
    text: str,
    drill: bool,
    due: bool,
    over: Over | None,
    title_en: str,
) -> None:
    said = Ordered(code, areas, UNTIL if due else None, drill, action=action, over=over)
    words = order_words(said, title * 3, text, title_en * 3)
    assert len(words.push_zh) <= 50 and len(words.push_en) <= 160
    assert len(words.title_zh) <= 80 and len(words.title_en) <= 160
    does = "" if over else DOES[action]
    assert words.push_zh.startswith(f"{'【演练】' if drill else ''}【{does}{LEVELS[code]}响应")
    ending = "原指令不再执行" if over else "请7日20:20前签收" if due else "请立即签收"
    assert words.push_zh.endswith("，" + ending)
    assert (
        all(text.startswith("【演练】") == drill for text in (words.title_zh, words.body_zh))
        or "演" in title + text
    )


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(KeyError):
        order_words(Ordered("V", [], None, False), "标题", "")


def test_every_action_hazard_and_sector_of_the_rows_has_its_words() -> None:
    assert set(ACTIONS) == set(OrderAction.values)
    assert set(HAZARDS) == set(Hazard.values) == set(PLAN_HAZARDS)
    assert set(SECTORS) == set(Sector.values) == set(PLAN_SECTORS)
