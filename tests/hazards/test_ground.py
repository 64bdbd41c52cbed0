"""Reports from the ground: taken once, whole or not at all, put where they lie, shown to whom it concerns."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from foundation.clock import iso, now
from hazards import ground
from hazards.ground_form import MOST_PHOTOS, read_report
from hazards.models import GroundEvent, GroundPhoto, GroundReport
from hydrology import ingest
from hydrology.models import StationKind
from notifications import dispatch
from notifications.models import Delivery
from officers.directory import scope_of
from officers.models import AuditEntry, Duty, Post
from tests.alerts.conftest import signed_in
from tests.console.factories import HOUR
from tests.hazards.conftest import A1, A2, B1, C1, CITY, EAST, WEST, A, B, C, person, phone, regions
from tests.hazards.ground import (
    DOOR,
    Regions,
    act,
    city,
    desk,
    files,
    photo,
    reported,
    said,
    send,
    spread_out,
    told,
)
from tests.hydrology.factories import (
    MINUTE,
    body,
    make_feed,
    make_regions,
    make_reservoir,
    make_river,
    make_station,
    rain,
    stage,
)

__all__ = ["city", "regions"]


def test_a_report_belongs_where_it_lies_whoever_sends_it(city: Regions) -> None:
    reporter = person(city[C1], Duty.REPORTER)
    for spot in (A1, A2, B1, C1):
        assert reported(reporter, spot).region_id == spot
    answer = send(reporter, A2).json()
    assert (answer["region"]["code"], answer["place"]) == (A2, f"region {EAST}region {A}region {A2}")
    assert (answer["status"], answer["officer"]["name"]) == ("received", reporter.name)


def test_a_street_without_communities_has_the_report_itself(city: Regions) -> None:
    city[B1].delete()
    assert reported(person(city[A]), B1).region_id == B


def test_the_water_of_that_moment_stays_beside_it(city: Regions) -> None:
    make_station("near", StationKind.RAIN, A)
    make_station("far", StationKind.RAIN, B)
    make_reservoir("lake", A).season_limits.update(begin_mmdd="0101", end_mmdd="1231")
    make_river("stream", B)
    make_river("elsewhere", C)
    feed, at = make_feed(), now() - 6 * MINUTE
    rows = [rain("near", at - 5 * n * MINUTE, 2.5) for n in range(6)] + [rain("far", at, 9.0)]
    levels = [stage("lake", at - 5 * n * MINUTE, 28.5) for n in range(4)]
    ingest.take_readings(feed, body(*rows, *levels), now())
    report = reported(person(city[A1]))
    stamp = phone(report.officer).get(f"{DOOR}/{report.pk}").json()["stamp"]
    assert stamp["gauge"] | {"distance_km": 0} == {
        "station": "near", "name": "station near", "distance_km": 0, "rain_60min_mm": 15.0, "share": 0.5,
    }  # fmt: skip
    assert (stamp["street"]["region"], stamp["street"]["station_max_mm"]) == (A, 15.0)
    lake, stream = stamp["levels"]
    assert (lake["station"], lake["level_m"], lake["limit_m"], lake["over_m"]) == ("lake", 28.5, 28.0, 0.5)
    assert (stream["station"], stream["level_m"], stream["limit_m"]) == ("stream", None, 5.0)

    ingest.take_readings(
        feed, body(rain("near", at + 5 * MINUTE, 9.0), stage("lake", at + 5 * MINUTE, 29.0)), now()
    )
    assert phone(report.officer).get(f"{DOOR}/{report.pk}").json()["stamp"] == stamp


def test_no_rain_known_is_not_no_rain(city: Regions) -> None:
    make_station("near", StationKind.RAIN, A)
    stamp = reported(person(city[A1])).stamp
    assert (stamp["gauge"]["rain_60min_mm"], stamp["gauge"]["share"], stamp["levels"]) == (None, 0, [])
    assert (stamp["street"]["station_max_mm"], stamp["street"]["mean_mm"]) == (None, None)


@pytest.mark.parametrize(
    "change", ["text = ''", "stamp = '{}'", "lon = lon + 1", "at = now()", "severity = 'minor'"]
)
def test_the_database_keeps_what_was_reported(city: Regions, change: str) -> None:
    reported(person(city[A1]), photos=files(photo()))
    with pytest.raises(DatabaseError, match="evidence"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE hazards_groundreport SET {change}")
    with pytest.raises(DatabaseError, match="evidence"), transaction.atomic():
        GroundPhoto.objects.update(body=b"")


def test_photos_are_kept_byte_for_byte_in_the_order_they_came(city: Regions) -> None:
    bodies = [photo(), photo("PNG"), photo("WEBP"), photo() + b"a film behind it"]
    report = reported(person(city[A1]), photos=files(*bodies))
    answer = phone(report.officer).get(f"{DOOR}/{report.pk}").json()
    kinds = [(one["number"], one["media_type"]) for one in answer["photos"]]
    assert kinds == [(1, "image/jpeg"), (2, "image/png"), (3, "image/webp"), (4, "image/jpeg")]
    for number, sent in enumerate(bodies, start=1):
        got = phone(report.officer).get(f"{DOOR}/{report.pk}/photos/{number}")
        assert (got.content, got["X-Content-Type-Options"]) == (sent, "nosniff")
        assert got["Content-Disposition"].startswith("attachment")
        assert (
            phone(report.officer).get(got.wsgi_request.path, HTTP_IF_NONE_MATCH=got["ETag"]).status_code
            == 304
        )
    assert phone(report.officer).get(f"{DOOR}/{report.pk}/photos/5").status_code == 404


def test_photos_go_so_many_days_after_the_report_was_closed_and_nothing_else_does(
    city: Regions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(ground, "PHOTOS_AT_ONCE", 2)
    officer, keeper = signed_in((city[A1], Duty.REPORTER)), desk(city[A])
    sent = {"photos": files(*[photo()] * 3), "client_id": "draft 8"}
    closed = GroundReport.objects.get(pk=send(officer, **sent).json()["id"])
    still_open = reported(person(city[A1]), photos=files(photo()))
    assert act(keeper, closed, "close", reason="handled", note="已排除").status_code == 200
    closed.refresh_from_db()
    assert closed.closed_at is not None
    late = closed.closed_at + timedelta(days=30, seconds=1)
    assert ground.forget_photos(now=late + timedelta(days=9999), keep_days=0) == 0
    assert ground.forget_photos(now=late - timedelta(seconds=2), keep_days=30) == 0
    assert ground.forget_photos(now=late, keep_days=30) == 3
    assert [photo.report_id for photo in GroundPhoto.objects.all()] == [still_open.pk]
    told = [line for line in caplog.messages if line.startswith("ground.photos_forgotten")]
    assert len(told) == 2 and all(f"reports=[{closed.pk}]" in line for line in told)
    sent["photos"] = files(*[photo()] * 3)
    again = send(officer, **sent).json()  # his phone had never heard of it
    assert (again["id"], again["photos"], GroundPhoto.objects.count()) == (closed.pk, [], 1)
    assert len(phone(keeper).get(f"{DOOR}/{closed.pk}").json()["events"]) == 2


def test_sent_again_from_a_dead_spot_it_is_one_report(city: Regions) -> None:
    reporter = signed_in((city[A1], Duty.REPORTER))
    key = {"HTTP_IDEMPOTENCY_KEY": "draft 7"}
    first = send(reporter, photos=files(photo()), **key)
    again = send(reporter, photos=files(photo()), **key)  # another boundary: other bytes
    by_field = send(reporter, photos=files(photo()), client_id="draft 7")
    assert [one.status_code for one in (first, again, by_field)] == [201, 201, 201]
    assert first.json() == again.json() == by_field.json()
    assert {one.json()["id"] for one in (first, again, by_field)} == {first.json()["id"]}
    other = send(reporter, photos=files(photo(colour="red")), **key)
    assert (other.status_code, other.json()["code"]) == (409, "key_reused")
    assert send(person(city[A1]), client_id="draft 7").status_code == 201  # another's draft
    assert (GroundReport.objects.count(), GroundPhoto.objects.count(), GroundEvent.objects.count()) == (
        2,
        1,
        2,
    )


@pytest.mark.django_db(transaction=True)
def test_two_sent_at_once_are_one_report() -> None:
    made = make_regions()
    reporter = person(made[A], Duty.REPORTER)
    scope = scope_of(reporter.pk, now())
    same = read_report(
        {"kind": "trapped", "severity": "extreme", "lon": 114.12, "lat": 22.55, "client_id": "1"},
        {"photos": files(photo())},
    )

    def work(_: int) -> tuple[int, bool]:
        try:
            report, new = ground.report(reporter.pk, scope, same, now=now())
            return report.pk, new
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as workers:
        answers = list(workers.map(work, range(8)))
    assert len({pk for pk, _ in answers}) == 1
    assert [new for _, new in answers].count(True) == 1
    assert (len(told()), GroundPhoto.objects.count()) == (1, 1)


def test_a_draft_keeps_its_hour_and_no_clock_runs_ahead_or_years_behind(city: Regions) -> None:
    officer, at = person(city[A1]), now()
    late = reported(officer, at=(at - 5 * HOUR).isoformat())
    assert (late.at, late.received_at >= at) == (at - 5 * HOUR, True)
    ahead = reported(officer, at=(at + 5 * HOUR).isoformat())
    assert ahead.at == ahead.received_at
    old = reported(officer, at="2001-01-01T00:00:00+08:00")
    assert old.at == old.received_at - timedelta(days=3)


@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({"kind": "flood"}, {"kind"}),
        ({"kind": "other", "text": " "}, {"text"}),
        ({"severity": ""}, {"severity"}),
        ({"lon": "east", "lat": "nan"}, {"lon", "lat"}),
        ({"lon": 22.55, "lat": 114.12}, {"lat"}),
        ({"lon": 116.4, "lat": 39.9}, {"lon", "lat"}),
        ({"lat": ""}, {"lat"}),
        ({"text": "水" * 501}, {"text"}),
        ({"text": "a\0b"}, {"text"}),
        ({"client_id": "x" * 129}, {"client_id"}),
        ({"at": "yesterday"}, {"at"}),
        ({"colour": "red"}, {"colour"}),
        ({"photo": files(photo())}, {"photo"}),
        ({"photos": "no file"}, {"photos"}),
        ({"photos": files(b"%PDF-1.7 %%EOF")}, {"photos"}),
        ({"photos": files(photo("PNG")[:40])}, {"photos"}),
        ({"photos": files(b"")}, {"photos"}),
        ({"photos": files(*[photo()] * (MOST_PHOTOS + 1))}, {"photos"}),
        ({"photos": files(photo() + b"\0" * 10 * 1024 * 1024)}, {"photos"}),
        (
            {"kind": "", "severity": "", "lon": "", "photos": files(b"?")},
            {"kind", "severity", "lon", "photos"},
        ),
    ],
)
def test_every_fault_is_named_and_nothing_is_kept_of_a_faulty_report(
    city: Regions, fields: dict[str, Any], faulty: set[str]
) -> None:
    officer = person(city[A1])
    answers = {
        language: send(officer, HTTP_ACCEPT_LANGUAGE=language, **{**fields, **rewound(fields)})
        for language in ("zh", "en")
    }
    for answer in answers.values():
        assert (answer.status_code, answer.json()["code"]) == (400, "ground_report")
        assert set(answer.json()["fields"]) == faulty
        assert not any(" / " in why for why in answer.json()["fields"].values())
    assert "重新提交" in answers["zh"].json()["message"]
    assert "send it again" in answers["en"].json()["message"]
    assert not GroundReport.objects.exists()
    assert not AuditEntry.objects.exists()


def rewound(fields: dict[str, Any]) -> dict[str, Any]:
    """Files were read to their end by the answer before."""
    for name, value in fields.items():
        if isinstance(value, list):
            for file in value:
                file.seek(0)
            return {name: value}
    return {}


def test_a_phone_without_photos_may_send_json(city: Regions) -> None:
    api = phone(person(city[A1]))
    assert api.post(DOOR, said(), format="json").status_code == 201
    for odd in ([], "text", None, {**said(), "kind": ["tree"]}, {**said(), "lon": True}):
        assert api.post(DOOR, odd, format="json").json()["code"] == "ground_report"


def test_who_holds_no_post_cannot_report(city: Regions) -> None:
    officer = person(city[A1], Duty.CANARY)
    Post.objects.filter(officer=officer).delete()
    answer = send(officer)
    assert (answer.status_code, answer.json()["code"]) == (403, "no_post")


def test_reports_are_shown_where_they_lie_and_to_who_sent_them(city: Regions) -> None:
    reporter = person(city[C1], Duty.REPORTER)
    report = reported(reporter, A1, photos=files(photo()))
    sees = {
        reporter: True,  # outside his own region
        person(city[A1]): True,
        desk(city[A]): True,
        desk(city[CITY]): True,
        person(city[A2]): False,
        desk(city[B]): False,
        desk(city[WEST]): False,
    }
    for officer, seen in sees.items():
        api = phone(officer)
        paths = (f"{DOOR}/{report.pk}", f"{DOOR}/{report.pk}/photos/1")
        assert [api.get(path).status_code for path in paths] == [200 if seen else 404] * 2
        assert [one["id"] for one in api.get(DOOR).json()["results"]] == ([report.pk] if seen else [])
    assert phone(desk(city[WEST])).post(f"{DOOR}/{report.pk}/close", {}, format="json").status_code == 404


def test_the_list_is_asked_by_region_and_by_what_is_open(city: Regions) -> None:
    officer, chief = person(city[EAST]), desk(city[EAST])
    first, second, third = (reported(officer, spot) for spot in (A1, B1, A2))
    assert act(chief, third, "close", reason="handled", note="已抽排").status_code == 200

    def ids(**asked: str) -> list[int]:
        answer = phone(chief).get(DOOR, asked)
        assert answer.status_code == 200, answer.content
        return [one["id"] for one in answer.json()["results"]]

    assert ids() == [third.pk, second.pk, first.pk]
    assert ids(region=A) == [third.pk, first.pk]
    assert ids(open="1") == [second.pk, first.pk]
    assert ids(open="0", region=A) == [third.pk]
    for outside in (CITY, WEST, "nowhere"):
        assert phone(chief).get(DOOR, {"region": outside}).status_code == 404


def test_a_page_costs_the_same_however_many_reports_and_photos(city: Regions) -> None:
    officer, api = person(city[EAST]), phone(desk(city[EAST]))
    counts = []
    for _ in range(3):
        for spot in (A1, A2, B1):
            reported(officer, spot, photos=files(photo(), photo("PNG")))
        with CaptureQueriesContext(connection) as queries:
            answer = api.get(DOOR, {"region": EAST, "open": "1"}).json()
        counts.append(len(queries))
        assert "body" not in "".join(query["sql"] for query in queries if "groundphoto" in query["sql"])
    assert len(answer["results"]) == 9
    assert counts == [5, 5, 5]


def test_pages_follow_each_other_without_a_gap(city: Regions) -> None:
    officer = person(city[A1])
    made = [reported(officer).pk for _ in range(52)]
    first = phone(officer).get(DOOR).json()
    second = phone(officer).get(first["next"]).json()
    assert [one["id"] for one in first["results"] + second["results"]] == made[::-1]


def test_what_may_be_the_same_danger_is_shown_together_and_merged_by_nobody(city: Regions) -> None:
    lon, lat = 114.12, 22.55
    officer, at = person(city[EAST]), now() - 3 * HOUR

    def put(**fields: Any) -> GroundReport:
        return reported(officer, **{"at": at.isoformat(), "lon": lon, "lat": lat} | fields)

    one = put()
    same = [
        put(lat=lat + 0.00134),  # 149 m
        put(lon=lon + 0.00145),  # 149 m on this latitude
        put(at=(at + 2 * HOUR).isoformat()),
        put(at=(at - 2 * HOUR).isoformat()),
    ]
    put(lat=lat + 0.00136)  # 151 m
    put(lon=lon + 0.00147)
    put(at=(at + 2 * HOUR + MINUTE).isoformat())
    put(kind="tree")
    answer = phone(officer).get(f"{DOOR}/{one.pk}").json()
    assert answer["near"] == {"count": 4, "ids": [each.pk for each in same]}
    assert GroundReport.objects.filter(status="received").count() == 9


def test_near_tells_nothing_of_what_the_reader_may_not_see(city: Regions) -> None:
    lon, lat = 114.1275, 22.55  # between two communities
    here, there = person(city[A1]), person(city[A2])
    mine = reported(here, lon=lon - 0.0003, lat=lat)
    other = reported(there, lon=lon + 0.0003, lat=lat)
    assert (mine.region_id, other.region_id) == (A1, A2)
    seen = {officer: phone(officer).get(f"{DOOR}/{mine.pk}").json() for officer in (here, desk(city[A]))}
    assert [one["near"]["ids"] for one in seen.values()] == [[], [other.pk]]


@pytest.mark.parametrize(
    ("fields", "grave"),
    [
        ({"kind": "trapped", "severity": "minor"}, True),
        ({"kind": "tree", "severity": "extreme"}, True),
        ({"kind": "landslide", "severity": "severe"}, False),
    ],
)
def test_a_grave_report_is_told_to_the_desks_of_its_place_and_above_at_once(
    city: Regions, fields: dict[str, str], grave: bool
) -> None:
    desks = [desk(city[code]) for code in (A, EAST, CITY)]
    for code in (B, WEST, C):
        desk(city[code])
    person(city[A1])
    report = reported(person(city[A1], Duty.REPORTER), **fields)
    dispatch.take_up(now=now())
    lines = Delivery.objects.filter(dispatch__bulletin__about=f"hazard/{report.pk}")
    assert {line.officer_id for line in lines} == ({officer.pk for officer in desks} if grave else set())
    if grave:
        bulletin = lines[0].dispatch.bulletin
        assert (bulletin.urgency, bulletin.requires) == (4, "confirm")
        assert report.text in bulletin.body_zh and report.text not in bulletin.push_zh
        assert not any(
            report.officer.name in text for text in (bulletin.title_zh, bulletin.body_zh, bulletin.push_zh)
        )


def test_every_report_is_in_the_audit_log(city: Regions) -> None:
    report = reported(person(city[A1]))
    entry = AuditEntry.objects.get()
    assert (entry.actor_id, entry.act, entry.object) == (
        report.officer_id,
        "hazard.report",
        f"hazard:{report.pk}",
    )
    event = GroundEvent.objects.get()
    assert (event.before, event.after, iso(event.at)) == ("", "received", iso(report.received_at))


@pytest.mark.django_db(transaction=True)
def test_water_that_cannot_be_read_loses_no_report(caplog: pytest.LogCaptureFixture) -> None:
    city = spread_out(make_regions())
    officer = person(city[A])
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE hydrology_latest RENAME TO away")
        try:
            report = reported(officer)
        finally:
            cursor.execute("ALTER TABLE away RENAME TO hydrology_latest")
    assert report.stamp == {}
    assert "ground.no_stamp" in caplog.text
