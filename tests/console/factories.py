"""Rows of a small duty room: the wet city's streets, people on them, a bulletin on its way."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from alerts.models import Bulletin, BulletinKind, Requires
from escalation.models import Climb, ClimbState
from hydrology.models import Region
from notifications import months
from notifications.models import Delivery, Dispatch, Errand, State
from officers import roster
from officers.models import Duty, Officer, Post
from tests.hydrology.factories import NOW

HOUR = timedelta(hours=1)
_phones = count(13_800_000_000)


def make_officer(region: Region, duty: Duty = Duty.FLOOD) -> Officer:
    """An officer with one post in the region."""
    phone = str(next(_phones))
    officer = roster.enrol([roster.officer_row(f"officer {phone[-4:]}", phone)])[0]
    Post.objects.create(officer=officer, duty=duty, region=region, valid_from=NOW - HOUR)
    return officer


def make_bulletin(requires: Requires = Requires.CONFIRM, **fields: Any) -> Bulletin:
    words = {name: name for name in ("title_zh", "title_en", "push_zh", "push_en", "body_zh", "body_en")}
    defaults = {
        "kind": BulletinKind.WARNING, "urgency": 3, "level": "alert", "areas": ["4403"], "duties": ["flood"],
        "valid_until": NOW + HOUR, "caused_at": NOW, "issued_at": NOW,
    }  # fmt: skip
    return Bulletin.objects.create(requires=requires, **words | defaults | fields)


def make_dispatch(
    people: Iterable[tuple[Region, State]],
    *,
    bulletin: Bulletin | None = None,
    errand: Errand = Errand.FIRST,
    expires_at: datetime = NOW + HOUR,
) -> Dispatch:
    """A dispatch with one delivery for each (region, state), each to a new officer of that region."""
    bulletin = bulletin or make_bulletin()
    lines = list(people)
    dispatch = Dispatch.objects.create(
        bulletin=bulletin, errand=errand, drill=bulletin.drill, created_at=NOW, expires_at=expires_at,
        recipients=len(lines),
    )  # fmt: skip
    months.turn(NOW)  # whatever month another test has turned to: there is room
    Delivery.objects.bulk_create(
        Delivery(dispatch=dispatch, officer=make_officer(region), region=region, state=state, due_at=NOW)
        for region, state in lines
    )
    return dispatch


def make_climb(delivery: Delivery, rung: int = 1, state: ClimbState = ClimbState.CLIMBING) -> Climb:
    return Climb.objects.create(
        delivery=delivery, rungs=["repeat", "deputy"], waits_s=[120, 120, 120], rung=rung, state=state,
        due_at=NOW + HOUR, started_at=NOW,
    )  # fmt: skip
