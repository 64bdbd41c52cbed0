"""The after-action report: what fell, what was said, who heard it and when, what came late. Reads only.

Everything is counted from the ledger by set-based SQL, limited by region paths in the query itself, in a number of
queries that does not grow with the season (report_ledger.py). No names and no numbers of persons. The span (since, until] is the
ledger's own clock: dispatches by their making, warnings by their events, orders by their issue. Drills are counted
apart. Rain is report_rain.py's, the drawing report_pdf.py's and the page's.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from alerts.models import (
    BulletinKind,
    Hazard,
    ResponseLevel,
    ResponseOrder,
    Warning,
    WarningAction,
    WarningEvent,
    WarningLevel,
)
from console import report_ledger
from console.report_rain import rain_curve
from foundation.clock import iso
from foundation.errors import Refusal
from hydrology.models import Region, path_filter
from monitoring.models import Seal
from notifications.reach import told_of

LONGEST = timedelta(days=400)
CHAINED = (BulletinKind.WARNING, BulletinKind.ORDER)  # told one by one; the others only in the sums
Row = dict[str, Any]


def report(since: datetime, until: datetime, paths: tuple[str, ...], now: datetime) -> Row:
    """What happened in (since, until] below `paths`, as JSON-ready values; shapes are those of the parts below.

    Raises Refusal 400 unless since < until and the span is at most 400 days.
    """
    if not since < until or until - since > LONGEST:
        raise Refusal(
            "bad_span",
            zh=f"since 须早于 until，且时段不超过 {LONGEST.days} 天。请修改时段。",
            en=f"since must lie before until, at most {LONGEST.days} days apart. Change the span.",
            fields={"since": str(iso(since)), "until": str(iso(until))},
        )
    said = report_ledger.said(since, until, paths)
    told = [line for line in said if line["kind"] in CHAINED]
    reached = told_of([line["id"] for line in told], paths)
    for line in told:
        line["nobody"] = reached[line["id"]][1]
    warnings = _warnings(since, until, paths)
    orders = _orders(since, until, paths, told)
    return {
        "since": iso(since),
        "until": iso(until),
        "made_at": iso(now),
        "regions": list(
            Region.objects.filter(path__in=paths).order_by("path").values("code", "name", "level")
        ),
        "after_min": list(report_ledger.AFTER_MIN),
        "counters": _counters(said, warnings, orders),
        "rain": rain_curve(since, until, paths),
        "warnings": warnings,
        "orders": orders,
        "bulletins": told,
        "curves": report_ledger.curves(said),
        "streets": _names({code for line in told for code in line["nobody"]}),
        "late": report_ledger.late(since, until, paths, now),
        "faults": report_ledger.faults(since, until, paths),
        "fatigue": report_ledger.fatigue(since, until, paths),
        "seal": _newest_seal(until),
    }


def _newest_seal(until: datetime) -> Row | None:
    """The newest seal of the logs this report is read from: who keeps it can prove later that nothing was changed since."""
    row = Seal.objects.filter(made_at__lte=until).order_by("-id").values("id", "made_at", "digest").first()
    return row and {**row, "made_at": iso(row["made_at"])}


def _warnings(since: datetime, until: datetime, paths: tuple[str, ...]) -> list[Row]:
    """Warnings with a step in the span, each with those steps; `at` is data time (END of the slot)."""
    mine = Warning.objects.filter(
        path_filter("region__path", paths) | path_filter("streets__region__path", paths)
    )
    events = (
        WarningEvent.objects.filter(warning__in=mine, created_at__gt=since, created_at__lte=until)
        .select_related("warning__region")
        .defer("reasons")
        .order_by("warning_id", "id")
    )
    found: dict[int, Row] = {}
    for event in events:
        warning = event.warning
        row = found.setdefault(
            warning.pk,
            {
                "id": warning.pk,
                "hazard": warning.hazard,
                "region": warning.region_id,
                "name": warning.region.name,
                "peak_level": WarningLevel(warning.peak_level).name.lower(),
                "raised_at": iso(warning.raised_at),
                "ended_at": iso(warning.ended_at),
                "drill": warning.drill,
                "raised": False,  # in the span
                "steps": [],
            },
        )
        row["raised"] = row["raised"] or event.action == WarningAction.RAISE
        row["steps"].append(
            {
                "at": iso(event.at),
                "action": event.action,
                "level": WarningLevel(event.level).name.lower(),
                "streets": len(event.areas),
            }
        )
    return list(found.values())


def _orders(since: datetime, until: datetime, paths: tuple[str, ...], told: list[Row]) -> list[Row]:
    """Orders that went out in the span by an authority in scope or to people in scope; one taken back in time is none."""
    people = {line["order"]: line["people"] for line in told if line["order"]}
    issued = (
        ResponseOrder.objects.filter(path_filter("authority__path", paths) | Q(pk__in=people))
        .filter(released_at__gt=since, released_at__lte=until)
        .select_related("authority")
        .order_by("released_at", "id")
    )
    return [
        {
            "id": order.pk,
            "hazard": order.hazard,
            "level": ResponseLevel(order.level).code,
            "authority": order.authority_id,
            "name": order.authority.name,
            "title_zh": order.title_zh,
            "title_en": order.title_en,
            "status": order.status,
            "drill": order.drill,
            "issued_at": iso(order.released_at),
            "people": people.get(order.pk, 0),
        }
        for order in issued
    ]


def _counters(said: list[Row], warnings: list[Row], orders: list[Row]) -> Row:
    """The season as the bureau's letter counts it, drills apart: {real, drill} of
    warnings (短临预警 raised), reminders (their first deliveries), orders (防御部署指令 issued), notices (theirs).

    A first delivery is one person addressed by one bulletin; repeats, deputies and desks called by the escalation
    are not in it (see `late.calls`). Level notices of reservoirs, rivers and tides are `levels`, `level_reminders`.
    """

    def people(kind: BulletinKind, drill: bool) -> int:
        return sum(line["people"] for line in said if line["kind"] == kind and line["drill"] == drill)

    def raised(drill: bool, rain: bool) -> int:
        return sum(
            row["raised"] and row["drill"] == drill and (row["hazard"] == Hazard.RAINSTORM) == rain
            for row in warnings
        )

    return {
        name: {
            "warnings": raised(drill, rain=True),
            "reminders": people(BulletinKind.WARNING, drill),
            "orders": sum(row["drill"] == drill for row in orders),
            "notices": people(BulletinKind.ORDER, drill),
            "levels": raised(drill, rain=False),
            "level_reminders": people(BulletinKind.LEVEL, drill),
        }
        for name, drill in (("real", False), ("drill", True))
    }


def _names(codes: Iterable[str]) -> dict[str, str]:
    return dict(Region.objects.filter(code__in=codes).order_by("code").values_list("code", "name"))
