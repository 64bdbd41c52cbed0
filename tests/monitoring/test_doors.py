"""/metrics, /readyz and the service levels: who may read them, and that they say what is so."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries, Settings

from alerts.models import Bulletin
from foundation import clock
from foundation.wire import beat
from hydrology.models import FeedMark, Region
from monitoring import jobs, samples
from notifications import canaries, dispatch
from notifications.hub import SOCKETS
from notifications.models import Delivery
from officers.models import Duty, Officer
from tests.alerts.conftest import signed_in
from tests.hydrology.factories import make_feed
from tests.monitoring.conftest import CITY, STREET

TOKEN = "0123456789abcdef"
Regions = dict[str, Region]
Figures = dict[tuple[str, ...], float]


def scrape(**headers: str) -> Figures:
    """By name and label values (in the order of the labels' names), what Prometheus' own parser reads."""
    answer = Client().get("/metrics", headers=headers or None)
    assert answer.status_code == 200
    return {
        (one.name.removeprefix("yijiantong_"), *(one.labels[name] for name in sorted(one.labels))): one.value
        for family in text_string_to_metric_families(answer.content.decode())
        for one in family.samples
    }


@pytest.mark.parametrize(
    ("token", "peer", "headers", "status"),
    [
        ("", "127.0.0.1", {}, 200),
        ("", "::1", {}, 200),
        ("", "10.1.2.3", {}, 403),
        ("", "127.0.0.1", {"X-Forwarded-For": "10.1.2.3"}, 403),
        ("", "127.0.0.1", {"Forwarded": "for=10.1.2.3"}, 403),
        (TOKEN, "127.0.0.1", {}, 403),
        (TOKEN, "10.1.2.3", {"Authorization": f"Bearer {TOKEN}"}, 200),
        (TOKEN, "10.1.2.3", {"Authorization": "Bearer 0123456789abcdeX"}, 403),
    ],
)
def test_metrics_are_for_the_token_or_for_the_machine_itself(
    db: None, settings: Settings, token: str, peer: str, headers: dict[str, str], status: int
) -> None:
    settings.METRICS_TOKEN = token
    assert Client(REMOTE_ADDR=peer).get("/metrics", headers=headers).status_code == status


def test_metrics_say_what_waits_and_who_is_silent(
    regions: Regions, person: Callable[..., Officer], bulletin: Callable[..., Bulletin]
) -> None:
    for _ in range(3):
        person(regions[STREET])
    bulletin(STREET, urgency=3)
    dispatch.take_up(now=clock.now() - timedelta(seconds=100))
    jobs.watch("monitor.sweep", clock.now() - timedelta(seconds=61))
    beat(jobs.BEATS, "delivery.send", clock.now() - timedelta(seconds=60))
    beat(SOCKETS, "here:1", clock.now(), 17)
    beat(SOCKETS, "gone:2", clock.now() - timedelta(seconds=90), 5)
    read = scrape()
    line = ("life_safety", "pending", "fcm")
    assert (read["deliveries_waiting", *line], read["deliveries_due", *line]) == (3, 3)
    assert read["delivery_oldest_due_seconds", *line] >= 100
    assert read["fault", "backlog", "fcm"] == 3
    assert read["fault", "queue", "urgent"] == 6
    assert read["job_age_seconds", "delivery.send", "urgent"] >= 59
    assert {key: held for key, held in read.items() if key[0] == "sockets"} == {("sockets", "here:1"): 17}
    assert (read["message_people", "0"], read["climbs_due",]) == (3, 0)
    assert ("message_share_seconds", "90", "0", "accepted") not in read


def test_readyz_says_that_the_workers_are_dead(db: None) -> None:
    assert Client().get("/readyz").json()["workers"] is None
    jobs.watch("monitor.sweep", clock.now() - timedelta(seconds=40))
    beat(jobs.BEATS, "delivery.send", clock.now() - timedelta(seconds=61))
    answer = Client().get("/readyz")
    told = answer.json()
    assert (answer.status_code, told["ok"], told["workers"]) == (503, False, False)
    assert "urgent" in {one["of"] for one in told["faults"]}
    assert set(told["queues"]) >= {"delivery.send", "delivery.telephone", "dispatch.release"}
    beat(jobs.BEATS, "delivery.send", clock.now())
    assert Client().get("/readyz").json()["ok"] is True


@pytest.mark.parametrize(("token", "peer"), [("", "10.1.2.3"), (TOKEN, "127.0.0.1")])
def test_readyz_tells_strangers_only_whether_each_part_is_well(
    db: None, settings: Settings, token: str, peer: str
) -> None:
    settings.METRICS_TOKEN = token
    stranger, feed = Client(REMOTE_ADDR=peer), make_feed("secret-name")
    FeedMark.objects.create(feed=feed, received_at=clock.now(), good_at=clock.now())
    told = stranger.get("/readyz").json()
    assert {name for name, said in told.items() if said is not None and not isinstance(said, bool)} == set()
    assert (told["database"], told["redis"], told["deliveries"], told["feeds"]) == (True, True, True, True)
    quiet_at = clock.now() - timedelta(hours=1)
    FeedMark.objects.update(received_at=quiet_at, good_at=quiet_at)
    jobs.watch("monitor.sweep", clock.now() - timedelta(seconds=40))
    beat(jobs.BEATS, "delivery.send", clock.now() - timedelta(seconds=61))
    answer = stranger.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        503,
        {
            "ok": False, "database": True, "redis": True, "workers": False, "queues": False, "deliveries": True,
            "feeds": False,
        },
    )  # fmt: skip
    if token:
        assert "faults" in stranger.get("/readyz", headers={"Authorization": f"Bearer {token}"}).json()


@pytest.mark.parametrize(
    ("region", "duty", "status"),
    [
        (CITY, Duty.ENGINEER, 200), (CITY, Duty.DESK, 200), (CITY, Duty.FLOOD, 403), (CITY, Duty.CANARY, 403),
        ("440303", Duty.DESK, 403), (STREET, Duty.ENGINEER, 403),
    ],
)  # fmt: skip
def test_service_levels_are_for_the_citys_engineer_and_desk(
    regions: Regions, region: str, duty: Duty, status: int
) -> None:
    assert signed_in((regions[region], duty)).get("/api/v1/slo").status_code == status


def test_service_levels_are_told_in_the_readers_language_with_limit_reason_and_share(
    regions: Regions, person: Callable[..., Officer], bulletin: Callable[..., Bulletin]
) -> None:
    person(regions[STREET])
    person(regions[CITY], duty=Duty.CANARY)
    bulletin(STREET)
    at = clock.now()
    canaries.fly(now=at)
    dispatch.take_up(now=at)
    samples.take(now=at)
    api = signed_in((regions[CITY], Duty.ENGINEER))
    told = api.get("/api/v1/slo", headers={"Accept-Language": "en"}).json()
    rows = {row["key"]: row for row in told["indicators"]}
    assert rows["rule_lag_s"]["name"] == "Rule lag"
    assert (rows["rule_lag_s"]["now"], rows["rule_lag_s"]["good"]) == (0, True)
    assert rows["queue_lines"]["day"] == {"readings": 1, "good": 1}
    assert (rows["accepted_90_s"]["known"], rows["accepted_90_s"]["now"]) == (True, None)
    assert (rows["ingest_lag_s"]["known"], rows["ingest_lag_s"]["good"]) == (False, None)
    assert told["messages"][0]["people"] == 1
    assert told["canaries"][0]["over"] is False
    assert api.get("/api/v1/slo").json()["indicators"][0]["name"].startswith("数据时延")


def test_a_scrape_takes_a_fixed_number_of_queries(
    regions: Regions,
    person: Callable[..., Officer],
    bulletin: Callable[..., Bulletin],
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(4):
        person(regions[STREET])
        bulletin(STREET)
    dispatch.take_up(now=clock.now())
    assert Delivery.objects.exists()
    with django_assert_max_num_queries(24):
        scrape()
