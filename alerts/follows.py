"""Followed stations: an officer's own thresholds, kept, shown with the live level, and told once when passed.

Owns Follow. `tell_followers` is woken with the watch over levels and leaves one bulletin for each station and threshold
to exactly those who follow it. A good, fresh reading at or above the threshold tells; then nothing more is told until
the level has been REARM_M below it. A stale or doubted reading tells nothing. Metres in the station's own datum.
"""

import logging
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from alerts.assessment.wording_levels import follow_words
from alerts.bulletins import issue
from alerts.models import BulletinKind, Follow, Requires, WarningLevel
from foundation.clock import iso, local
from foundation.errors import Refusal, not_found
from foundation.scope import Scope
from hydrology.batch import places_of
from hydrology.feeds.clock import water_clock
from hydrology.models import LEVEL_KINDS, SeasonLimit, Station
from hydrology.science.quality import Quality
from hydrology.science.readings import Element
from hydrology.science.stages import STALE
from hydrology.standing import Item, item_of, season_limits

log = logging.getLogger(__name__)

REARM_M = 0.05
MOST = 50  # follows an officer
VALIDITY = timedelta(hours=2)


@transaction.atomic
def follow(officer_id: int, scope: Scope, code: str, threshold_m: float | None, *, now: datetime) -> bool:
    """Follow a station of the caller's waters, or change the threshold; whether he had not followed it before.

    Raises Refusal: 404 outside his waters, 400 for a station without a level or a threshold its level can never have,
    409 beyond MOST.
    """
    station = Station.objects.within(*scope.water_paths).filter(pk=code).first()
    if station is None:
        raise not_found("测站", "station")
    if station.kind not in LEVEL_KINDS:
        raise Refusal(
            "no_level",
            zh=f"{station.name}没有水位，只能关注水库、河道和潮位站。",
            en=f"{station.pk} has no level: only reservoirs, rivers and tide posts can be followed.",
        )
    if threshold_m is not None:
        _check_threshold(station, threshold_m)
    held = {row.station_id: row for row in Follow.objects.select_for_update().filter(officer_id=officer_id)}
    if known := held.get(code):
        if known.threshold_m != threshold_m:
            known.threshold_m, known.told_at = threshold_m, None
            known.save(update_fields=["threshold_m", "told_at"])
        return False
    # counted after the lock: another request of the same officer may have added one meanwhile
    if Follow.objects.filter(officer_id=officer_id).count() >= MOST:
        raise Refusal(
            "too_many_follows",
            zh=f"最多关注 {MOST} 个测站，请先取消一些。",
            en=f"At most {MOST} stations can be followed; give up some first.",
            status=409,
        )
    _, made = Follow.objects.get_or_create(
        officer_id=officer_id, station_id=code, defaults={"threshold_m": threshold_m, "created_at": now}
    )
    return made


def unfollow(officer_id: int, code: str) -> None:
    """Nothing to give up is no fault: afterwards he does not follow it."""
    Follow.objects.filter(officer_id=officer_id, station_id=code).delete()


def followed(officer_id: int, scope: Scope, *, now: datetime) -> dict[str, Any]:
    """`{as_of, items}`: what he follows in his waters, each with its live level item. Four queries."""
    as_of = water_clock(now)
    rows = {row.station_id: row for row in Follow.objects.filter(officer_id=officer_id).order_by("station")}
    posts = list(Station.objects.within(*scope.water_paths).filter(pk__in=list(rows)).level_posts())
    season_m = season_limits(SeasonLimit.objects.filter(reservoir__in=list(rows)), local(as_of).date())
    return {
        "as_of": iso(as_of),
        "items": [
            _shown(rows[post["code"]], item_of(post, season_m.get(post["code"]), as_of)) for post in posts
        ],
    }


def _shown(row: Follow, level: Item) -> dict[str, Any]:
    """`passed` is null without a threshold and where nobody can know: stale, doubted or no reading."""
    known = level["quality"] == Quality.GOOD.name.lower() and level["status"] != "stale"
    return {
        "station": row.station_id,
        "threshold_m": row.threshold_m,
        "passed": level["level_m"] >= row.threshold_m if known and row.threshold_m is not None else None,
        "told_at": iso(row.told_at),
        "created_at": iso(row.created_at),
        "level": level,
    }


def _check_threshold(station: Station, threshold_m: float) -> None:
    limits = places_of({station.pk})[station.pk].stage
    if not limits.low <= threshold_m <= limits.high:
        raise Refusal(
            "threshold_out_of_range",
            zh=f"阈值应在 {limits.low:g} 至 {limits.high:g} 米之间（{station.datum}）。",
            en=f"The threshold must lie between {limits.low:g} and {limits.high:g} m ({station.datum}).",
            fields={"threshold_m": "not a level this station can have"},
        )


@transaction.atomic
def tell_followers(*, now: datetime) -> int:
    """Tell everybody whose threshold is passed and who has not been told; returns the bulletins issued.

    One at a time a follow: a row another sweep is at is left to it.
    """
    parameters = {
        "stage": Element.STAGE.value,
        "good": int(Quality.GOOD),
        "since": water_clock(now) - STALE,
        "rearm_m": REARM_M,
    }
    groups: dict[tuple[str, float], list[tuple[int, int]]] = defaultdict(list)
    readings: dict[str, tuple[float, datetime]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_REARM, parameters)
        cursor.execute(_PASSED, parameters)
        for pk, officer, code, threshold_m, level_m, observed_at in cursor.fetchall():
            groups[code, threshold_m].append((pk, officer))
            readings[code] = level_m, observed_at
    stations = Station.objects.select_related("region").in_bulk(list(readings))
    for (code, threshold_m), rows in sorted(groups.items()):
        _tell(stations[code], threshold_m, *readings[code], rows, now)
    return len(groups)


def _tell(
    station: Station,
    threshold_m: float,
    level_m: float,
    observed_at: datetime,
    rows: list[tuple[int, int]],
    now: datetime,
) -> None:
    Follow.objects.filter(pk__in=[pk for pk, _ in rows]).update(told_at=observed_at)
    issue(
        follow_words(station.name, station.region.name, level_m, threshold_m, station.datum, observed_at),
        now=now,
        kind=BulletinKind.LEVEL,
        urgency=WarningLevel.NOTICE,
        level=WarningLevel.NOTICE.name.lower(),
        areas=[station.region_id],
        duties=[],
        officers=sorted(officer for _, officer in rows),
        about=f"station/{station.pk}",
        reasons={
            "station": station.pk,
            "threshold_m": threshold_m,
            "level_m": level_m,
            "slot_at": observed_at.isoformat(),
        },
        requires=Requires.NONE,
        valid_until=now + VALIDITY,
        caused_at=now,
    )
    log.info("follow.told station=%s threshold_m=%s officers=%s", station.pk, threshold_m, len(rows))


_REARM = """
UPDATE alerts_follow f SET told_at = NULL
FROM hydrology_latest l
WHERE f.told_at IS NOT NULL AND l.station_id = f.station_id AND l.element = %(stage)s AND l.quality = %(good)s
  AND l.observed_at > f.told_at AND l.value < f.threshold_m - %(rearm_m)s
"""
_PASSED = """
SELECT f.id, f.officer_id, f.station_id, f.threshold_m, l.value, l.observed_at
FROM alerts_follow f JOIN hydrology_latest l ON l.station_id = f.station_id AND l.element = %(stage)s
WHERE f.told_at IS NULL AND l.quality = %(good)s AND l.observed_at >= %(since)s AND l.value >= f.threshold_m
ORDER BY f.id FOR UPDATE OF f SKIP LOCKED
"""
