"""Plans as data: faults named by place and remedy, drafts that keep what they were made of."""

import copy
import json
from datetime import timedelta
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from alerts import drafts, plans
from alerts.assessment.plan_defaults import DEFAULT, DEFAULT_ROWS
from alerts.assessment.plans import AUTHORITIES, DUTIES, LEVELS, PLACES, BadPlan, fill, find, parse_plans
from alerts.models import PlanTable, ResponseLevel, ResponseOrder
from foundation.errors import Refusal
from foundation.scope import Scope
from hydrology.models import Level, Region
from officers.models import Duty, Officer
from tests.alerts.conftest import DISTRICT, PATH, A, B
from tests.console.factories import HOUR, make_officer
from tests.hydrology.factories import NOW

DESK = Scope((PATH,), desk_paths=(PATH,))


def changed(*path: Any, to: Any) -> Any:
    """The default rows with one value changed; Ellipsis takes the name away."""
    rows = copy.deepcopy(DEFAULT_ROWS)
    at: Any = rows
    for step in path[:-1]:
        at = at[step]
    if to is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return rows


def test_there_is_a_plan_for_each_hazard_level_and_kind_of_authority() -> None:
    for hazard, level, authority in product(("flood", "rainstorm"), LEVELS, AUTHORITIES):
        plan = find(DEFAULT, hazard, level, authority)
        assert plan is not None and plan.tasks, (hazard, level, authority)
    assert find(DEFAULT, "tide", "IV", "city") is None


def test_the_graver_the_level_the_sooner_everything_is_due() -> None:
    for hazard, authority in product(("flood", "rainstorm"), AUTHORITIES):
        limits = [find(DEFAULT, hazard, level, authority).deadline_min for level in LEVELS]  # type: ignore[union-attr]
        assert limits == sorted(limits, reverse=True)


def test_no_task_of_a_street_is_for_a_post_above_it() -> None:
    street = {
        task.level for plan in DEFAULT.values() if plan.authority_level == "street" for task in plan.tasks
    }
    assert street and not street & {"city", "district"}


def test_what_a_plan_may_name_is_what_the_rows_know() -> None:
    assert set(LEVELS) == {level.code for level in ResponseLevel}
    assert set(DUTIES) | {Duty.ENGINEER, Duty.CANARY} == set(Duty.values)
    assert set(PLACES) == set(Level.values)


def test_what_is_guessed_says_so() -> None:
    assert "设计推定" in DEFAULT_ROWS["note"] and "design guesses" in DEFAULT_ROWS["note"]


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        ([], "table"),
        ({"plans": []}, "plans"),
        (changed("plans", 0, "level", to="V"), "plans[0].level"),
        (changed("plans", 0, "key", to=DEFAULT_ROWS["plans"][1]["key"]), "plans[1].key"),
        (changed("plans", 3, "tasks", 0, "due_min", to=0), "plans[3].tasks[0].due_min"),
        (changed("plans", 3, "tasks", 0, "duty", to="forest"), "plans[3].tasks[0].duty"),
        (changed("plans", 0, "title_zh", to="{areas}应急响应"), "plans[0].title_zh"),
        (changed("plans", 0, "text_zh", to="{weather}"), "plans[0].text_zh"),
        (changed("plans", 0, "text_zh", to=...), "plans[0]"),
        (changed("plans", 0, "colour", to="red"), "plans[0]"),
        (changed("plans", 0, "valid_h", to=True), "plans[0].valid_h"),
        (changed("plans", 0, "measures", to=[{"sector": "school"}] * 2), "plans[0].measures"),
        (changed("plans", 0, "text_zh", to="a\x00b"), "plans[0].text_zh"),
    ],
)
def test_a_faulty_table_is_refused_with_the_place_of_the_fault(rows: Any, where: str) -> None:
    with pytest.raises(BadPlan) as caught:
        parse_plans(rows)
    assert caught.value.where == where


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(
    st.sampled_from(sorted(DEFAULT_ROWS["plans"][9])), json_like, st.sampled_from(["plan", "task", "table"])
)
def test_no_value_anywhere_breaks_the_reading(name: str, value: Any, where: str) -> None:
    rows = copy.deepcopy(DEFAULT_ROWS)
    at = {"plan": rows["plans"][9], "task": rows["plans"][9]["tasks"][0], "table": rows}[where]
    at[name] = value
    try:
        assert parse_plans(rows)
    except BadPlan as bad:
        assert bad.where


def test_a_placeholder_without_a_word_is_an_error_and_not_left_standing() -> None:
    assert fill("{level}响应，{areas}", {"level": "Ⅳ级", "areas": "东湖"}) == "Ⅳ级响应，东湖"
    with pytest.raises(KeyError):
        fill("{level}", {})


@pytest.fixture
def desk(regions: dict[str, Region]) -> Officer:
    return make_officer(regions[DISTRICT], Duty.DESK)


def draft(desk: Officer, **said: Any) -> ResponseOrder:
    values = {"authority": DISTRICT, "areas": [A, B], "plan": "flood-II-district"} | said
    return drafts.draft(desk.pk, DESK, values, now=NOW)


def test_an_order_from_a_plan_has_its_words_filled_and_its_tasks_frozen(desk: Officer) -> None:
    order = draft(desk)
    plan = DEFAULT["flood-II-district"]
    assert (order.level, order.hazard, order.action, order.plan) == (4, "flood", "start", plan.key)
    assert order.title_zh == "关于启动防汛Ⅱ级应急响应的紧急通知"
    areas = "、".join(Region.objects.get(pk=code).name for code in (A, B))
    district = Region.objects.get(pk=DISTRICT).name
    assert order.text_zh.startswith(f"{district}三防指挥部决定在{areas}启动防汛Ⅱ级应急响应。")
    assert order.duties == list(plan.duties)
    assert (order.deadline_at, order.deadline_min) == (None, plan.deadline_min)
    assert order.valid_until == NOW + timedelta(hours=plan.valid_h)
    assert [(task.duty, task.level, task.due_min) for task in order.tasks.order_by("number")] == [
        (task.duty, task.level, task.due_min) for task in plan.tasks
    ]
    assert [(one.sector, one.areas) for one in order.measures.all()] == [("school", [A, B])]
    assert "{" not in order.text_zh + order.text_en + order.title_zh + order.title_en


def test_what_the_desk_says_itself_is_not_taken_from_the_plan(desk: Officer) -> None:
    order = draft(
        desk, title_zh="停止涉水作业", duties=["flood"], deadline_at=NOW + HOUR, tasks=[], measures=[],
        level=ResponseLevel.I, report_every_h=None, valid_until=NOW + 2 * HOUR,
    )  # fmt: skip
    assert (order.title_zh, order.duties, order.level) == ("停止涉水作业", ["flood"], 5)
    assert "Ⅰ级" in order.text_zh
    assert (order.deadline_at, order.deadline_min, order.report_every_h) == (NOW + HOUR, None, None)
    assert (order.tasks.count(), order.measures.count()) == (0, 0)


def test_tasks_of_a_plan_for_duties_that_are_not_addressed_are_left_out(desk: Officer) -> None:
    assert {task.duty for task in draft(desk, duties=["flood"]).tasks.all()} == {"flood", "desk"}


@pytest.mark.parametrize("key", ["flood-II-city", "nothing"])
def test_a_plan_for_another_kind_of_authority_is_refused(desk: Officer, key: str) -> None:
    with pytest.raises(Refusal) as caught:
        draft(desk, plan=key)
    assert (caught.value.code, caught.value.fields) == ("plan_unknown", {"plan": key})
    assert not ResponseOrder.objects.exists()


def test_another_table_changes_later_drafts_and_no_earlier_one(desk: Officer) -> None:
    before = draft(desk)
    rows = copy.deepcopy(DEFAULT_ROWS)
    row = next(row for row in rows["plans"] if row["key"] == "flood-II-district")
    row["tasks"] = [
        {"duty": "flood", "level": "", "text_zh": "到{authority}报到", "text_en": "", "due_min": 7}
    ]
    plans.put_in_force(rows, version="2026-1", note="", now=NOW)
    assert before.tasks.count() > 1
    [task] = draft(desk).tasks.all()
    assert (task.text_zh, task.due_min) == (f"到{Region.objects.get(pk=DISTRICT).name}报到", 7)


def ran(*words: str) -> str:
    out = StringIO()
    call_command("plans", *words, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_command_shows_checks_and_sets_the_table(db: None, tmp_path: Path) -> None:
    file = tmp_path / "plans.json"
    file.write_text(ran("show"), encoding="utf-8")
    assert "nothing differs" in ran("check", str(file))
    rows = json.loads(file.read_text(encoding="utf-8"))
    rows["plans"][0]["deadline_min"] = 5
    del rows["plans"][1]
    file.write_text(json.dumps(rows), encoding="utf-8")
    assert ran("check", str(file)).split() == [
        f"{DEFAULT_ROWS['plans'][0]['key']}:", "deadline_min",
        f"{DEFAULT_ROWS['plans'][1]['key']}:", "no", "longer", "there",
    ]  # fmt: skip
    assert not PlanTable.objects.exists()
    ran("set", str(file), "--version", "2026-汛期", "--note", "市预案修订")
    [table] = PlanTable.objects.all()
    assert (table.version, table.note, table.rows) == ("2026-汛期", "市预案修订", rows)
    assert json.loads(ran("show")) == rows


@pytest.mark.parametrize("text", ["no json", '{"plans": []}'])
def test_the_command_refuses_a_faulty_file_and_changes_nothing(db: None, tmp_path: Path, text: str) -> None:
    file = tmp_path / "plans.json"
    file.write_text(text)
    with pytest.raises(CommandError, match="Nothing was changed"):
        ran("set", str(file), "--version", "x", "--note", "y")
    assert not PlanTable.objects.exists()


def test_a_version_is_used_once(db: None, tmp_path: Path) -> None:
    file = tmp_path / "plans.json"
    file.write_text(ran("show"), encoding="utf-8")
    ran("set", str(file), "--version", "1", "--note", "")
    with pytest.raises(CommandError, match="no table has yet"):
        ran("set", str(file), "--version", "1", "--note", "")
