"""People and what they answer for: officers, posts, devices, sessions, the audit log.

Phone numbers are sealed at rest, found by a keyed digest, shown masked. Alerts address posts (duty x region),
then collapse to persons. Single writers: roster.py and roster_import.py (officers, posts), auth.py (sessions), devices.py
(devices), codes.py (one-time codes, wrong guesses), oidc.py (spent flows), audit.py (audit entries).
"""

from datetime import datetime
from typing import Self
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import F, FilteredRelation, Q

from hydrology.models import Region, Station


class Duty(models.TextChoices):
    """What a post is for."""

    COMMAND = "command", "指挥"  # approves orders
    DESK = "desk", "值班"  # the duty desk: drafts and issues, watches the reach, is called last
    FLOOD = "flood", "三防责任人"
    ENGINEER = "engineer", "系统值班"  # hears of silent feeds and broken parts
    REPORTER = "reporter", "灾害信息员"
    FOREST = "forest", "森防人员"
    CANARY = (
        "canary",
        "探测手机",
    )  # a phone on a shelf: sees nothing, is counted nowhere (notifications/canaries.py)


class Rank(models.TextChoices):
    """A is called first, B is the deputy (AB 角)."""

    A = "A", "A角"
    B = "B", "B角"


class OfficerQuerySet(models.QuerySet["Officer"]):
    def known(self, phone_digest: str) -> Self:
        """The active officer with this number, if any."""
        return self.filter(phone_digest=phone_digest, is_active=True)

    def of_staff(self, staff_code: str) -> Self:
        """The officer with this staff code, active or not, if any."""
        return self.filter(staff_code=staff_code)


class Officer(AbstractBaseUser):
    """A person. Signs in by one-time code to his phone; there is no password."""

    password = None
    last_login = None
    name = models.CharField(max_length=64)
    phone_digest = models.CharField(max_length=64, unique=True, help_text="HMAC of the E.164 number")
    sealed_phone = models.BinaryField(help_text="the number, encrypted")
    masked_phone = models.CharField(max_length=20, help_text="138****1234")
    staff_code = models.CharField(
        max_length=64,
        null=True,
        unique=True,
        help_text="工号: what his employer and the city's portal know him by",
    )
    language = models.CharField(max_length=2, default="zh")
    is_active = models.BooleanField(default=True)
    synthetic = models.BooleanField(default=False)

    objects = OfficerQuerySet.as_manager()

    USERNAME_FIELD = "phone_digest"
    REQUIRED_FIELDS: list[str] = []

    class Meta:
        # asked every second by every server process: officers/grants.py
        indexes = [models.Index(fields=["id"], condition=Q(is_active=False), name="officer_inactive")]
        constraints = [
            # every word that goes out is there in these two
            models.CheckConstraint(condition=Q(language__in=["zh", "en"]), name="officer_language")
        ]


# `in_force` in SQL: the post `p` at %(now)s
IN_FORCE = "p.valid_from <= %(now)s AND (p.valid_to IS NULL OR p.valid_to > %(now)s)"
# or was at the instant, or since: who was told by it has not lost his deputy because his term has ended meanwhile
IN_FORCE_SINCE = "p.valid_from <= %(now)s AND (p.valid_to IS NULL OR p.valid_to > {since})"


def in_force(at: datetime, prefix: str = "") -> Q:
    """The post's term covers the instant: [valid_from, valid_to)."""
    open_ended = Q(**{f"{prefix}valid_to": None})
    return Q(**{f"{prefix}valid_from__lte": at}) & (open_ended | Q(**{f"{prefix}valid_to__gt": at}))


class PostQuerySet(models.QuerySet["Post"]):
    def active(self, at: datetime) -> Self:
        """Posts in force at the instant, of active officers."""
        return self.filter(in_force(at), officer__is_active=True)


class Post(models.Model):
    """Officer x duty x region (or a managed station in it), with a rank, a position and a term."""

    officer = models.ForeignKey(Officer, models.CASCADE, related_name="posts")
    duty = models.CharField(max_length=16, choices=Duty)
    region = models.ForeignKey(Region, models.PROTECT, related_name="posts")
    station = models.ForeignKey(Station, models.PROTECT, null=True, related_name="posts")
    rank = models.CharField(max_length=1, choices=Rank, default=Rank.A)
    position = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        help_text="岗位编号: the position this post fills; A and B of one position stand in for each other",
    )
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True)

    objects = PostQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["region", "duty", "rank"], name="post_region_duty"),
            models.Index(fields=["valid_from"], name="post_began"),  # whose began since (newcomers.py)
        ]
        constraints = [  # terms that have ended stay: who answered for it last year is asked after the storm
            models.UniqueConstraint(
                fields=["officer", "duty", "region", "station"],
                condition=Q(valid_to=None),
                name="post_open_once",
                nulls_distinct=False,
            )
        ]


class Platform(models.TextChoices):
    ANDROID = "android"
    IOS = "ios"
    HARMONY = "harmony"
    WEB = "web"


class PushVendor(models.TextChoices):
    """Through whom a phone is rung; each has its file in notifications/transports."""

    FCM = "fcm", "Firebase"
    HUAWEI = "huawei", "华为推送"
    APNS = "apns", "苹果推送"
    JPUSH = "jpush", "极光推送"


# `DeviceQuerySet.live` in SQL: the device `v`
LIVE = "v.retired_at IS NULL AND v.token <> ''"


def has_live_device(row: str) -> str:
    """In SQL: the officer of the row has a live device."""
    return f"EXISTS (SELECT 1 FROM officers_device v WHERE v.officer_id = {row}.officer_id AND {LIVE})"


class DeviceQuerySet(models.QuerySet["Device"]):
    def live(self) -> Self:
        """Those that can be rung: not retired, with a push token."""
        return self.filter(retired_at=None).exclude(token="")


class Device(models.Model):
    """A phone or browser. A push token belongs to one live device: it moves with the phone."""

    officer = models.ForeignKey(Officer, models.CASCADE, related_name="devices")
    platform = models.CharField(max_length=16, choices=Platform)
    name = models.CharField(max_length=64, blank=True)
    provider = models.CharField(max_length=16, blank=True, help_text="fcm, …; empty: socket only")
    token = models.CharField(max_length=512, blank=True)
    registered_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)
    retired_reason = models.CharField(max_length=64, blank=True)

    objects = DeviceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "token"],
                condition=Q(retired_at=None) & ~Q(token=""),
                name="device_token_once",
            )
        ]
        indexes = [models.Index(fields=["officer"], condition=Q(retired_at=None), name="device_live")]


class SessionQuerySet(models.QuerySet["Session"]):
    def live(self, at: datetime) -> Self:
        """Neither revoked nor expired, of an active officer."""
        return self.filter(revoked_at=None, expires_at__gt=at, officer__is_active=True)

    def ended_since(self, since: datetime) -> Self:
        """Sessions that were ended by us at or after the instant."""
        return self.filter(revoked_at__gte=since)

    def with_posts(self, at: datetime) -> Self:
        """Live sessions, one row per post in force as `duty`, `path`, `station`; without a post one row of None."""
        return (
            self.live(at)
            .annotate(
                post=FilteredRelation("officer__posts", condition=in_force(at, "officer__posts__")),
                duty=F("post__duty"),
                path=F("post__region__path"),
                station=F("post__station_id"),
            )
            .order_by("post__id")
        )

    def admitted(self, session_id: UUID, officer_id: int, at: datetime) -> Self:
        """The live session with its officer and posts, in ONE query. Every request pays for this."""
        return (
            self.with_posts(at)
            .filter(pk=session_id, officer_id=officer_id)
            .select_related("officer")
            .defer("officer__sealed_phone")
        )


class Session(models.Model):
    """One sign-in on one device: a family of refresh tokens. Reuse of an old one revokes the family."""

    id = models.UUIDField(primary_key=True)
    officer = models.ForeignKey(Officer, models.CASCADE)
    device = models.ForeignKey(Device, models.CASCADE)
    refresh_digest = models.CharField(max_length=64)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_reason = models.CharField(max_length=32, blank=True)

    duty: str | None  # duty, path and station are there only on rows of `with_posts`
    path: str | None
    station: str | None

    objects = SessionQuerySet.as_manager()

    class Meta:
        # asked every second by every server process: officers/grants.py
        indexes = [
            models.Index(fields=["revoked_at"], condition=Q(revoked_at__isnull=False), name="session_ended")
        ]


class OneTimeCodeQuerySet(models.QuerySet["OneTimeCode"]):
    def of(self, phone_digest: str) -> Self:
        """Codes made for the number, newest first."""
        return self.filter(phone_digest=phone_digest).order_by("-expires_at", "-id")


class OneTimeCode(models.Model):
    """A sign-in code, digested; used once, few tries. Tries from where it was asked for are counted apart from others."""

    phone_digest = models.CharField(max_length=64)
    code_digest = models.CharField(max_length=64)
    expires_at = models.DateTimeField()
    source = models.CharField(
        max_length=64, default="", db_default="", help_text="digest of the address that asked"
    )
    tries = models.PositiveSmallIntegerField(default=0)
    tries_elsewhere = models.PositiveSmallIntegerField(default=0, db_default=0)
    used_at = models.DateTimeField(null=True)

    objects = OneTimeCodeQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["phone_digest", "expires_at"], name="code_phone"),
            models.Index(fields=["source", "expires_at"], name="code_source"),
        ]


class WrongGuess(models.Model):
    """A wrong code was typed; kept for an hour."""

    source = models.CharField(max_length=64, help_text="digest of the address it came from")
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["source", "at"], name="guess_source"),
            models.Index(fields=["at"], name="guess_at"),
        ]


class RosterImport(models.Model):
    """One roster that was written, and what it takes to undo it. The file is not kept: it has everybody's number."""

    at = models.DateTimeField()
    actor = models.ForeignKey(Officer, models.PROTECT, null=True, related_name="+")
    name = models.CharField(max_length=128, help_text="of the file")
    sha256 = models.CharField(max_length=64)
    within = models.ForeignKey(
        Region, models.PROTECT, related_name="+", help_text="it speaks of no place outside"
    )
    counts = models.JSONField()
    made = models.JSONField(help_text="{officers: [id], posts: [id]}")
    before = models.JSONField(
        help_text="{officers: {id: {field: value}}, posts: {id: valid_to}} of what it changed"
    )
    undone_at = models.DateTimeField(null=True)


class SpentFlow(models.Model):
    """A sign-in through the portal that was brought back: it is not taken a second time."""

    state_digest = models.CharField(max_length=64, primary_key=True)
    expires_at = models.DateTimeField(help_text="the flow is refused by its own age from then on")


class AuditEntry(models.Model):
    """Who did what to what, when. Append only."""

    at = models.DateTimeField()
    actor = models.ForeignKey(Officer, models.PROTECT, null=True)
    act = models.CharField(max_length=48, help_text="room.verb, e.g. order.approve")
    object = models.CharField(max_length=64)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["at"], name="audit_at")]
