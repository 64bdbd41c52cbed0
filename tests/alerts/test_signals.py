"""Official signals are read as bulletins are written, and propose response levels as the practice shows."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.assessment.proposals import propose
from alerts.assessment.signals import (
    BadSignal,
    Colour,
    Event,
    Place,
    SignalAction,
    from_cap,
    from_json,
    zones_of,
)
from alerts.cap.values import Status
from alerts.cap.xml import read
from tests.alerts.test_cap import FOREIGN

DISTRICTS = [
    ("440303", "罗湖区"), ("440304", "福田区"), ("440305", "南山区"), ("440306", "宝安区"), ("440307", "龙岗区"),
    ("4403DP", "大鹏新区"), ("440308", "盐田区"), ("440309", "龙华区"), ("440310", "坪山区"), ("440311", "光明区"),
    ("4403SS", "深汕特别合作区"),
]  # fmt: skip
STREETS = [
    ("440303003", "东门街道", "440303"), ("440303001", "桂园街道", "440303"), ("440307014", "布吉街道", "440307"),
    ("440309003", "龙华街道", "440309"), ("4403DP009", "葵涌街道", "4403DP"), ("4403DP010", "大鹏街道", "4403DP"),
    ("4403SS105", "鮜门镇", "4403SS"), ("440304004", "福田街道", "440304"),
]  # fmt: skip
PLACES = [
    Place("4403", "深圳市", "city", ""),
    *(Place(code, name, "district", "4403") for code, name in DISTRICTS),
    *(Place(code, name, "street", parent) for code, name, parent in STREETS),
]
CODES = [code for code, _ in DISTRICTS]


@pytest.mark.parametrize(
    ("text", "areas", "sea"),
    [
        ("罗湖、盐田、龙岗、坪山、大鹏湾", ["440303", "440308", "440307", "440310"], ["大鹏湾"]),
        ("罗湖区、福田区、龙岗区（布吉街道）", ["440307014", "440303", "440304"], []),
        ("大鹏新区（葵涌、大鹏办事处）", ["4403DP009", "4403DP010"], []),
        ("龙华", ["440309"], []),
        ("龙华区(龙华街道)", ["440309003"], []),
        ("全市", ["4403"], []),
        ("深汕特别合作区、珠江口、东部海区", ["4403SS"], ["珠江口", "东部海区"]),
    ],
)
def test_zones_are_read_as_bulletins_write_them(text: str, areas: list[str], sea: list[str]) -> None:
    zones = zones_of([(text, [])], PLACES)
    assert sorted(zones.areas) == sorted(areas)
    assert list(zones.sea) == sea
    assert zones.unknown == ()


def test_a_place_nobody_knows_is_named_and_loses_nothing_else() -> None:
    zones = zones_of([("罗湖区、亚特兰蒂斯、龙岗区（无名街道）", [])], PLACES)
    assert zones.areas == ("440303",)
    assert set(zones.unknown) == {"亚特兰蒂斯", "龙岗区无名街道"}


def test_an_area_with_a_code_takes_no_other_area_with_it() -> None:
    """One area's code once made the words of every other area unread: its district was not warned."""
    areas = ["440305", "罗湖区", "龙岗区（布吉街道）", "东部海区", "999999"]
    said = {"identifier": "x", "sender": "x", "event": "rainstorm", "colour": "red", "action": "issue"}
    zones = from_json(said | {"areas": areas, "issued_at": "2026-05-06T13:16:49+08:00"}, PLACES).zones
    assert (zones.areas, zones.sea) == (("440305", "440303", "440307014"), ("东部海区",))
    assert zones.unknown == ("999999",)
    more = "<area><areaDesc>盐田、东部海区</areaDesc></area></info>"
    [signal] = from_cap(read(FOREIGN.replace("</info>", more, 1).encode()), PLACES)
    assert (signal.zones.areas, signal.zones.sea) == (("440303", "440308"), ("东部海区",))


def test_the_sea_stands_in_words_also_beside_codes() -> None:
    zones = zones_of([("罗湖、盐田、大鹏湾", ["440303", "440308"]), ("那边", ["X9"])], PLACES)
    assert (zones.areas, zones.sea, zones.unknown) == (("440303", "440308"), ("大鹏湾",), ("那边",))


def test_a_cap_message_is_a_signal_by_its_codes() -> None:
    [signal] = from_cap(read(FOREIGN.encode()), PLACES)
    assert (signal.event, signal.colour, signal.action) == (
        Event.RAINSTORM,
        Colour.ORANGE,
        SignalAction.ISSUE,
    )
    assert signal.zones.areas == ("440303",)
    assert signal.references == ("44030041600000_20230907150000_1",)
    assert signal.status is Status.ACTUAL


@pytest.mark.parametrize(
    ("headline", "colour", "action"),
    [
        ("深圳市暴雨橙色预警升级为红色", Colour.RED, SignalAction.UPGRADE),
        ("暴雨红色预警降级为黄色", Colour.YELLOW, SignalAction.DOWNGRADE),
        ("扩展暴雨黄色预警", Colour.YELLOW, SignalAction.EXTEND),
        ("解除暴雨黄色预警", Colour.YELLOW, SignalAction.CANCEL),
    ],
)
def test_colour_and_action_stand_in_the_words(headline: str, colour: Colour, action: SignalAction) -> None:
    [signal] = from_cap(read(FOREIGN.replace("罗湖区发布暴雨橙色预警", headline).encode()), PLACES)
    assert (signal.colour, signal.action) == (colour, action)


@pytest.mark.parametrize(
    ("headline", "description", "colour", "action"),
    [
        ("发布暴雨红色预警信号", "预警信号解除前请勿外出。", Colour.RED, SignalAction.ISSUE),
        ("发布暴雨黄色预警信号", "预警信号可能升级为红色。", Colour.YELLOW, SignalAction.ISSUE),
        ("天气预警", "发布暴雨红色预警，解除橙色预警前的措施。", Colour.ORANGE, SignalAction.ISSUE),
        ("天气预警", "暴雨橙色预警升级为红色", Colour.RED, SignalAction.UPGRADE),
        ("解除暴雨红色预警信号", "", Colour.RED, SignalAction.CANCEL),
    ],
)
def test_guidance_in_the_description_neither_cancels_nor_colours(
    headline: str, description: str, colour: Colour, action: SignalAction
) -> None:
    said = f"<headline>{headline}</headline><description>{description}</description>"
    raw = FOREIGN.replace(">Update<", ">Alert<").replace("<headline>罗湖区发布暴雨橙色预警</headline>", said)
    [signal] = from_cap(read(raw.encode()), PLACES)
    assert (signal.colour, signal.action) == (colour, action)


def plain(**fields: Any) -> dict[str, Any]:
    return {
        "identifier": "44030041600000_20230907182000_0", "sender": "44030041600000", "event": "rainstorm",
        "colour": "yellow", "action": "issue", "areas": ["440303", "大鹏湾"], "text": "30至50毫米",
        "issued_at": "2023-09-07T18:20:00+08:00",
    } | fields  # fmt: skip


def test_a_plain_signal_says_the_same() -> None:
    signal = from_json(plain(), PLACES)
    assert signal.zones.areas == ("440303",)
    assert signal.issued_at == datetime(2023, 9, 7, 10, 20, tzinfo=UTC)
    assert signal.status is Status.ACTUAL


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"colour": "green"}, "colour"), ({"event": 3}, "event"), ({"areas": []}, "areas"),
        ({"areas": [1]}, "areas"), ({"issued_at": "2023-09-07T18:20:00"}, "issued_at"), ({"issued_at": 5}, "issued_at"),
        ({"expected_until": "9999-12-31T23:59:59Z"}, "expected_until"), ({"text": "a\0b"}, "text"),
        ({"issued_at": "0001-01-01T00:00:00+08:00"}, "issued_at"), ({"identifier": "i\0d"}, "identifier"),
        ({"references": 5}, "references"), ({"references": "ab"}, "references"), ({"references": [1]}, "references"),
        ({"references": ["x" * 200]}, "references"), ({"areas": ["南\0湾"]}, "areas"),
        ({"identifier": "a b"}, "identifier"), ({"sender": None}, "sender"), ({"status": "Real"}, "status"),
    ],
)  # fmt: skip
def test_a_faulty_field_is_named_in_both_languages(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(BadSignal) as caught:
        from_json(plain(**fields), PLACES)
    assert caught.value.field == named
    assert caught.value.zh
    assert caught.value.en


def test_a_cap_identifier_too_long_to_keep_is_named() -> None:
    with pytest.raises(BadSignal) as caught:
        from_cap(read(FOREIGN.replace("44030041600000_20230907182000_0", "x" * 150).encode()), PLACES)
    assert caught.value.field == "identifier"


def test_a_sea_zone_too_long_to_be_one_is_a_place_nobody_knows() -> None:
    assert zones_of([("南" * 50 + "湾", [])], PLACES).sea == ()


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_no_json_crashes_the_reader(body: Any) -> None:
    with pytest.raises(BadSignal):
        from_json(body, PLACES)


def levels(colours: dict[str, Colour]) -> dict[str, int]:
    return {one.authority: one.level for one in propose(colours, CODES, "4403")}


def test_the_practice_of_published_responses_is_proposed() -> None:
    assert levels({}) == {}
    assert levels({"440303": Colour.YELLOW}) == {"4403": 1, "440303": 1}
    assert levels({"440303": Colour.ORANGE}) == {"4403": 2, "440303": 2}
    # 2021-07-21: zoned red, the city stays low while the districts are at III
    assert levels({"440307": Colour.RED}) == {"4403": 2, "440307": 3}
    assert levels({"440307": Colour.RED, "440303": Colour.RED})["4403"] == 3
    assert levels({"4403": Colour.RED})["4403"] == 4


def test_a_citywide_colour_holds_in_every_district_beside_a_graver_one_in_one() -> None:
    found = levels({"4403": Colour.YELLOW, "440303": Colour.RED})
    assert found["440303"] == 3
    assert found["440311"] == 1
    assert found["4403"] == 2


colours = st.dictionaries(st.sampled_from(CODES), st.sampled_from(Colour))


@given(colours, st.sampled_from(CODES))
def test_a_graver_signal_never_lowers_a_proposal(some: dict[str, Colour], code: str) -> None:
    before, after = levels(some), levels({**some, code: Colour.RED})
    assert all(after.get(authority, 0) >= level for authority, level in before.items())


def test_a_proposal_says_why_as_the_field_says_it() -> None:
    [city, district] = propose({CODES[0]: Colour.ORANGE}, CODES, "4403", names={CODES[0]: "罗湖区"})
    assert (city.why_zh, city.why_en) == ("分区橙色预警信号：罗湖区", "orange signal, zoned: 罗湖区")
    assert (district.why_zh, district.why_en) == ("罗湖区橙色预警信号", "orange signal, 罗湖区")
