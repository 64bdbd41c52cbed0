"""Reports from the ground, their photos and the steps of their lives."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hazards", "0003_receipt_unbound"),
        ("hydrology", "0011_question"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="GroundReport",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "client_id",
                    models.CharField(
                        help_text="the phone's: sent again, it is the same report", max_length=128
                    ),
                ),
                (
                    "digest",
                    models.CharField(
                        help_text="of what was sent: other content is another report", max_length=64
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("waterlogging", "内涝积水"),
                            ("landslide", "滑坡（边坡）"),
                            ("reservoir", "水库山塘险情"),
                            ("river", "河道堤防险情"),
                            ("building", "房屋险情"),
                            ("tree", "倒树"),
                            ("trapped", "人员被困"),
                            ("other", "其他"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "severity",
                    models.CharField(
                        choices=[
                            ("minor", "轻微"),
                            ("moderate", "一般"),
                            ("severe", "严重"),
                            ("extreme", "危急"),
                        ],
                        max_length=16,
                    ),
                ),
                ("lon", models.FloatField(help_text="degrees east, WGS 84")),
                ("lat", models.FloatField(help_text="degrees north, WGS 84")),
                ("text", models.CharField(blank=True, max_length=500)),
                (
                    "at",
                    models.DateTimeField(
                        help_text="the phone's clock, within the three days before the receipt"
                    ),
                ),
                ("received_at", models.DateTimeField()),
                (
                    "stamp",
                    models.JSONField(help_text="rain and levels around it when it came in: ground_stamp.py"),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("received", "待处置"),
                            ("assigned", "已指派"),
                            ("in_progress", "处置中"),
                            ("closed", "已办结"),
                        ],
                        default="received",
                        max_length=16,
                    ),
                ),
                (
                    "close_reason",
                    models.CharField(
                        blank=True,
                        choices=[("handled", "已处置"), ("false_alarm", "不属实"), ("duplicate", "重复上报")],
                        max_length=16,
                    ),
                ),
                ("closed_at", models.DateTimeField(null=True)),
                (
                    "assignee",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "duplicate_of",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="duplicates",
                        to="hazards.groundreport",
                    ),
                ),
                (
                    "officer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "region",
                    models.ForeignKey(
                        help_text="where it lies: community, else street",
                        on_delete=django.db.models.deletion.PROTECT,
                        to="hydrology.region",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="GroundPhoto",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveSmallIntegerField(help_text="from 1, as sent")),
                ("media_type", models.CharField(max_length=16)),
                ("sha256", models.CharField(max_length=64)),
                ("size", models.PositiveIntegerField(help_text="bytes")),
                ("body", models.BinaryField()),
                (
                    "report",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="photos",
                        to="hazards.groundreport",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="GroundEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                (
                    "before",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("received", "待处置"),
                            ("assigned", "已指派"),
                            ("in_progress", "处置中"),
                            ("closed", "已办结"),
                        ],
                        help_text="empty: it came in",
                        max_length=16,
                    ),
                ),
                (
                    "after",
                    models.CharField(
                        choices=[
                            ("received", "待处置"),
                            ("assigned", "已指派"),
                            ("in_progress", "处置中"),
                            ("closed", "已办结"),
                        ],
                        max_length=16,
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=500)),
                (
                    "actor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "assignee",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "report",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="hazards.groundreport",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="groundreport",
            index=models.Index(fields=["kind", "at"], name="ground_near"),
        ),
        migrations.AddConstraint(
            model_name="groundreport",
            constraint=models.UniqueConstraint(fields=("officer", "client_id"), name="ground_once"),
        ),
        migrations.AddConstraint(
            model_name="groundreport",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("closed_at__isnull", False),
                        ("status", "closed"),
                        models.Q(("close_reason", ""), _negated=True),
                    ),
                    models.Q(
                        models.Q(("status", "closed"), _negated=True),
                        ("close_reason", ""),
                        ("closed_at", None),
                    ),
                    _connector="OR",
                ),
                name="ground_closed_for_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="groundreport",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("close_reason", "duplicate"),
                        ("duplicate_of__isnull", False),
                        models.Q(("duplicate_of", models.F("id")), _negated=True),
                    ),
                    models.Q(models.Q(("close_reason", "duplicate"), _negated=True), ("duplicate_of", None)),
                    _connector="OR",
                ),
                name="ground_duplicate_of_another",
            ),
        ),
        migrations.AddConstraint(
            model_name="groundreport",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status__in", ["assigned", "in_progress"]), _negated=True),
                    ("assignee__isnull", False),
                    _connector="OR",
                ),
                name="ground_assigned_to_somebody",
            ),
        ),
        migrations.AddConstraint(
            model_name="groundphoto",
            constraint=models.UniqueConstraint(fields=("report", "number"), name="ground_photo_once"),
        ),
    ]
