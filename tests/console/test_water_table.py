"""The order of the water table: the gravest first, and nothing old looks calm. Runs the page's own module under node."""

import json
from typing import Any

import pytest

from tests.console import scripts

pytestmark = scripts.needs_node


def run(expression: str) -> Any:
    return scripts.run("water_table.js", expression)


def item(station: str, status: str, over_m: float | None, **more: Any) -> dict[str, Any]:
    return {
        "station": station,
        "status": status,
        "over_m": over_m,
        "age_s": 60,
        "time_to_limit_s": None,
    } | more


def in_order(*items: dict[str, Any], more_s: int = 0) -> list[str]:
    found: list[str] = run(f"{json.dumps(items)}.sort(module.byDanger({more_s})).map((item) => item.station)")
    return found


def test_the_gravest_comes_first_and_the_doubted_before_the_calm() -> None:
    wanted = ["check", "design", "much", "little", "near", "soon", "stale", "unknown", "calm"]
    assert wanted == in_order(
        item("calm", "normal", -3.0, time_to_limit_s=80_000),
        item("unknown", "unknown", None, age_s=None),
        item("stale", "stale", 2.0, age_s=7200),
        item("soon", "normal", -1.0, time_to_limit_s=3600),
        item("near", "near", -0.1),
        item("little", "over", 0.1),
        item("much", "over", 0.9),
        item("design", "design", 0.0),
        item("check", "check", 0.0),
    )


def test_of_equals_the_sooner_at_its_limit_comes_first_then_the_nearer() -> None:
    assert in_order(
        item("further", "near", -0.3),
        item("nearer", "near", -0.1),
        item("later", "near", -0.2, time_to_limit_s=3600),
        item("sooner", "near", -0.2, time_to_limit_s=600),
    ) == ["sooner", "later", "nearer", "further"]


@pytest.mark.parametrize("status", ["normal", "near", "over", "check"])
def test_what_grew_old_while_nothing_was_heard_is_stale_whatever_was_said(status: str) -> None:
    reading = json.dumps(item("a", status, -1.0, age_s=3000))
    assert run(f"[module.standOf({reading}, 600), module.standOf({reading}, 601)]") == [status, "stale"]


def test_a_change_too_small_to_be_told_has_no_sign() -> None:
    assert run("[0.004, -0.004, 0.35, -1.2].map(module.signed)") == ["0.00", "0.00", "+0.35", "−1.20"]
