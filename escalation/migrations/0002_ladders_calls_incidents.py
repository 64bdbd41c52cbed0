"""Ladders as data, calls by hand, what the audit found."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("escalation", "0001_initial"),
        ("hydrology", "0009_flows_and_unknown_limits"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="LadderTable",
            fields=[
                ("version", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("valid_from", models.DateTimeField()),
                ("rows", models.JSONField(help_text="escalation/ladder_table.py says what it looks like")),
                ("note", models.CharField(blank=True, max_length=200)),
            ],
        ),
        migrations.AddField(
            model_name="climb",
            name="channels",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=16),
                default=list,
                help_text="of each rung; empty: app",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="climb",
            name="of_group",
            field=models.PositiveSmallIntegerField(
                help_text="so many answers of his group do for all of it; null: each must answer",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="climb",
            name="version",
            field=models.CharField(
                blank=True, help_text="of the ladder table; empty: the defaults", max_length=32
            ),
        ),
        migrations.AddField(
            model_name="climb",
            name="why",
            field=models.CharField(blank=True, help_text="what ended it", max_length=64),
        ),
        migrations.AddField(
            model_name="rung",
            name="channel",
            field=models.CharField(default="app", max_length=16),
        ),
        migrations.AlterField(
            model_name="climb",
            name="rung",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="where he stands: the number of the next rung"
            ),
        ),
        migrations.CreateModel(
            name="Incident",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=32)),
                ("found_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField(help_text="when it was last found so")),
                ("ended_at", models.DateTimeField(null=True)),
                ("worst", models.PositiveIntegerField(help_text="how many at once at the most")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("kind",),
                        name="incident_one_open_a_kind",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CallTask",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("made_at", models.DateTimeField()),
                ("claimed_at", models.DateTimeField(null=True)),
                (
                    "result",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("answered", "已应答"),
                            ("cannot", "无法到位"),
                            ("no_answer", "无人接听"),
                            ("wrong_number", "号码有误"),
                            ("other", "其他"),
                        ],
                        max_length=16,
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=500)),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "claimed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "climb",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="call",
                        to="escalation.climb",
                    ),
                ),
                (
                    "region",
                    models.ForeignKey(
                        help_text="of the silent person's post",
                        on_delete=django.db.models.deletion.PROTECT,
                        to="hydrology.region",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("done_at", None)), fields=["made_at"], name="call_open")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("done_at", None), ("result", "")),
                            models.Q(("done_at__isnull", False), models.Q(("result", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="call_done_with_result",
                    )
                ],
            },
        ),
    ]
