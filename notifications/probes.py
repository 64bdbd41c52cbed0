"""点名: a harmless message that wants one tap, so that a desk knows before the rain who would answer.

Leaves a Bulletin and an audit entry; its taps are receipts like any other and count for the coverage.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from alerts.assessment.wording import PUSH_EN, PUSH_ZH, Words
from alerts.bulletins import issue
from alerts.models import Bulletin, BulletinKind, Requires
from foundation.clock import iso, local
from foundation.errors import Refusal, not_found
from foundation.scope import Scope
from hydrology.models import Region
from notifications.preview import preview
from notifications.reach import reach_of
from officers import audit
from officers.turns import in_turn

ANSWER_WITHIN = timedelta(minutes=30)
VALIDITY = timedelta(hours=12)
APART = timedelta(minutes=10)  # two of one area, so that nobody is rung for nothing
ABOUT = "probe/"
NAMED = 5  # areas named in the words


@transaction.atomic
def call(
    areas: Sequence[str], duties: Sequence[str], text: str, officer: int, scope: Scope, *, now: datetime
) -> Bulletin:
    """Ask everybody with these duties in these areas for a tap. Raises Refusal `area`, `nobody`, `probe_too_soon`."""
    codes = sorted(set(areas))
    regions = {region.code: region for region in Region.objects.filter(code__in=codes)}
    for code in codes:
        if code not in regions or not scope.sees(regions[code].path):
            raise not_found("区域", "area")
        scope.require_desk(regions[code].path)
    in_turn("probe")  # two desks at once would ring everybody twice
    if _just_called([region.path for region in regions.values()], now):
        raise Refusal(
            "probe_too_soon",
            zh=f"{APART.seconds // 60} 分钟内已对其中的区域点过名，请稍后再试。",
            en=f"One of these areas was called within the last {APART.seconds // 60} minutes; try again later.",
            status=409,
        )
    if not preview(codes, list(duties), now)["officers"]:
        raise Refusal(
            "nobody",
            zh="所选区域和岗位没有任何人员，请重新选择。",
            en="Nobody holds these duties in these areas; choose again.",
            status=409,
        )
    told = issue(
        _words([regions[code].name for code in codes], codes, text, now),
        now=now,
        kind=BulletinKind.MESSAGE,
        urgency=0,
        level="probe",
        areas=codes,
        duties=list(duties),
        about=f"{ABOUT}{now:%Y%m%dT%H%M%S}-{codes[0]}",
        reasons={"officer": officer},
        requires=Requires.CONFIRM,
        deadline_at=now + ANSWER_WITHIN,
        valid_until=now + VALIDITY,
        caused_at=now,
    )
    audit.record(officer, "probe.call", f"bulletin:{told.pk}", {"areas": codes, "duties": list(duties)}, now)
    return told


def _just_called(paths: list[str], now: datetime) -> bool:
    """Whether one of these regions, a part of it or the whole around it has been called within APART."""
    called = Bulletin.objects.filter(about__startswith=ABOUT, issued_at__gt=now - APART)
    codes = {code for areas in called.values_list("areas", flat=True) for code in areas}
    before = Region.objects.filter(code__in=codes).values_list("path", flat=True)
    return any(path.startswith(other) or other.startswith(path) for path in paths for other in before)


def recent(scope: Scope, limit: int = 20) -> list[dict[str, Any]]:
    """The newest calls that touched the caller's desks, each with how far it came among his people."""
    paths = (*scope.desk_paths, *scope.command_paths)
    mine = list(Region.objects.within(*paths).values_list("code", flat=True))
    above = {code for path in paths for code in path.strip("/").split("/")}
    rows = Bulletin.objects.filter(about__startswith=ABOUT, areas__overlap=[*mine, *above]).order_by("-id")
    return [
        {
            "id": told.pk,
            "areas": told.areas,
            "duties": told.duties,
            "issued_at": iso(told.issued_at),
            "deadline_at": iso(told.deadline_at),
            **{
                name: value
                for name, value in reach_of(told.pk, paths, limit=1).items()
                if name in {"total", "confirmed", "delivered", "failed"}
            },
        }
        for told in rows[:limit]
    ]


def _words(names: list[str], codes: list[str], text: str, now: datetime) -> Words:
    until = local(now + ANSWER_WITHIN)
    more_zh, more_en = ("等", " and others") if len(names) > NAMED else ("", "")
    where_zh, where_en = "、".join(names[:NAMED]) + more_zh, ", ".join(codes[:NAMED]) + more_en
    return Words(
        title_zh="【点名】请点击签到",
        title_en="[Roll call] One tap, please",
        push_zh=f"【点名】请于{until:%H:%M}前点击确认，无需其他操作。"[:PUSH_ZH],
        push_en=f"[Roll call] Tap to confirm by {until:%H:%M}; nothing else is needed."[:PUSH_EN],
        body_zh=f"{where_zh}：请于{until:%H:%M}前点击确认，以核实联络畅通。{text}".strip(),
        body_en=f"{where_en}: tap to confirm by {until:%H:%M}, so that we know you can be reached. {text}".strip(),
    )
