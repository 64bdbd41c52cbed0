"""The ledger: who is to hear which bulletin, what became of each delivery, what came back.

Single writers: dispatch.py (Dispatch, Delivery at PENDING), delivery.py (PENDING -> SENT / FAILED_*),
receipts.py (Receipt, DELIVERED -> OPENED -> CONFIRMED), nights.py (CoverageNight), telephony.py (deliveries by text
message and call, as delivery.py those by push), reports.py (ProviderReport), health.py (Provider). `Delivery.id` is the inbox's
`seq`: dispatch.py inserts under one advisory lock, so ids become visible in order and "since seq" misses nothing.
Deliveries and their receipts stand in one partition a month of these ids (months.py, ADR 16): what refers to them has no
foreign key in the database, and a query that does not bound the id looks into every month.
"""

from datetime import datetime
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.expressions import RawSQL

from alerts.models import Bulletin, BulletinKind
from hydrology.models import Region
from officers.models import Officer


class Errand(models.TextChoices):
    """Why a dispatch goes out."""

    FIRST = "first", "首发"
    REPEAT = "repeat", "重发"  # same person, same bulletin, rings again
    DEPUTY = "deputy", "转B角"
    SUPERIOR = "superior", "报上级值班"


class DispatchQuerySet(models.QuerySet["Dispatch"]):
    def to_people(self) -> Self:
        """What was said to somebody, not to a phone on a shelf."""
        return self.exclude(bulletin__kind=BulletinKind.CANARY)


class Dispatch(models.Model):
    """A bulletin and the snapshot of its audience."""

    bulletin = models.ForeignKey(Bulletin, models.PROTECT, related_name="dispatches")
    errand = models.CharField(max_length=16, choices=Errand, default=Errand.FIRST)
    drill = models.BooleanField()
    lead_zh = models.CharField(max_length=50, blank=True, help_text="said before the bulletin's own words")
    lead_en = models.CharField(max_length=160, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    recipients = models.PositiveIntegerField(default=0)
    first_line = models.BigIntegerField(
        db_default=0, help_text="none of its lines has a lower id; 0: not known (months.since_of)"
    )

    objects = DispatchQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["bulletin"], condition=Q(errand="first"), name="dispatch_first_once"
            )
        ]
        # from which line on what is not over stands: asked at every claim (months.open_since)
        indexes = [models.Index(fields=["expires_at", "first_line"], name="dispatch_open_since")]


class State(models.TextChoices):
    """Where one person's delivery stands; forward only in this order of arrival."""

    PENDING = "pending", "待发"  # nobody has tried
    SENDING = "sending", "发送中"  # a sender holds it until due_at; then it is anybody's again
    FAILED_TEMP = "failed_temp", "待重试"  # the vendor said later; due_at says when
    FAILED_PERM = "failed_perm", "未送达"  # no live device, or refused for good; `reason` says why
    SENT = "sent", "已推送"  # a vendor accepted it for at least one device
    DELIVERED = "delivered", "已送达"  # the phone says it has it
    SHOWN = "shown", "已展示"  # the phone says it stands on its screen
    OPENED = "opened", "已打开"
    CONFIRMED = "confirmed", "已确认"


class Lane(models.IntegerChoices):
    """Which of two that are due goes first. Decided when the line is written, from the bulletin."""

    LIFE_SAFETY = 0, "生命安全"  # urgency 3 and above, and never an exercise
    PROMPT = 1, "一般"  # every other warning, order and message that says something new
    BULK = 2, "批量"  # routine, and whatever is a drill


LIFE_SAFETY_URGENCY = 3
# of the bulletin `b`, in SQL
LANE = f"""CASE WHEN b.drill OR b.urgency = 0 THEN {Lane.BULK}
             WHEN b.urgency >= {LIFE_SAFETY_URGENCY} THEN {Lane.LIFE_SAFETY} ELSE {Lane.PROMPT} END"""

# Of each dispatch of the lines `taken` by a claim, in SQL: when it expires, and why it is said no more (empty: it is). An
# order or a warning that is over calls nobody to it; its own end asks for nothing and goes out. Of a drill that rests or is
# over only what is said of the drill itself. Once a dispatch: a claim has a thousand lines of it.
SAID = """said AS MATERIALIZED (
    SELECT s.id, s.bulletin_id, s.expires_at,
           CASE WHEN b.requires IN ('confirm', 'report')
                     AND (w.ended_at IS NOT NULL OR r.status IN ('withdrawn', 'ended', 'superseded')) THEN 'over'
                WHEN g.state IN ('paused', 'ended') AND b.about <> 'drill/' || g.id THEN 'drill_' || g.state
                ELSE '' END AS no_more
    FROM notifications_dispatch s
    JOIN alerts_bulletin b ON b.id = s.bulletin_id
    LEFT JOIN alerts_warning w ON w.id = b.warning_id
    LEFT JOIN alerts_responseorder r ON r.id = b.order_id
    LEFT JOIN alerts_drill g ON g.id = b.drill_of_id
    WHERE s.id IN (SELECT dispatch_id FROM taken)
)"""

RANK = {state: rank for rank, state in enumerate(State)}
UNSENT = (State.PENDING, State.SENDING, State.FAILED_TEMP)
ANSWERED = (State.OPENED, State.CONFIRMED)
NO_DEVICE, DEAD_TOKEN = "no_live_device", "dead_token"  # reasons; the vendor's word follows the second
STOPPED_REASONS = ("drill_paused", "drill_ended")  # of a drill that rests or is over: nobody is told any more


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def inbox(self, officer_id: int, since: int) -> Self:
        """What this officer has been told after `since`, oldest first; repeats ring but are not new items."""
        return (
            self.filter(officer_id=officer_id, id__gt=since)
            .exclude(dispatch__errand=Errand.REPEAT)
            .exclude(dispatch__bulletin__kind=BulletinKind.CANARY)
            .exclude(reason__in=STOPPED_REASONS)
            .select_related("dispatch__bulletin")
            .order_by("id")
        )

    def due(self, now: datetime) -> Self:
        return self.filter(state__in=UNSENT, due_at__lte=now)


class Delivery(models.Model):
    """One officer's line in the ledger for one dispatch: once a dispatch and officer, by a unique index of each month."""

    dispatch = models.ForeignKey(
        Dispatch, models.PROTECT, related_name="deliveries", db_index=False, db_constraint=False
    )
    officer = models.ForeignKey(
        Officer, models.PROTECT, related_name="deliveries", db_index=False, db_constraint=False
    )
    region = models.ForeignKey(
        Region,
        models.PROTECT,
        db_index=False,
        db_constraint=False,
        help_text="of the post by which he is addressed",
    )
    root = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        db_index=False,
        db_constraint=False,
        help_text="repeat of this one; the id the phone knows",
    )
    transport = models.CharField(
        max_length=16,
        default="fcm",
        help_text="fcm: by the app, through whichever vendor his phones have; sms; voice",
    )
    rerouted = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="why it went by text message instead of by app",
    )
    lane = models.PositiveSmallIntegerField(choices=Lane, default=Lane.PROMPT, db_default=Lane.PROMPT)
    vendor_id = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text="by what name the gateway or the centre knows a text message or a call",
    )
    quiet = models.BooleanField(
        default=False,
        help_text="renews what he has of the same thread: shown in place, rings nobody, owes no answer of its own",
    )
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(help_text="next try, or end of the sender's lease")
    accepted_devices = ArrayField(
        models.BigIntegerField(), default=list, help_text="settled; not tried again"
    )
    reason = models.CharField(max_length=64, blank=True)
    sent_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    shown_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    acting_at = models.DateTimeField(null=True, help_text="he is there, or has said how his task stands")

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["officer", "id"], name="delivery_inbox"),
            # what a claim reads, in its order: behind half a million routine lines the first of a graver lane is one step
            models.Index(
                fields=["transport", "lane", "due_at", "id"],
                condition=Q(state__in=["pending", "sending", "failed_temp"]),
                name="delivery_due_by_lane",
            ),
            models.Index(fields=["vendor_id"], condition=~Q(vendor_id=""), name="delivery_vendor_id"),
            # few have one; without it each line that is let go reads the whole ledger for what repeats it
            models.Index(fields=["root"], condition=Q(root__isnull=False), name="delivery_root"),
        ]


class ReceiptState(models.TextChoices):
    DELIVERED = "delivered"  # the phone or the vendor has it
    SHOWN = "shown"  # it stands on the screen
    OPENED = "opened"
    CONFIRMED = "confirmed"
    ARRIVED = "arrived"
    REPORTED = "reported"
    CANNOT = "cannot"  # he has read it and cannot go; note says why. His deputy is called
    HELP = "help"  # he goes and needs help; the duty desk above him is told


CAME = (ReceiptState.DELIVERED, ReceiptState.SHOWN)  # said of the very line, by no person
ONCE = (
    *CAME,
    ReceiptState.OPENED,
)  # happens to a line once; all else a person may say again, and his last word counts
ACTS = (ReceiptState.ARRIVED, ReceiptState.REPORTED)
GOES = (ReceiptState.CONFIRMED, ReceiptState.ARRIVED, ReceiptState.REPORTED)


def _said_at(receipt: str) -> str:
    """When it was said, by our clock: a phone's own may be wrong, and a desk answers for a phone."""
    return (
        f"least({receipt}.at - make_interval(secs => coalesce({receipt}.skew_s, 0)), {receipt}.received_at)"
    )


# in SQL, of the deliveries from %(open)s on (months.open_since): those to which somebody said that he cannot go and has
# not said since that he goes after all
REFUSED = f"""
    SELECT n.delivery_id FROM notifications_receipt n
    WHERE n.delivery_id >= %(open)s AND n.state = 'cannot' AND NOT EXISTS (
        SELECT 1 FROM notifications_receipt y
        WHERE y.delivery_id >= %(open)s AND y.delivery_id = n.delivery_id AND y.state IN {tuple(map(str, GOES))}
          AND ({_said_at("y")}, y.id) > ({_said_at("n")}, n.id))
"""


class ReceiptQuerySet(models.QuerySet["Receipt"]):
    def refusals(self, since: int) -> Self:
        """Every "cannot" said to the REFUSED, of deliveries from the id `since` on."""
        refused = RawSQL(REFUSED % {"open": since}, ())  # noqa: S611  an id
        return self.filter(delivery__gte=since, delivery__in=refused, state=ReceiptState.CANNOT)


class Receipt(models.Model):
    """What came back, as it came: kept even when late, repeated or out of order."""

    delivery = models.ForeignKey(
        Delivery, models.PROTECT, related_name="receipts", db_index=False, db_constraint=False
    )
    state = models.CharField(max_length=16, choices=ReceiptState)
    at = models.DateTimeField(help_text="the phone's clock")
    received_at = models.DateTimeField()
    source = models.CharField(max_length=16, help_text="http, socket, call, task or a vendor's name")
    skew_s = models.FloatField(
        null=True, help_text="the phone's clock minus ours when it came, transit included; null: not said"
    )
    lon = models.FloatField(null=True)
    lat = models.FloatField(null=True)
    note = models.CharField(max_length=500, blank=True)
    form = models.JSONField(null=True)

    objects = ReceiptQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["delivery", "state"], condition=Q(state__in=ONCE), name="receipt_once"
            ),
            # who could not go at two may go at three, and need help at four; also how a line's receipts are found
            models.UniqueConstraint(fields=["delivery", "state", "at"], name="receipt_word_once"),
        ]
        indexes = [
            # few among many; every sweep of the climbs asks for them
            models.Index(fields=["received_at"], condition=Q(state="cannot"), name="receipt_cannot"),
            # the outbox of hazards/feedback.py
            models.Index(fields=["received_at"], condition=Q(form__isnull=False), name="receipt_form"),
        ]


class CoverageNight(models.Model):
    """What the nightly proof of coverage found: one row a day, only the faulty places."""

    day = models.DateField(primary_key=True, help_text="Shenzhen's")
    made_at = models.DateTimeField()
    places = models.PositiveIntegerField()
    items = models.JSONField(help_text="faulty places as in GET coverage")


class ProviderReport(models.Model):
    """What a gateway or push vendor said of a message or a call, as it said it; kept even when late, repeated or unknown."""

    provider = models.CharField(max_length=16, help_text="sms, voice or a push vendor")
    message = models.CharField(max_length=64, help_text="the id under which it was sent")
    delivery = models.ForeignKey(
        Delivery,
        models.PROTECT,
        null=True,
        db_constraint=False,
        related_name="reports",
        help_text="null: no such message",
    )
    state = models.CharField(max_length=16)
    word = models.CharField(max_length=200, blank=True, help_text="the key, the reply or the reason")
    at = models.DateTimeField(help_text="the gateway's clock")
    received_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "message", "state", "word", "at"], name="provider_report_once"
            )
        ]


class ProviderState(models.TextChoices):
    """What a vendor's row says of him."""

    WELL = "well", "正常"
    PAUSED = "paused", "暂停"  # he fails; nothing is tried until `until`
    PROBING = "probing", "试探"  # one sender tries a few; after `until` another may


class Provider(models.Model):
    """One vendor of push, text messages or calls, and how he did in about the last minute (health.py)."""

    name = models.CharField(max_length=16, primary_key=True)
    state = models.CharField(max_length=16, choices=ProviderState, default=ProviderState.WELL)
    since = models.DateTimeField(help_text="he is well, or is not, since then")
    until = models.DateTimeField(null=True, help_text="of a pause or a probe")
    pause_s = models.FloatField(default=0)
    sent = models.FloatField(default=0)
    failed = models.FloatField(default=0)
    dead = models.FloatField(default=0)
    counted_at = models.DateTimeField()
    last_ok_at = models.DateTimeField(null=True)
