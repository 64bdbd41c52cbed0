"""Somebody in the field needs help: a message to the duty desk above him, chased until confirmed. While one waits for its
confirmation no other is made; after it, the next call is a new one.

Called by receipts.py in the receipt's own transaction. Leaves a Bulletin; writes nothing else. The push says which
region and nothing of the person; his name and note stand in the body, which only the inbox shows.
"""

import logging
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef

from alerts.assessment.wording import (
    DRILL_EN,
    DRILL_END_EN,
    DRILL_END_ZH,
    DRILL_ZH,
    PUSH_EN,
    PUSH_ZH,
    TITLE_EN,
    TITLE_ZH,
    Words,
)
from alerts.bulletins import issue
from alerts.models import Bulletin, BulletinKind, Requires
from foundation.clock import local
from hydrology.models import Region
from notifications import months
from notifications.models import Delivery, State
from officers.models import Duty, Officer, Post

log = logging.getLogger(__name__)

VALIDITY = timedelta(hours=2)
CONFIRM_WITHIN = timedelta(minutes=5)
URGENCY = 3  # chased
AFTER_END = timedelta(hours=2)  # of the message he answers; for an older one the receipt alone is kept
LATE = timedelta(minutes=10)  # a call older than this says when it was made


def call_for_help(officer: int, asked: dict[int, tuple[str, datetime]], *, now: datetime) -> None:
    """One message for the officer who asks for help, none while one waits for an answer; call inside a transaction.

    `asked` is by delivery (note, the phone's time); of several the newest delivery that is no drill speaks.
    """
    rows = Delivery.objects.filter(
        id__in=asked, officer=officer, dispatch__bulletin__valid_until__gt=now - AFTER_END
    ).select_related("dispatch__bulletin", "region", "officer")
    if row := rows.order_by("dispatch__bulletin__drill", "-id").first():
        told, region = row.dispatch.bulletin, row.region
        Officer.objects.select_for_update(of=("self",), no_key=True).get(pk=officer)  # two requests at once
        taken = Delivery.objects.filter(
            id__gte=months.open_since(now), dispatch__bulletin=OuterRef("pk"), state=State.CONFIRMED
        )
        if Bulletin.objects.filter(
            ~Exists(taken),
            kind=BulletinKind.MESSAGE,
            about__startswith="help/",
            valid_until__gt=now,
            reasons__officer=officer,
            drill=told.drill,  # a drill's call hides no real one
        ).exists():
            return
        note, at = asked[row.pk]
        desk = _desk_above(region, row.officer_id, now)
        if not desk:
            log.warning("help.no_desk delivery=%s region=%s", row.pk, region.pk)
        issue(
            _words(
                region.name,
                row.officer.name,
                told.title_zh,
                told.title_en,
                note,
                at if now - at > LATE else None,
                told.drill,
            ),
            now=now,
            kind=BulletinKind.MESSAGE,
            urgency=URGENCY,
            level="help",
            areas=[region.pk],
            duties=[Duty.DESK.value],
            officers=desk,
            about=f"help/{row.pk}",
            reasons={"officer": officer, "delivery": row.pk, "bulletin": told.pk, "region": region.pk},
            requires=Requires.CONFIRM,
            deadline_at=now + CONFIRM_WITHIN,
            valid_until=now + VALIDITY,
            drill=told.drill,
            drill_of_id=told.drill_of_id,
            caused_at=now,
        )


def _desk_above(region: Region, asker: int, now: datetime) -> list[int]:
    """Who staffs the nearest duty desk at or above the region, himself left out; empty where there is none."""
    codes = region.path.strip("/").split("/")
    posts = Post.objects.active(now).filter(duty=Duty.DESK, region__in=codes).exclude(officer=asker)
    by_code: dict[str, list[int]] = {}
    for code, officer in posts.order_by("officer").values_list("region_id", "officer_id"):
        by_code.setdefault(code, []).append(officer)
    return next((by_code[code] for code in reversed(codes) if code in by_code), [])


def _words(
    place: str, name: str, title_zh: str, title_en: str, note: str, since: datetime | None, drill: bool
) -> Words:
    mark_zh, mark_en = (DRILL_ZH, DRILL_EN) if drill else ("", "")
    end_zh, end_en = ([DRILL_END_ZH], [DRILL_END_EN]) if drill else ([], [])
    if since is not None:  # late out of a dead spot
        when_zh, when_en = (
            f"{local(since):%m-%d %H:%M}（手机时间）",
            f" (at {local(since):%m-%d %H:%M}, phone's time)",
        )
    else:
        when_zh, when_en = "", ""
    return Words(
        title_zh=f"{mark_zh}【求助】{place}责任人请求支援"[:TITLE_ZH],
        title_en=f"{mark_en}[Help] The officer of {place} asks for help"[:TITLE_EN],
        push_zh=f"{mark_zh}【求助】{place[:20]}责任人请求支援，请查看并确认。"[:PUSH_ZH],
        push_en=f"{mark_en}[Help] An officer of {place[:40]} asks for help. Read and confirm."[:PUSH_EN],
        body_zh="\n".join(
            [
                f"{mark_zh}{place}，{name}{when_zh}在执行“{title_zh}”时请求支援。",
                f"说明：{note or '未填写'}",
                *end_zh,
            ]
        ),
        body_en="\n".join(
            [
                f'{mark_en}{place}: {name} asks for help with "{title_en}"{when_en}.',
                f"Note: {note or 'none'}",
                *end_en,
            ]
        ),
    )
