"""Reports from the ground (灾情险情上报): taken once, put where they lie, with the water there; a grave one told at once.

Owns GroundReport, GroundPhoto and GroundEvent; what becomes of a report: ground_acts.py. Woken by an officer's phone.
Leaves, for a grave report, a Bulletin to the duty desks of its place and above. What a report must look like:
ground_form.py; the water beside it: ground_stamp.py. Merges nothing: what may be the same danger is shown together
(`near`), a person says so.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from django.db import connection, transaction

from alerts.assessment.wording import Words
from alerts.bulletins import issue
from alerts.models import BulletinKind, Requires, WarningLevel
from foundation.errors import Refusal
from foundation.scope import Scope
from hazards import ground_words
from hazards.ground_form import Said, refused
from hazards.ground_stamp import Stamp, stamp_of
from hazards.models import GroundEvent, GroundKind, GroundPhoto, GroundReport, GroundSeverity
from hydrology.models import Region
from hydrology.science.grids import KM_PER_DEGREE
from hydrology.zones import place_at
from officers import audit

log = logging.getLogger(__name__)

OLDEST = timedelta(days=3)  # a draft may have waited so long for a signal
VALIDITY = timedelta(hours=12)
PHOTOS_AT_ONCE = 100  # one is up to 5,000 rows of 2 KB behind its own
NEAR_M: Final = 150
NEAR_FOR: Final = timedelta(hours=2)
URGENCY = {  # as of warnings; from alert on it is chased
    GroundSeverity.MINOR: WarningLevel.NOTICE,
    GroundSeverity.MODERATE: WarningLevel.ATTENTION,
    GroundSeverity.SEVERE: WarningLevel.ALERT,
    GroundSeverity.EXTREME: WarningLevel.EMERGENCY,
}
KEY_REUSED = Refusal(
    "key_reused",
    zh="该 client_id 已用于另一条上报。原上报已收到；如有新情况，请换新的 client_id 重新上报。",
    en="This client_id belongs to another report, which has been received. For something new use a new one.",
    status=409,
    fields={"client_id": "已使用 / used"},
)
NO_POST = Refusal(
    "no_post",
    zh="您当前没有在任岗位，不能上报。请联系值班室，紧急情况请拨打 119 或 110。",
    en="You hold no post at present and cannot report. Ask the duty desk; in an emergency call 119 or 110.",
    status=403,
)


def report(officer_id: int, scope: Scope, said: Said, *, now: datetime) -> tuple[GroundReport, bool]:
    """(the report, whether it is new): the same `client_id` again is the same report.

    It belongs to the region where it lies, be it none of his. Raises Refusal `no_post`, `ground_report` outside the city,
    `key_reused`.
    """
    if not scope.paths:
        raise NO_POST
    client_id = said.client_id or uuid4().hex
    if known := GroundReport.objects.filter(officer=officer_id, client_id=client_id).first():
        return _same(known, said), False
    region = Region.objects.filter(pk=place_at(said.lon, said.lat)).first()
    if region is None:
        outside = "不在本市范围内，请核对定位 / outside the city; check the position"
        raise refused({"lon": outside, "lat": outside})
    stamp = _stamp(region, said, now)
    with transaction.atomic():
        made, new = GroundReport.objects.get_or_create(
            officer_id=officer_id,
            client_id=client_id,
            defaults={
                "digest": said.digest, "kind": said.kind, "severity": said.severity, "lon": said.lon,
                "lat": said.lat, "region": region, "text": said.text, "received_at": now, "stamp": stamp,
                "at": min(max(said.at or now, now - OLDEST), now),
            },
        )  # fmt: skip
        if not new:
            return _same(made, said), False
        GroundPhoto.objects.bulk_create(
            GroundPhoto(
                report=made, number=number, media_type=photo.media_type, sha256=photo.sha256,
                size=len(photo.body), body=photo.body,
            )
            for number, photo in enumerate(said.photos, start=1)
        )  # fmt: skip
        note_step(made, "report", officer_id, now)
        if made.grave:
            say(made, ground_words.told_at_once(danger_of(made)), now, officers=[])
    log.info("ground.reported id=%s kind=%s severity=%s region=%s photos=%s",
             made.pk, made.kind, made.severity, region.pk, len(said.photos))  # fmt: skip
    return made, True


def forget_photos(*, now: datetime, keep_days: int) -> int:
    """Delete photos of reports closed more than `keep_days` ago (0: none); the report and its digest stay. Returns how many."""
    if not keep_days:
        return 0
    before, gone = now - timedelta(days=keep_days), 0
    old = GroundPhoto.objects.filter(report__closed_at__lt=before).order_by("pk")
    while rows := list(old.values_list("pk", "report", "size")[:PHOTOS_AT_ONCE]):
        ids, made, sizes = zip(*rows, strict=True)
        GroundPhoto.objects.filter(pk__in=ids).delete()
        gone += len(ids)
        log.info("ground.photos_forgotten n=%s bytes=%s closed_before=%s reports=%s",
                 len(ids), sum(sizes), before.isoformat(), sorted({*made}))  # fmt: skip
    return gone


def near(reports: Iterable[GroundReport], officer_id: int, scope: Scope) -> dict[int, list[int]]:
    """By report the others of its kind within 150 m and 2 h that the officer may see. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            _NEAR,
            {
                "reports": [made.pk for made in reports],
                "officer": officer_id,
                "paths": list(scope.paths),
                "within": NEAR_FOR,
                "degrees": NEAR_M / 1000 / KM_PER_DEGREE,
            },
        )
        return dict(cursor.fetchall())


def places(regions: Iterable[Region]) -> dict[str, str]:
    """By code the names from the district down. One query."""
    paths = {region.pk: region.path.split("/")[1:-1] for region in regions}
    wanted = {code for codes in paths.values() for code in codes}
    names = dict(Region.objects.filter(pk__in=wanted).values_list("code", "name"))
    return {code: "".join(names[each] for each in codes) for code, codes in paths.items()}


def _same(known: GroundReport, said: Said) -> GroundReport:
    if known.digest != said.digest:
        raise KEY_REUSED
    return known


def _stamp(region: Region, said: Said, now: datetime) -> Stamp:
    """No report is lost for the water's sake: what cannot be read is left out, and logged."""
    try:
        return stamp_of(region, said.lon, said.lat, now)
    except Exception:
        log.exception("ground.no_stamp region=%s", region.pk)
        return {}


def note_step(
    made: GroundReport,
    verb: str,
    officer_id: int,
    now: datetime,
    *,
    before: str = "",
    assignee: int | None = None,
    note: str = "",
) -> None:
    """The event of this change and its entry in the audit log; call inside its transaction."""
    GroundEvent.objects.create(
        report=made,
        at=now,
        actor_id=officer_id,
        before=before,
        after=made.status,
        assignee_id=assignee,
        note=note,
    )
    detail = {"status": made.status, "assignee": made.assignee_id, "duplicate_of": made.duplicate_of_id}
    audit.record(officer_id, f"hazard.{verb}", f"hazard:{made.pk}", detail, now)


def say(
    made: GroundReport,
    said: Words,
    now: datetime,
    *,
    officers: list[int | None],
    requires: Requires = Requires.CONFIRM,
) -> None:
    """To these persons; to none: to the duty desks of its region and above."""
    urgency = WarningLevel.EMERGENCY if made.grave else URGENCY[GroundSeverity(made.severity)]
    if requires is not Requires.CONFIRM:
        urgency = WarningLevel.NOTICE
    issue(
        said,
        now=now,
        kind=BulletinKind.MESSAGE,
        urgency=urgency,
        level=urgency.name.lower(),
        areas=[made.region_id],
        duties=[],
        officers=officers,
        about=f"hazard/{made.pk}",
        reasons={"hazard": made.pk, "status": made.status},
        requires=requires,
        valid_until=now + VALIDITY,
        drill=False,
        caused_at=now,
    )


def danger_of(made: GroundReport) -> ground_words.Danger:
    return ground_words.Danger(
        GroundKind(made.kind), GroundSeverity(made.severity), places([made.region])[made.region_id],
        made.lon, made.lat, made.text, made.at, made.stamp,
    )  # fmt: skip


_NEAR = """
SELECT one.id, array_agg(other.id ORDER BY other.id)
FROM hazards_groundreport one
JOIN hazards_groundreport other ON other.kind = one.kind AND other.id <> one.id
    AND other.at BETWEEN one.at - %(within)s AND one.at + %(within)s
    AND power(other.lat - one.lat, 2) + power((other.lon - one.lon) * cos(radians(one.lat)), 2) <= power(%(degrees)s, 2)
JOIN hydrology_region r ON r.code = other.region_id
WHERE one.id = ANY(%(reports)s)
  AND (other.officer_id = %(officer)s OR other.assignee_id = %(officer)s
       OR EXISTS (SELECT 1 FROM unnest(%(paths)s::text[]) own WHERE starts_with(r.path, own)))
GROUP BY one.id
"""
