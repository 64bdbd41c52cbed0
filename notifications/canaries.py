"""The canary phones: one a vendor, on a shelf, pushed to every three minutes, so that a vendor's silence is noticed dry.

A canary is an officer whose only post is `canary`; his phone is registered as any other, and its app answers a message
of kind `canary` with a receipt at once and shows nothing. The push goes by the ordinary ledger and the ordinary sender:
what it proves is the whole way there and back. The newest round's row is the clock. No figure of people counts a canary;
its rows are let go after a day (here, the ledger's only deletion), how each round went stays as a sample (monitoring).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import CharField, F, Min, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from alerts import bulletins
from alerts.assessment.wording import Words
from alerts.models import Bulletin, BulletinKind, Requires
from hydrology.models import Level, Region
from notifications import months, reports
from notifications.models import Delivery, Dispatch, Receipt
from notifications.providers import transports
from officers.models import Device, Duty, Post, PostQuerySet

EVERY = timedelta(minutes=3)
BACK_WITHIN = timedelta(seconds=60)  # there, shown by nobody, and back; the page's target is shorter
CANARY_LOCK = 0x5E9_0007  # any constant, used nowhere else
FROM_APP = ("http", "socket")  # Receipt.source; a vendor's own report does not prove the app
AT_ONCE = 500  # rounds a deletion
_WORDS = Words(
    title_zh="【系统】通道自检",
    title_en="[System] Channel check",
    push_zh="【系统】通道自检，无需操作。",
    push_en="[System] Channel check; nothing to do.",
    body_zh="通道自检，无需操作。",
    body_en="Channel check; nothing to do.",
)


@dataclass(frozen=True, slots=True)
class Flight:
    """One canary's part in one round. `provider` is "" when its phone was never registered."""

    provider: str
    officer: int
    bulletin: int
    told_at: datetime
    accepted_at: datetime | None
    back_at: datetime | None
    fault: str  # the vendor's or our own word for why it was not accepted

    @property
    def trip_s(self) -> float | None:
        """From our word to the receipt's arrival; None: not back."""
        return None if self.back_at is None else (self.back_at - self.told_at).total_seconds()

    def over(self, now: datetime) -> bool:
        """Nothing more is waited for."""
        return self.back_at is not None or now - self.told_at > BACK_WITHIN


def providers() -> frozenset[str]:
    """The push vendors that this installation has; each should have a canary."""
    return frozenset(transports())


def fly(*, now: datetime) -> Bulletin | None:
    """The next round, when it is due and there is a canary. Any number of callers at once make one round."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [CANARY_LOCK])
            if not cursor.fetchone()[0]:
                return None
        newest = Bulletin.objects.filter(kind=BulletinKind.CANARY).order_by("-id").first()
        if newest is not None and newest.issued_at > now - EVERY:
            return None
        held = posts(now).filter(
            officer__devices__provider__gt=""
        )  # one that was never registered proves nothing
        officers = held.order_by("officer").values_list("officer", flat=True).distinct()
        city = Region.objects.filter(level=Level.CITY).order_by("code").first()
        if city is None or not officers:
            return None
        return bulletins.issue(
            _WORDS,
            now=now,
            kind=BulletinKind.CANARY,
            urgency=1,  # not behind the routine: its delay is the vendor's, not a queue's
            level="canary",
            areas=[city.code],
            duties=[],
            officers=list(officers),
            about="canary",
            requires=Requires.NONE,
            valid_until=now + EVERY,
            drill=False,
            caused_at=now,
        )


def posts(now: datetime) -> PostQuerySet:
    """The canaries' posts in force."""
    return Post.objects.active(now).filter(duty=Duty.CANARY)


def flights(since: datetime) -> list[Flight]:
    """Of every round begun after `since`, each canary's part, oldest first."""
    phone = (
        Device.objects.filter(officer=OuterRef("officer"))
        .exclude(provider="")
        .order_by(F("retired_at").desc(nulls_first=True), "-id")
    )
    first = months.since_of(bulletin__kind=BulletinKind.CANARY, bulletin__issued_at__gt=since)
    came = (
        Receipt.objects.filter(delivery__gte=first, delivery=OuterRef("pk"), source__in=FROM_APP)
        .order_by()
        .values("delivery")
        .values(at=Min("received_at"))
    )
    rows = (
        Delivery.objects.filter(
            id__gte=first,
            dispatch__bulletin__kind=BulletinKind.CANARY,
            dispatch__bulletin__issued_at__gt=since,
        )
        .order_by("id")
        .values_list(
            Coalesce(Subquery(phone.values("provider")[:1]), Value(""), output_field=CharField()),
            "officer",
            "dispatch__bulletin",
            "dispatch__bulletin__issued_at",
            "sent_at",
            Subquery(came),
            "reason",
        )
    )
    return [Flight(*row) for row in rows]


def forget_old(*, now: datetime, keep_days: int) -> int:
    """Let the rows of old rounds go, 0 keeps for ever; returns how many rounds. Nothing of them is on its way any more."""
    if not keep_days:
        return 0
    before = now - timedelta(days=keep_days)
    old = Dispatch.objects.filter(bulletin__kind=BulletinKind.CANARY, created_at__lt=before)
    old = old.exclude(deliveries__receipts__form__isnull=False)  # a form is kept whoever sent it
    gone = 0
    while rounds := dict(old.order_by("pk").values_list("pk", "bulletin")[:AT_ONCE]):
        with transaction.atomic():
            lines = Delivery.objects.filter(id__gte=months.since_of(pk__in=rounds), dispatch__in=rounds)
            ids = list(lines.order_by("pk").select_for_update().values_list("pk", flat=True))
            Receipt.objects.filter(delivery__in=ids).delete()  # no receipt can come any more
            reports.let_go(ids)
            Delivery.objects.filter(pk__in=ids).delete()
            Dispatch.objects.filter(pk__in=rounds).delete()
            bulletins.forget_canaries(rounds.values())
        gone += len(rounds)
    return gone
