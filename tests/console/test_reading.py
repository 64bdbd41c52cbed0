"""What a page says of what it has not read: never nothing, never live. Runs the page's own modules under node."""

import json
from typing import Any

import pytest

from tests.console import scripts

pytestmark = scripts.needs_node

STEPS = """
(async () => {
  const session = await import(%(session)s);
  let now_ms = 1_700_000_000_000;
  Date.now = () => now_ms;
  const kept = {};
  let painted = 0;
  const reading = module.reader(() => { painted += 1; }, 30);
  const refuse = (status, body) => async () => { throw new session.Refused(status, body); };
  const answer = (value) => async () => value;
  const hang = () => new Promise(() => {});
  const read = (name, load, path = name) => reading.read(name, path, (value) => { kept[name] = value; }, { load });
  const stand = (...names) => reading.stand(...names).state;
  const found = [];
  console.warn = () => {};
  %(steps)s
  return found;
})()
"""


def told(steps: str) -> list[Any]:
    """What the steps put into `found`; they read with `read(name, load)` and let time go by with `now_ms`."""
    session = json.dumps((scripts.STATIC / "session.js").as_uri())
    found: list[Any] = scripts.run("reading.js", STEPS % {"session": session, "steps": steps})
    return found


def test_what_was_not_answered_yet_is_unread_and_so_is_the_whole_page() -> None:
    assert told("""
        await read("feeds", answer([]));
        read("warnings", hang);
        found.push(stand("feeds"), stand("warnings"), stand("never asked"), stand("feeds", "warnings"));
    """) == ["read", "unread", "unread", "unread"]


def test_a_part_that_fails_before_its_first_answer_has_no_age() -> None:
    assert told("""
        await read("warnings", refuse(500, null));
        found.push(reading.stand("warnings"), reading.lost("warnings"));
    """) == [{"state": "failed", "read_at": 0, "why": "HTTP 500"}, True]


def test_a_part_that_fails_later_keeps_what_it_had_and_its_age() -> None:
    assert told("""
        await read("warnings", answer([1]));
        now_ms += 20_000;
        await read("warnings", async () => { throw new TypeError("offline"); });
        found.push(kept.warnings, stand("warnings"), now_ms - reading.stand("warnings").read_at, reading.lost("warnings"));
        now_ms += 11_000;
        found.push(reading.lost("warnings"));
    """) == [[1], "failed", 20_000, False, True]


def test_an_answer_older_than_the_bound_no_longer_counts_as_present() -> None:
    assert told("""
        await read("levels", answer([]));
        now_ms += 30_000;
        found.push(stand("levels"));
        now_ms += 1;
        found.push(stand("levels"));
        await read("levels", answer([]));
        found.push(stand("levels"));
    """) == ["read", "old", "read"]


@pytest.mark.parametrize(
    ("status", "state"), [(403, "refused"), (404, "refused"), (429, "failed"), (503, "failed")]
)
def test_not_being_for_this_reader_is_an_answer_and_a_busy_server_is_none(status: int, state: str) -> None:
    assert told(f"""
        await read("calls", refuse({status}, {{ message: "why" }}));
        found.push(stand("calls"), reading.stand("calls").why);
    """) == [state, "why"]


def test_the_answer_to_an_earlier_question_is_not_taken_for_the_present_one() -> None:
    assert told("""
        let first;
        const slow = read("list", () => new Promise((resolve) => { first = resolve; }), "list?past=1");
        read("list", hang, "list");
        first(["past"]);
        await slow;
        found.push(kept.list ?? null, stand("list"));
    """) == [None, "unread"]


def test_what_is_asked_while_an_answer_is_awaited_is_asked_once_after_it() -> None:
    assert told("""
        const asked = [];
        const load = () => new Promise((resolve) => asked.push(resolve));
        const all = [read("orders", load), read("orders", load), read("orders", load)];
        found.push(asked.length);
        asked[0](["before the act"]);
        await all[1];
        await new Promise((resolve) => setTimeout(resolve));
        found.push(asked.length);
        asked[1](["after it"]);
        await all[0];
        found.push(asked.length, kept.orders);
    """) == [1, 2, 2, ["after it"]]


def test_an_answer_after_signing_out_is_nobodys() -> None:
    assert told("""
        let late;
        const slow = read("orders", () => new Promise((resolve) => { late = resolve; }));
        reading.reset();
        late(["his"]);
        await slow;
        found.push(kept.orders ?? null, reading.names());
    """) == [None, []]


def test_the_page_is_painted_when_an_answer_differs_and_when_a_part_comes_to_stand_otherwise() -> None:
    assert told("""
        await read("feeds", answer([1]));
        const once = painted;
        await read("feeds", answer([1]));
        found.push(painted - once);
        await read("feeds", refuse(500, null));
        found.push(painted - once);
        await read("feeds", refuse(500, null));
        found.push(painted - once);
    """) == [0, 1, 1]


def test_an_order_that_nobody_has_been_told_of_is_not_called_issued() -> None:
    order = {"status": "issued", "released_at": None, "release_at": "2026-07-20T10:00:00+08:00"}
    at = "(seconds) => { Date.now = () => Date.parse('2026-07-20T10:00:00+08:00') + seconds * 1000; }"
    waits, just, late, out = scripts.run(
        "orders_short.js",
        f"""(() => {{
            const set = {at};
            const order = {json.dumps(order)};
            const found = [-8, 5, 6].map((seconds) => {{ set(seconds); return module.orderStand(order); }});
            return [...found, module.orderStand({{ ...order, released_at: order.release_at }})];
        }})()""",
    )
    assert waits == ["order-unsent", "待发出 · 10:00 · 还有 8秒"]
    assert just[0] == "order-unsent"
    assert late == ["order-late", "发出延迟 6秒 · 应发 10:00"]
    assert out == ["order-issued", "已发布"]
