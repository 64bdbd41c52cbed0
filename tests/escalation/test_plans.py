"""Whatever the planner believes: nothing that is asked while people wait compares every line with every other.

PostgreSQL plans what was written a moment ago as if it were one row, and 20,000 rows compared with 20,000 took minutes,
in some runs only. Here every statement of an order's way is run in a city where nobody answers, and PostgreSQL itself
says (auto_explain) how many rows its plan went over. So many a person is linear; every one with every other is not.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import orjson
import psycopg
import pytest
from django.db import connection

from alerts.models import Bulletin
from escalation import audit, climb
from escalation.models import Climb, ClimbState
from foundation.clock import now
from hydrology.models import Region
from monitoring import watchman
from notifications import delivery, dispatch, nights, receipts
from notifications.models import Delivery, Errand, ReceiptState
from notifications.transports.base import Outcome, OutcomeKind
from officers import roster
from officers.models import Device, Duty, Platform, Post, Rank
from tests.alerts.conftest import signed_in
from tests.console.factories import make_bulletin, make_officer
from tests.hydrology.factories import make_regions

PEOPLE, STREETS = 2000, ("440303001", "440303002", "440304001")
# of the dearest statement: in this city a silent A has up to 34 deputies. PEOPLE were every one with every other
ROWS_A_PERSON = 500


def rows_of(plan: dict) -> int:
    """Rows that this node and all below it went over."""
    own = sum(
        plan.get(name, 0)
        for name in (
            "Actual Rows",
            "Rows Removed by Filter",
            "Rows Removed by Join Filter",
            "Rows Removed by Index Recheck",
        )
    )
    return int(own * plan.get("Actual Loops", 0)) + sum(map(rows_of, plan.get("Plans", ())))


@pytest.fixture
def work(db: None) -> Iterator[dict[str, int]]:
    """By statement, the most rows that one run of it went over."""
    found: dict[str, int] = {}

    def hear(said: psycopg.errors.Diagnostic) -> None:
        _, _, plan = (said.message_primary or "").partition("plan:\n")
        if plan:
            told = orjson.loads(plan)
            text = " ".join(told["Query Text"].split())
            found[text] = max(found.get(text, 0), rows_of(told["Plan"]))

    with connection.cursor() as cursor:
        cursor.execute("LOAD 'auto_explain'")
        for name, value in (
            ("auto_explain.log_min_duration", "0"), ("auto_explain.log_analyze", "on"), ("auto_explain.log_timing", "off"),
            ("auto_explain.log_format", "json"), ("client_min_messages", "log"),
        ):  # fmt: skip
            cursor.execute(f"SET {name} = {value}")
    connection.connection.add_notice_handler(hear)
    yield found
    connection.connection.remove_notice_handler(hear)
    with connection.cursor() as cursor:
        cursor.execute("SET auto_explain.log_min_duration = -1")
        cursor.execute("RESET client_min_messages")


def settle_down() -> dict[str, Region]:
    """The wet city with PEOPLE, each with a phone: of twenty one is a B, and he and one A fill one position."""
    regions = make_regions()
    began = now() - timedelta(days=1)
    make_officer(regions["4403"], Duty.DESK)
    people = roster.enrol([roster.officer_row(f"officer {n}", f"139{n:08}") for n in range(PEOPLE)])
    roster.appoint([
        Post(
            officer=officer, duty=Duty.FLOOD, region=regions[STREETS[n % 3]], valid_from=began,
            rank=Rank.B if n // 3 % 20 == 19 else Rank.A, position=str(n // 60) if n // 3 % 20 > 17 else "",
        )
        for n, officer in enumerate(people)
    ])  # fmt: skip
    Device.objects.bulk_create(
        Device(officer=officer, platform=Platform.ANDROID, provider="fcm", token=f"t{n}", registered_at=began)
        for n, officer in enumerate(people)
    )
    return regions


def told(at: datetime, **fields: object) -> Bulletin:
    """A bulletin of urgency 4 to the whole city, dispatched."""
    given = {"urgency": 4, "issued_at": at, "caused_at": at, "valid_until": at + timedelta(hours=3)}
    said = make_bulletin(**given | fields)
    dispatch.take_up(now=at)
    return said


def send(at: datetime) -> None:
    """Everything due by push is claimed and taken by the vendor."""
    while claims := delivery.claim(at):
        took = {
            (one.id, device): Outcome(one.id, OutcomeKind.SENT) for one in claims for device in one.devices
        }
        delivery.settle(claims, took, at)


def analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


@pytest.mark.parametrize("known", ["people", "yesterday"])
def test_no_statement_compares_every_line_with_every_other(work: dict[str, int], known: str) -> None:
    """PostgreSQL knows the people only, as on the first day, or yesterday's lines as well. Never what is told now."""
    settle_down()
    at = now()
    if known == "people":
        analyze()
    for n in range(3):
        told(at - timedelta(days=1, minutes=n), valid_until=at - timedelta(hours=1))
    if known == "yesterday":
        analyze()
    work.clear()
    said = told(at, thread="storm", valid_until=at + timedelta(seconds=1300))
    send(at)
    lines = list(Delivery.objects.filter(dispatch__bulletin=said).order_by("id").values_list("id", "officer"))
    assert len(lines) > PEOPLE
    for n, (line, officer) in enumerate(lines[:60]):
        word = ReceiptState.CANNOT if n % 20 == 0 else ReceiptState.CONFIRMED
        receipts.take(officer, [receipts.Answer(line, word, at)], source="http", now=at)
    for seconds in (60, 150, 210, 390, 450, 990):
        climb.sweep(now=at + timedelta(seconds=seconds))
        send(at + timedelta(seconds=seconds))
        deputies = Delivery.objects.filter(dispatch__errand=Errand.DEPUTY).order_by("id")[:30]
        for line, officer in deputies.values_list("id", "officer"):
            receipts.take(officer, [receipts.Answer(line, ReceiptState.CONFIRMED, at)], source="http", now=at)
    assert Climb.objects.filter(state=ClimbState.EXHAUSTED).count() > PEOPLE // 4
    assert not Climb.objects.filter(state=ClimbState.CLIMBING).exists()
    audit.look(now=at + timedelta(seconds=990))
    watchman.sweep(clock=lambda: at + timedelta(seconds=990))
    nights.prove(now=at + timedelta(seconds=990))
    pages(said)
    # told anew, and chased for what was told before again when that is over
    told(at + timedelta(seconds=1000), thread="storm", valid_until=at + timedelta(seconds=1100))
    for seconds in (1061, 1101, 1110):
        climb.sweep(now=at + timedelta(seconds=seconds))
    # renewed in place, and chased for that when what rang is over
    renewed = told(at + timedelta(seconds=1200), thread="storm", renews=True)
    assert Delivery.objects.filter(dispatch__bulletin=renewed, quiet=True).count() > PEOPLE // 2
    for seconds in (1301, 1361, 1400):
        climb.sweep(now=at + timedelta(seconds=seconds))
    assert Climb.objects.filter(delivery__dispatch__bulletin=renewed).count() > PEOPLE // 2
    dearest = sorted(work.items(), key=lambda item: -item[1])
    assert dearest[0][1] <= ROWS_A_PERSON * PEOPLE, dearest[0]


def pages(said: Bulletin) -> None:
    """Everything a desk opens about it."""
    client = signed_in((Region.objects.get(pk="4403"), Duty.DESK))
    first = said.dispatches.get(errand=Errand.FIRST).pk
    someone = Delivery.objects.filter(dispatch=first).order_by("id")[100]
    for page in (
        "inbox", "coverage", "calls", "calls?open=1", "console/map", "console/dispatches",
        f"console/dispatches/{first}", f"dispatches/{first}/people", f"dispatches/{first}/people/{someone.officer_id}",
        f"console/regions/{STREETS[0]}/reach", "console/report", "warnings", "drills", "me",
    ):  # fmt: skip
        answer = client.get(f"/api/v1/{page}")
        assert answer.status_code == 200, (page, answer.content)
    for page in ("/metrics", "/readyz"):
        client.get(page)
