"""The after-action report counts from the rows, within the caller's regions, in a fixed number of queries."""

import json
import re
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from alerts.models import (
    Bulletin,
    BulletinKind,
    Hazard,
    OrderEvent,
    OrderStatus,
    ResponseLevel,
    ResponseOrder,
    Warning,
    WarningAction,
    WarningEvent,
    WarningLevel,
    WarningStreet,
)
from console import report_ledger, reports
from console.report_pdf import Words, pdf
from escalation.models import Climb, Rung
from foundation.errors import Refusal
from hydrology.models import Region
from notifications.models import Delivery, Dispatch, Errand, State
from officers.models import Officer
from tests.alerts.conftest import A, B, fell, gauged
from tests.console.conftest import ClientFor
from tests.console.factories import make_bulletin, make_climb, make_dispatch, make_officer
from tests.hydrology.factories import MINUTE, NOW, make_feed, make_station

SINCE, UNTIL = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
CITY = ("4403/",)


def told(paths: tuple[str, ...] = CITY, since: datetime = SINCE, until: datetime = UNTIL) -> dict[str, Any]:
    return reports.report(since, until, paths, UNTIL)


def warn(district: Region, *streets: Region, drill: bool = False, hazard: str = Hazard.RAINSTORM) -> Warning:
    warning = Warning.objects.create(
        hazard=hazard, region=district, level=3, peak_level=3, raised_at=NOW, ended_at=NOW, drill=drill
    )
    WarningStreet.objects.bulk_create(WarningStreet(warning=warning, region=s, level=3) for s in streets)
    WarningEvent.objects.create(
        warning=warning,
        at=NOW,
        created_at=NOW,
        action="raise",
        level=3,
        areas=[s.code for s in streets],
        reasons={},
    )
    return warning


def order(authority: Region, *, drill: bool = False) -> Bulletin:
    """An order issued at NOW by two people, and its bulletin."""
    drafter, approver = make_officer(authority), make_officer(authority)
    made = ResponseOrder.objects.create(
        level=ResponseLevel.III, authority=authority, areas=[authority.code], duties=["flood"], title_zh="令",
        title_en="order", text_zh="令", valid_until=UNTIL, drill=drill, status=OrderStatus.ISSUED,
        drafted_by=drafter, approved_by=approver, created_at=NOW, released_at=NOW,
    )  # fmt: skip
    OrderEvent.objects.create(order=made, at=NOW, actor=approver, before="approved", after="issued")
    return make_bulletin(kind=BulletinKind.ORDER, level="III", order=made, drill=drill)


def mark(delivery: Delivery, **after: timedelta) -> None:
    """Set `…_at` of the line that long after NOW."""
    Delivery.objects.filter(pk=delivery.pk).update(
        **{f"{name}_at": NOW + span for name, span in after.items()}
    )


def test_receipts_are_counted_by_the_minutes_since_the_bulletin(regions: dict[str, Region]) -> None:
    lines = make_dispatch([(regions[A], State.CONFIRMED)] * 4).deliveries.order_by("id")
    mark(
        lines[0],
        sent=MINUTE / 2,
        delivered=MINUTE,
        opened=2 * MINUTE,
        confirmed=5 * MINUTE,
        acting=40 * MINUTE,
    )
    mark(lines[1], delivered=MINUTE + timedelta(seconds=1), shown=3 * MINUTE, opened=31 * MINUTE)
    mark(
        lines[2], confirmed=10 * MINUTE
    )  # the phone's first word was the answer: it has been delivered and opened
    [bulletin] = told()["bulletins"]
    assert report_ledger.AFTER_MIN == (1, 2, 5, 10, 30, 60)
    assert bulletin["people"] == 4
    assert bulletin["curve"] == {
        "accepted": [1, 2, 2, 3, 3, 3],
        "delivered": [1, 2, 2, 3, 3, 3],
        "shown": [0, 1, 2, 3, 3, 3],
        "opened": [0, 1, 1, 2, 2, 3],
        "confirmed": [0, 0, 1, 2, 2, 2],
        "acting": [0, 0, 0, 0, 0, 1],
    }
    assert bulletin["reached"] == {
        "accepted": 3, "delivered": 3, "shown": 3, "opened": 3, "confirmed": 2, "acting": 1,
    }  # fmt: skip


def test_who_is_told_again_quietly_stands_where_he_stood_and_is_not_called_again(
    regions: dict[str, Region],
) -> None:
    rang = make_dispatch([(regions[A], State.CONFIRMED), (regions[A], State.SENT)])
    lines = rang.deliveries.order_by("id")
    mark(lines[0], delivered=-2 * MINUTE, opened=-2 * MINUTE, confirmed=-MINUTE)
    mark(lines[1], delivered=-MINUTE, shown=-MINUTE)  # of the ring's own way, not of what renews it
    renewed = make_dispatch([])
    for line in lines:
        Delivery.objects.create(
            dispatch=renewed, officer=line.officer, region=line.region, root=line, quiet=True, state=State.SENT, due_at=NOW
        )  # fmt: skip
    found = told()
    [again] = [row for row in found["bulletins"] if row["id"] == renewed.bulletin_id]
    assert again["people"] == 2
    assert again["reached"] == dict.fromkeys(report_ledger.STATES, 1) | {"acting": 0}
    assert again["curve"]["confirmed"] == [1] * 6
    assert (found["fatigue"]["messages"], found["fatigue"]["weekly"]["most"]) == (2, 1)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])  # rows only pile up
@given(spans=st.lists(st.tuples(*[st.none() | st.integers(0, 9000)] * 6), min_size=1, max_size=8))
def test_receipt_curves_only_rise_and_a_later_state_never_leads(
    regions: dict[str, Region], spans: list[tuple[int | None, ...]]
) -> None:
    dispatch = make_dispatch([(regions[A], State.SENT)] * len(spans))
    for line, span in zip(dispatch.deliveries.all(), spans, strict=True):
        known = {
            n: timedelta(seconds=s)
            for n, s in zip(
                ("sent", "delivered", "shown", "opened", "confirmed", "acting"), span, strict=True
            )
            if s
        }
        if known:
            mark(line, **known)
    [found] = [row for row in told()["bulletins"] if row["id"] == dispatch.bulletin_id]
    curve = found["curve"]
    for counts in curve.values():
        assert counts == sorted(counts)
    assert list(curve) == ["accepted", "delivered", "shown", "opened", "confirmed", "acting"]
    for first, then in pairwise(curve):
        assert all(a >= b for a, b in zip(curve[first], curve[then], strict=True))


def test_the_season_is_counted_as_the_letter_states_it_and_drills_apart(regions: dict[str, Region]) -> None:
    district, street = regions["440303"], regions[A]
    for drill in (False, False, True):
        warning = warn(district, street, drill=drill)
        make_dispatch([(street, State.SENT)] * 3, bulletin=make_bulletin(warning=warning, drill=drill))
    bulletin = order(district)
    make_dispatch([(street, State.SENT)] * 2, bulletin=bulletin)
    make_dispatch(
        [(street, State.SENT)], bulletin=bulletin, errand=Errand.DEPUTY
    )  # a call more, no notice more
    found = told()
    assert found["counters"]["real"] == {
        "warnings": 2, "reminders": 6, "orders": 1, "notices": 2, "levels": 0, "level_reminders": 0
    }  # fmt: skip
    assert found["counters"]["drill"]["warnings"] == 1
    assert found["counters"]["drill"]["reminders"] == 3
    assert found["late"]["calls"]["deputy"] == 1
    assert [(row["level"], row["people"]) for row in found["orders"]] == [("III", 2)]


def test_a_level_notice_is_no_rain_warning(regions: dict[str, Region]) -> None:
    warn(regions[A], hazard=Hazard.RESERVOIR)
    make_dispatch([(regions[A], State.SENT)], bulletin=make_bulletin(kind=BulletinKind.LEVEL))
    counters = told()["counters"]["real"]
    assert (counters["warnings"], counters["reminders"]) == (0, 0)
    assert (counters["levels"], counters["level_reminders"]) == (1, 1)


def test_what_lies_outside_the_span_is_not_in_it(regions: dict[str, Region]) -> None:
    warn(regions["440303"], regions[A])
    make_dispatch([(regions[A], State.SENT)], bulletin=order(regions["440303"]))
    later = told(since=NOW, until=UNTIL)  # the span begins after `since`
    assert (later["warnings"], later["orders"], later["bulletins"]) == ([], [], [])
    assert later["fatigue"]["messages"] == 0
    upto = told(since=SINCE, until=NOW)
    assert [len(upto[part]) for part in ("warnings", "orders", "bulletins")] == [1, 1, 1]


def test_the_report_of_a_district_holds_nothing_of_another(regions: dict[str, Region]) -> None:
    warn(regions["440304"], regions["440304001"])
    dispatch = make_dispatch(
        [(regions["440304001"], State.FAILED_PERM), (regions[A], State.SENT)],
        bulletin=order(regions["440304"]),
    )
    Delivery.objects.filter(dispatch=dispatch, region=regions["440304001"]).update(reason="unregistered")
    Rung.objects.create(
        climb=make_climb(dispatch.deliveries.get(region=regions["440304001"])), number=1, errand="repeat", due_at=NOW,
        taken_at=NOW + MINUTE, reached=1,
    )  # fmt: skip
    whole, other = told(), told(("4403/440303/",))
    assert (whole["late"]["rungs"]["late"], whole["faults"][0]["reason"]) == (1, "unregistered")
    assert other["warnings"] == []
    assert (
        other["bulletins"][0]["people"] == other["orders"][0]["people"] == 1
    )  # the order called one of mine
    assert other["late"]["rungs"]["late"] == 0
    assert other["faults"] == []
    assert [row["code"] for row in other["fatigue"]["regions"]] == [A]
    assert other["counters"]["real"]["notices"] == 1


def test_nothing_is_told_without_a_region(city: dict[str, Region]) -> None:
    warn(city["440303"], city[A])
    make_dispatch([(city[A], State.SENT)], bulletin=order(city["440303"]))
    found = told(())
    assert found["rain"] is None
    assert not any(
        found[part] for part in ("regions", "warnings", "orders", "bulletins", "faults", "streets")
    )
    assert found["fatigue"]["people"] == found["late"]["sends"]["sent"] == 0


def test_a_street_whose_warning_is_the_districts_is_told_of_it(regions: dict[str, Region]) -> None:
    warn(regions["440303"], regions[A], regions[B])
    assert len(told((regions[A].path, regions[B].path))["warnings"]) == 1
    assert told((regions["440304001"].path,))["warnings"] == []


def test_streets_where_nobody_answered_are_named_by_bulletin(regions: dict[str, Region]) -> None:
    make_dispatch([(regions[A], State.SENT), (regions[B], State.CONFIRMED)])
    found = told()
    assert found["bulletins"][0]["nobody"] == [A]
    assert found["streets"] == {A: regions[A].name}


@pytest.mark.parametrize(("late_s", "late"), [(30, 0), (31, 1)])
def test_a_rung_is_late_beyond_thirty_seconds(regions: dict[str, Region], late_s: int, late: int) -> None:
    climb = make_climb(make_dispatch([(regions[A], State.SENT)]).deliveries.get())
    Rung.objects.create(
        climb=climb,
        number=1,
        errand="repeat",
        due_at=NOW,
        taken_at=NOW + timedelta(seconds=late_s),
        reached=0,
    )
    found = told()["late"]
    assert (found["rungs"]["taken"], found["rungs"]["late"], found["rungs"]["worst_s"]) == (1, late, late_s)
    assert found["rungs"]["reached_nobody"] == 1
    assert [(row["title_en"], row["worst_s"]) for row in found["rungs_of"]] == [("title_en", late_s)] * late


def test_a_rung_due_and_never_taken_is_overdue(regions: dict[str, Region]) -> None:
    climb = make_climb(make_dispatch([(regions[A], State.SENT)]).deliveries.get())
    Climb.objects.filter(pk=climb.pk).update(due_at=NOW)
    assert told()["late"]["rungs"]["overdue"] == 1


def test_a_push_is_late_beyond_a_minute_and_unsent_when_it_expired(regions: dict[str, Region]) -> None:
    lines = make_dispatch([(regions[A], State.SENT)] * 2 + [(regions[A], State.PENDING)]).deliveries.order_by(
        "id"
    )
    mark(lines[0], sent=MINUTE)
    mark(lines[1], sent=MINUTE + timedelta(seconds=1))
    assert told()["late"]["sends"] == {"sent": 2, "late": 1, "worst_s": 61, "unsent": 1}


def test_fatigue_counts_repeats_and_leaves_out_who_could_not_be_called(regions: dict[str, Region]) -> None:
    first = make_dispatch(
        [(regions[A], State.SENT), (regions[B], State.SENT), (regions[B], State.FAILED_PERM)]
    )
    line = first.deliveries.get(region=regions[A])
    repeat = Dispatch.objects.create(
        bulletin=first.bulletin, errand=Errand.REPEAT, drill=False, created_at=NOW, expires_at=UNTIL
    )
    Delivery.objects.create(
        dispatch=repeat, officer=line.officer, region=line.region, root=line, state=State.SENT, due_at=NOW
    )
    found = told()["fatigue"]
    assert (found["people"], found["messages"]) == (2, 3)
    assert found["weekly"] == {"mean": 1.5, "p95": 2, "most": 2}
    assert [(row["code"], row["people"], row["messages"], row["each"]) for row in found["regions"]] == [
        (A, 1, 2, 2.0),
        (B, 1, 1, 1.0),
    ]


def test_a_drill_is_in_no_figure_of_real_operations(regions: dict[str, Region]) -> None:
    drill = make_dispatch(
        [(regions[A], State.SENT), (regions[A], State.PENDING), (regions[B], State.FAILED_PERM)],
        bulletin=make_bulletin(drill=True),
    )
    lines = drill.deliveries.order_by("id")
    mark(lines[0], sent=10 * MINUTE)
    lines.filter(state=State.FAILED_PERM).update(reason="drill_paused")
    climb = make_climb(lines[0])
    Climb.objects.filter(pk=climb.pk).update(due_at=NOW)
    climb.taken.create(number=1, errand="repeat", due_at=NOW, taken_at=NOW + 9 * MINUTE, reached=0)
    found = told()
    assert found["late"]["rungs"] == {"taken": 0, "late": 0, "worst_s": 0, "reached_nobody": 0, "overdue": 0}
    assert found["late"]["sends"] == {"sent": 0, "late": 0, "worst_s": 0, "unsent": 0}
    assert (found["late"]["rungs_of"], found["faults"]) == ([], [])
    assert not any(found["counters"]["real"].values())
    assert (found["fatigue"]["messages"], found["fatigue"]["drill_messages"]) == (
        2,
        2,
    )  # it wears people out all the same


def test_rain_is_the_mean_of_the_cells_and_the_highest_of_cells_and_gauges(
    regions: dict[str, Region],
) -> None:
    radar, gauges = make_feed("radar"), make_feed("gauges")
    make_station(f"gauge-{A}", "PP", A)
    fell(radar, NOW, {A: 4.0})
    fell(radar, NOW + 10 * MINUTE, {})
    gauged(gauges, NOW, {A: 6.0})
    rain = told(since=NOW - 5 * MINUTE, until=NOW + 10 * MINUTE)["rain"]
    first, missing, dry = rain["slots"]
    assert (first["highest_mm"], first["where"]) == (6.0, "gauge")
    assert 0 < first["mean_mm"] < 4.0
    assert (missing["mean_mm"], missing["highest_mm"]) == (None, None)  # missing, never zero
    assert dry["mean_mm"] == 0.0
    assert rain["share"] == pytest.approx(2 / 3, abs=0.001)
    elsewhere = told(("4403/440304/",), NOW - 5 * MINUTE, NOW)["rain"]
    assert (elsewhere["slots"][0]["mean_mm"], elsewhere["slots"][0]["highest_mm"]) == (0.0, 0.0)


def test_a_replayed_storm_keeps_its_own_dates(regions: dict[str, Region]) -> None:
    storm = NOW - timedelta(days=1000)
    fell(make_feed("radar", replayed=True), storm, {A: 4.0}, after=timedelta(days=1000))
    rain = told()["rain"]
    assert rain["replayed"]
    assert [slot["highest_mm"] for slot in rain["slots"]] == [4.0]
    assert datetime.fromisoformat(rain["slots"][0]["at"]) == storm


def test_no_curve_is_drawn_beyond_three_days(regions: dict[str, Region]) -> None:
    fell(make_feed("radar"), NOW, {A: 4.0})
    assert told(since=UNTIL - timedelta(hours=72))["rain"] is not None
    assert told(since=UNTIL - timedelta(hours=73))["rain"] is None


def test_queries_do_not_grow_with_the_season(regions: dict[str, Region]) -> None:
    radar = make_feed("radar")

    def season(times: int) -> None:
        for n in range(times):
            fell(radar, NOW - 5 * n * MINUTE, {A: 1.0 + n})
            warning = warn(regions["440303"], regions[A])
            make_dispatch([(regions[A], State.SENT)] * 2, bulletin=make_bulletin(warning=warning))
            lines = make_dispatch([(regions[B], State.SENT)], bulletin=order(regions["440304"])).deliveries
            Rung.objects.create(
                climb=make_climb(lines.get()),
                number=1,
                errand="repeat",
                due_at=NOW,
                taken_at=UNTIL,
                reached=1,
            )

    def queries() -> int:
        told()  # zones are kept a process
        with CaptureQueriesContext(
            connection,
        ) as captured:
            told()
        return len(captured)

    season(1)
    few = queries()
    season(5)
    assert queries() == few


def test_the_report_names_no_person(regions: dict[str, Region]) -> None:
    make_dispatch(
        [(regions[A], State.SENT), (regions[B], State.FAILED_PERM)], bulletin=order(regions["440303"])
    )
    text = json.dumps(told(), ensure_ascii=False)
    for officer in Officer.objects.all():
        assert officer.name not in text
        assert officer.masked_phone not in text


@pytest.mark.parametrize(("since", "until"), [(NOW, NOW), (NOW, SINCE), (NOW - timedelta(days=401), NOW)])
def test_a_span_that_is_none_is_refused(db: None, since: datetime, until: datetime) -> None:
    with pytest.raises(Refusal, match="bad_span"):
        reports.report(since, until, CITY, NOW)


def test_the_door_wants_a_caller_and_keeps_to_his_regions(
    regions: dict[str, Region], client_for: ClientFor
) -> None:
    make_dispatch([(regions[A], State.SENT), (regions["440304001"], State.SENT)])
    door, span = "/api/v1/console/report", {"since": SINCE.isoformat(), "until": UNTIL.isoformat()}
    assert APIClient().get(door).status_code == 401
    answer = client_for("4403/440303/").get(door, span)
    assert [row["people"] for row in answer.json()["bulletins"]] == [1]
    assert client_for().get(door, span).json()["bulletins"] == []
    refused = client_for("4403/").get(door, {"since": "yesterday"})
    assert (refused.status_code, set(refused.json()["fields"])) == (400, {"since"})


@pytest.fixture
def stormy(regions: dict[str, Region]) -> dict[str, Region]:
    """Something in every part of the report."""
    fell(make_feed("radar"), NOW, {A: 4.0})
    warn(regions["440303"], regions[A])
    warn(regions["440303"], regions[B], drill=True)
    bulletin = order(regions["440303"])
    lines = make_dispatch(
        [(regions[A], State.CONFIRMED), (regions[B], State.FAILED_PERM)], bulletin=bulletin
    ).deliveries
    mark(lines.get(region=regions[A]), sent=2 * MINUTE, delivered=2 * MINUTE, confirmed=3 * MINUTE)
    Delivery.objects.filter(region=regions[B]).update(reason="no_live_device")
    Rung.objects.create(
        climb=make_climb(lines.get(region=regions[B])),
        number=1,
        errand="deputy",
        due_at=NOW,
        taken_at=UNTIL,
        reached=0,
    )
    make_dispatch([(regions[A], State.SENT)], bulletin=make_bulletin(drill=True, title_zh="<b>&</script>"))
    return regions


@pytest.mark.parametrize("english", [False, True])
def test_every_part_is_put_on_paper_in_both_languages(stormy: dict[str, Region], english: bool) -> None:
    found = told()
    assert all(
        found[part] for part in ("rain", "warnings", "orders", "bulletins", "curves", "streets", "faults")
    )
    drawn = pdf(found, english=english)
    assert drawn.startswith(b"%PDF-")
    assert drawn == pdf(found, english=english)
    assert b"STSong-Light" in drawn


def test_every_code_a_report_holds_has_its_words_in_both_languages() -> None:
    spoken = {
        "level": {level.name.lower() for level in WarningLevel} | {level.code for level in ResponseLevel},
        "action": set(WarningAction),
        "kind": set(BulletinKind) - {BulletinKind.CANARY},  # no report counts those
        "hazard": set(Hazard),
        "state": set(State),
        "errand": set(Errand) - {Errand.FIRST},
        "order": {OrderStatus.ISSUED, OrderStatus.WITHDRAWN, OrderStatus.ENDED, OrderStatus.SUPERSEDED},
    }
    for kind, codes in spoken.items():
        assert {code for code in map(str, codes) if Words(0).named(kind, code) == code} == set(), kind


def test_an_empty_report_can_be_put_on_paper(regions: dict[str, Region]) -> None:
    assert pdf(told(())).startswith(b"%PDF-")


def test_a_warning_of_many_steps_goes_over_the_page(stormy: dict[str, Region]) -> None:
    found = told()
    found["warnings"][0]["steps"] *= 800
    assert pdf(found).count(b"/Type /Page\n") > 3


def test_the_pdf_door_answers_within_the_callers_regions(
    stormy: dict[str, Region], client_for: ClientFor
) -> None:
    door, span = "/api/v1/console/report.pdf", {"since": SINCE.isoformat(), "until": UNTIL.isoformat()}
    assert APIClient().get(door).status_code == 401
    answer = client_for("4403/").get(door, span)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    assert answer.content.startswith(b"%PDF-")


def test_the_saved_page_is_whole_and_no_text_breaks_out_of_it(
    stormy: dict[str, Region], tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    call_command("report", since=SINCE.isoformat(), until=UNTIL.isoformat(), out=out)
    text = out.read_text("utf-8")
    assert len(re.findall("</script>", text)) == 2
    assert not re.search(r"""(?:src|href)=|@import|url\(|\bfrom\s+["']""", text)
    [facts] = re.findall(r'id="facts">(.*?)</script>', text, re.DOTALL)
    assert {"<b>&</script>"} <= {line["title_zh"] for line in json.loads(facts)["bulletins"]}


def test_the_command_writes_a_districts_pdf(stormy: dict[str, Region], tmp_path: Path) -> None:
    out = tmp_path / "report.pdf"
    call_command(
        "report", since="2026-09-07T19:00", until="2026-09-07T21:00", out=out, region=["440303"], english=True
    )
    assert out.read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize(
    "wrong",
    [
        {"out": Path("report.doc")},
        {"since": "yesterday"},
        {"region": ["440399"]},
        {"since": "2026-09-08", "until": "2026-09-07"},
    ],
)
def test_the_command_says_what_is_wrong(regions: dict[str, Region], wrong: dict[str, Any]) -> None:
    asked = {"since": "2026-09-07", "until": "2026-09-08", "out": Path("report.html")} | wrong
    with pytest.raises(CommandError, match=r"\.html or|ISO 8601|No such region|at most 400 days"):
        call_command("report", **asked)
