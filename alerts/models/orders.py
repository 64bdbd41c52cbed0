"""Response orders as rows: a level for an area, decided by two people. Single writer: orders.py."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from alerts.models.dangers import Hazard
from hydrology.models import Region


class ResponseLevel(models.IntegerChoices):
    """Response levels; a larger number is graver."""

    WATCH = 1, "关注级"
    IV = 2, "Ⅳ级"
    III = 3, "Ⅲ级"
    II = 4, "Ⅱ级"
    I = 5, "Ⅰ级"  # noqa: E741  the field's own numeral

    @property
    def code(self) -> str:
        """As it is spoken at the doors and in bulletins: watch, IV, III, II, I."""
        return "watch" if self is ResponseLevel.WATCH else self.name


class OrderStatus(models.TextChoices):
    DRAFT = "draft", "草稿"
    SUBMITTED = "submitted", "待审"
    APPROVED = "approved", "已批准"
    REJECTED = "rejected", "已退回"
    ISSUED = "issued", "已发布"
    WITHDRAWN = "withdrawn", "已撤回"
    ENDED = "ended", "已结束"


class ResponseOrder(models.Model):
    """防汛应急响应防御部署指令: a response level for an area, decided by people, two of them."""

    hazard = models.CharField(max_length=16, choices=Hazard, default=Hazard.FLOOD)
    level = models.PositiveSmallIntegerField(choices=ResponseLevel)
    authority = models.ForeignKey(Region, models.PROTECT, help_text="city or district that orders")
    areas = ArrayField(models.CharField(max_length=32), help_text="region codes at or below the authority")
    duties = ArrayField(models.CharField(max_length=16))
    title_zh = models.CharField(max_length=80)
    title_en = models.CharField(max_length=160)
    text_zh = models.TextField()
    text_en = models.TextField(blank=True)
    deadline_at = models.DateTimeField(null=True, help_text="receipt wanted by")
    valid_until = models.DateTimeField()
    drill = models.BooleanField(default=False)
    status = models.CharField(max_length=16, choices=OrderStatus, default=OrderStatus.DRAFT)
    drafted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(approved_by=None) | ~Q(approved_by=models.F("drafted_by")),
                name="order_second_person",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["approved", "issued", "ended"]) | Q(approved_by__isnull=False),
                name="order_approved_before_issue",
            ),
        ]


class OrderEvent(models.Model):
    order = models.ForeignKey(ResponseOrder, models.CASCADE, related_name="events")
    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    before = models.CharField(max_length=16, choices=OrderStatus, blank=True)
    after = models.CharField(max_length=16, choices=OrderStatus)
    note = models.CharField(max_length=200, blank=True)
