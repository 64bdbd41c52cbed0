"""核实: rain heavy enough for a warning that quality control doubts, put before the duty desk. Only writer of Check.

Woken by the watch, inside its slot's transaction, and by the desk's answer. Leaves a Check (one open a station) and a
message to the desks of the station's district and above; a check that is still open is told of again when the doubt
comes back after RETOLD_AFTER. An answer holds for a time: `broken` leaves the station out, `real` takes its doubts off.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from alerts.assessment import rules
from alerts.assessment.check_words import Doubtful, check_words
from alerts.bulletins import issue
from alerts.models import BulletinKind, Check, CheckAnswer, Requires
from alerts.rain import RainPicture, Suspect
from foundation.errors import Refusal, not_found
from foundation.scope import Scope
from hydrology.models import Region, Station, path_filter

log = logging.getLogger(__name__)

BELIEVED_FOR = timedelta(hours=3)
RETOLD_AFTER = timedelta(hours=6)
VALIDITY = timedelta(hours=2)
URGENCY = 2  # told at once, not chased
LEAST_HOURS, DEFAULT_HOURS, MOST_HOURS = 1, 24, 72
MOST_LISTED = 200


@dataclass(frozen=True, slots=True)
class Answers:
    """What the desks' answers still say: stations left out, stations believed."""

    broken: frozenset[str]
    believed: frozenset[str]


def answers_in_force(now: datetime) -> Answers:
    """The newest answer for a station counts; one query."""
    rows = (
        Check.objects.filter(Q(excluded_until__gt=now) | Q(answered_at__gt=now - BELIEVED_FOR))
        .order_by("answered_at", "pk")
        .values_list("station_id", "answer", "excluded_until")
    )
    newest = {station: (answer, until) for station, answer, until in rows}
    return Answers(
        frozenset(s for s, (answer, until) in newest.items() if answer == CheckAnswer.BROKEN and until > now),
        frozenset(s for s, (answer, _) in newest.items() if answer == CheckAnswer.REAL),
    )


def raise_checks(seen: RainPicture, table: rules.Table, caused_at: datetime, now: datetime) -> int:
    """Open a check for every gauge whose doubted value would warn and is not confirmed; returns how many are told.

    Call inside the slot's transaction. No query when there is nothing.
    """
    heavy = [suspect for suspect in seen.suspects if _would_warn(suspect, seen, table)]
    if not heavy:
        return 0
    known = {
        check.station_id: check
        for check in Check.objects.open().select_for_update().filter(station__in=[s.station for s in heavy])
    }
    told: list[Check] = []
    for suspect in heavy:
        check = known.get(suspect.station)
        if check is None:
            check = Check(
                station_id=suspect.station, observed_at=seen.slot_at, value_mm=suspect.value_mm,
                why=suspect.why[:200], raised_at=now,
            )  # fmt: skip
            told.append(check)
        elif seen.slot_at - check.observed_at >= RETOLD_AFTER:
            check.observed_at, check.value_mm, check.why = seen.slot_at, suspect.value_mm, suspect.why[:200]
            check.raised_at = now
            told.append(check)
        else:
            check.value_mm = max(check.value_mm, suspect.value_mm)
    Check.objects.bulk_update(known.values(), ["observed_at", "value_mm", "why", "raised_at"])
    Check.objects.bulk_create([check for check in told if check.pk is None])
    _tell(told, seen.slot_at, caused_at, now)
    return len(told)


def _would_warn(suspect: Suspect, seen: RainPicture, table: rules.Table) -> bool:
    """Whether it would reach a level that nothing confirms."""
    here = () if suspect.impossible else seen.figures.get(suspect.place, ())
    ahead = [figure for figure in here if not figure.observed]
    confirmed = rules.assess(suspect.place, [*suspect.figures, *ahead], table)
    own = max((reason.level for reason in confirmed.reasons if reason.doubted), default=rules.Level.NONE)
    believed = [rules.Figure(f.window, f.value_mm, f.source, f.share, f.agree_mm) for f in suspect.figures]
    return rules.assess(suspect.place, believed, table).level > own


def _tell(checks: Sequence[Check], slot_at: datetime, caused_at: datetime, now: datetime) -> None:
    """One message a district."""
    stations = {
        s.pk: s
        for s in Station.objects.select_related("region").filter(pk__in=[c.station_id for c in checks])
    }
    by_district: dict[str, list[Check]] = defaultdict(list)
    for check in sorted(checks, key=lambda check: (-check.value_mm, check.station_id)):
        codes = stations[check.station_id].region.path.split("/")
        by_district[codes[1] or codes[0]].append(check)
    names = dict(Region.objects.filter(pk__in=by_district).values_list("code", "name"))
    for district, its in sorted(by_district.items()):
        doubtful = [
            Doubtful(check.station_id, stations[check.station_id].name, check.value_mm, check.why)
            for check in its
        ]
        issue(
            check_words(doubtful, names[district], slot_at),
            now=now,
            kind=BulletinKind.MESSAGE,
            urgency=URGENCY,
            level="check",
            areas=[district],
            duties=[],
            about=f"check/{its[0].pk}",
            reasons={"checks": [check.pk for check in its], "slot_at": slot_at.isoformat()},
            requires=Requires.OPEN,
            valid_until=now + VALIDITY,
            drill=False,
            caused_at=caused_at,
        )
        log.info("check.raised district=%s slot=%s checks=%s", district, slot_at, len(its))


def listed(scope: Scope, open_only: bool | None) -> QuerySet[Check]:
    """Checks of the regions whose desk the caller staffs, newest first, at most 200; None: open and answered ones."""
    rows = Check.objects.filter(path_filter("station__region__path", scope.desk_paths)).select_related(
        "station"
    )
    if open_only is not None:
        rows = rows.filter(answered_at__isnull=open_only)
    return rows.order_by("-raised_at", "-pk")[:MOST_LISTED]


@transaction.atomic
def answer(pk: int, said: str, hours: int, officer_id: int, scope: Scope, *, now: datetime) -> Check:
    """The desk of the region or above says what it found out; `hours` is how long a broken station is left out.

    Raises Refusal 404 outside the caller's water, 403 without the desk, 409 when it has been answered.
    """
    visible = path_filter("station__region__path", scope.water_paths)
    check = (
        Check.objects.filter(visible, pk=pk)
        .select_related("station__region")
        .select_for_update(of=("self",))
        .first()
    )
    if check is None:
        raise not_found("核实事项", "check")
    scope.require_desk(check.station.region.path)
    if check.answered_at is not None:
        raise Refusal(
            "check_answered",
            zh="该核实已有结论，不能更改。若情况有变，系统再次存疑时会重新提请核实。",
            en="This check has been answered and stays so. If it is doubted again, a new check will come.",
            status=409,
            fields={"answer": check.answer},
        )
    check.answer, check.answered_at, check.answered_by_id = said, now, officer_id
    check.excluded_until = now + timedelta(hours=hours) if said == CheckAnswer.BROKEN else None
    check.save(update_fields=["answer", "answered_at", "answered_by", "excluded_until"])
    log.info("check.answered id=%s answer=%s hours=%s", check.pk, said, hours)
    return check
