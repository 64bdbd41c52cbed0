"""The local gateway: what it takes once, what it says of it, and how it misbehaves when told to."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.signatures import sign
from replay.switchboard import DEMO, Faults, Switchboard, course
from tests.hydrology.factories import NOW

AT_S = NOW.timestamp()
LONG_S = 3600.0
CALLBACK = "http://127.0.0.1/x"


def ask(
    board: Switchboard, channel: str = "voice", *, secret: str = "", at_s: float = AT_S, **more: object
) -> int:
    """The status with which the board answers one POST."""
    fields = {
        "id": "1-a", "to": "+8613800000001", "speech": "words", "text": "words", "keys": ["1", "9"],
        "answers": ["1", "9"], "callback": CALLBACK, **more,
    }  # fmt: skip
    body, stamp = orjson.dumps(fields), datetime.fromtimestamp(at_s, UTC).isoformat()
    headers = {
        "x-gateway-key": board.key,
        "x-gateway-time": stamp,
        "x-gateway-signature": sign(secret or board.secret, stamp, body),
    }
    return board.answer(channel, headers, body, AT_S).status


def test_the_same_id_is_one_call() -> None:
    board = Switchboard("k", "s", Faults(press_share=1.0))
    assert [ask(board), ask(board), ask(board, channel="sms")] == [202, 202, 202]
    assert [(one["channel"], one["posts"]) for one in board.taken] == [("voice", 2), ("sms", 1)]
    states = [row["state"] for row in board.due(AT_S + LONG_S)["voice", CALLBACK]]
    assert states == ["ringing", "answered", "keypress"]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"to": "13800000001"}, 400),
        ({"speech": ""}, 400),
        ({"at_s": AT_S - 400}, 401),
        ({"secret": "guess"}, 401),
    ],
)
def test_what_is_wrong_is_refused(more: dict[str, object], status: int) -> None:
    board = Switchboard("k", "s")
    assert ask(board, **more) == status  # type: ignore[arg-type]
    assert board.taken == []


def test_reports_come_twice_and_last_first_when_told_to() -> None:
    board = Switchboard("k", "s", Faults(press_share=1.0, duplicate_share=1.0, reordered_share=1.0))
    ask(board)
    rows = board.due(AT_S + LONG_S)["voice", CALLBACK]
    assert [row["state"] for row in rows] == [
        state for state in ("keypress", "answered", "ringing") for _ in range(2)
    ]
    assert rows[0]["at"] > rows[-1]["at"]  # type: ignore[operator]


@given(who=st.text(max_size=20), asks=st.booleans())
def test_a_call_is_told_in_the_order_in_which_it_went(who: str, asks: bool) -> None:
    steps = course("voice", who, asks, DEMO)
    assert [step.after_s for step in steps] == sorted(step.after_s for step in steps)
    assert (steps[-1].state == "keypress") <= asks


def test_the_demos_people_do_everything_that_people_do() -> None:
    ends = {course("voice", str(n), True, DEMO)[-1].state for n in range(300)}
    keys = {dict(course("voice", str(n), True, DEMO)[-1].words).get("key") for n in range(300)}
    assert ends == {"busy", "no_answer", "answered", "keypress"}
    assert keys == {None, "1", "9"}
