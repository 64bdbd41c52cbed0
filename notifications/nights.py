"""The nightly proof of coverage: once a day what is faulty is written down, and the desks are told of their red list.

Owns CoverageNight. Woken every 15 minutes; a night that was slept through is made up as soon as somebody wakes.
"""

import logging
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from alerts.assessment.wording import PUSH_EN, PUSH_ZH, Words
from alerts.bulletins import issue
from alerts.models import BulletinKind, Requires
from foundation.clock import local
from hydrology.models import Level, Region
from notifications.coverage import coverage
from notifications.models import CoverageNight

log = logging.getLogger(__name__)

FROM_HOUR = 1  # Shenzhen's; before it the night belongs to the day before
VALIDITY = timedelta(hours=20)
NIGHT_LOCK = 0x5E9_0004  # any constant, used nowhere else
GRAVE = {"no_responder": ("无人负责", "nobody there"), "no_live_device": ("无可用设备", "nobody reachable")}
NAMED = 5  # places named in the words


def prove(*, now: datetime) -> bool:
    """Tonight's row and the messages to the desks, once a day; returns whether it was made now."""
    day = (local(now) - timedelta(hours=FROM_HOUR)).date()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [NIGHT_LOCK])
            if not cursor.fetchone()[0]:
                return False
        if CoverageNight.objects.filter(day=day).exists():
            return False
        cities = list(Region.objects.filter(level=Level.CITY).order_by("code"))
        found = coverage([city.path for city in cities], now)
        faulty = [item for item in found["items"] if item["faults"]]
        CoverageNight.objects.create(day=day, made_at=now, places=found["places"], items=faulty)
        districts = Region.objects.filter(level=Level.DISTRICT).order_by("code")
        below = {region.code: region.path for region in [*cities, *districts]}
        paths = dict(
            Region.objects.filter(code__in={item["region"] for item in faulty}).values_list("code", "path")
        )
        for region in [*cities, *districts]:
            its = [item for item in faulty if paths[item["region"]].startswith(below[region.code])]
            if grave := [item for item in its if set(item["faults"]) & set(GRAVE)]:
                _tell(region, grave, len(its), day.isoformat(), now)
    log.info("coverage.night day=%s places=%s faulty=%s", day, found["places"], len(faulty))
    return True


def nights(paths: tuple[str, ...], limit: int = 30) -> list[dict[str, Any]]:
    """The newest nights, each `{day, made_at, places, faulty, faults: {fault: places}}` of what lies below the paths.

    `places` counts the whole city.
    """
    shown = []
    known = dict(Region.objects.within(*paths).values_list("code", "path"))
    for night in CoverageNight.objects.order_by("-day")[:limit]:
        its = [item for item in night.items if item["region"] in known]
        faults = Counter(fault for item in its for fault in item["faults"])
        shown.append(
            {
                "day": night.day,
                "made_at": night.made_at,
                "places": night.places,
                "faulty": len(its),
                "faults": dict(faults),
            }
        )
    return shown


def _tell(region: Region, grave: list[dict[str, Any]], faulty: int, day: str, now: datetime) -> None:
    names = [item["name"] for item in grave[:NAMED]]
    counts = Counter(fault for item in grave for fault in item["faults"] if fault in GRAVE)
    zh = "，".join(f"{GRAVE[fault][0]}{count}处" for fault, count in sorted(counts.items()))
    en = ", ".join(f"{count} with {GRAVE[fault][1]}" for fault, count in sorted(counts.items()))
    more_zh, more_en = ("等", " and others") if len(grave) > NAMED else ("", "")
    issue(
        Words(
            title_zh=f"【覆盖】{region.name}责任缺口 {len(grave)} 处",
            title_en=f"[Coverage] {region.code}: {len(grave)} places without anybody",
            push_zh=f"【覆盖】{region.name}：{zh}，请尽快补齐。"[:PUSH_ZH],
            push_en=f"[Coverage] {region.code}: {en}. Fill the gaps."[:PUSH_EN],
            body_zh=f"{region.name}夜间覆盖核查：{zh}。{'、'.join(names)}{more_zh}。另有其他问题{faulty - len(grave)}处，"
            "详见覆盖页。",
            body_en=f"Nightly coverage of {region.code}: {en}: {', '.join(names)}{more_en}. {faulty - len(grave)} more have "
            "lesser faults; see the coverage page.",
        ),
        now=now,
        kind=BulletinKind.MESSAGE,
        urgency=0,
        level="coverage",
        areas=[region.code],
        duties=["desk"],
        about=f"coverage/{day}",
        requires=Requires.OPEN,
        valid_until=now + VALIDITY,
        caused_at=now,
    )
