"""Official signals and the response levels they suggest."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0004_level_rules"),
        ("hydrology", "0009_flows_and_unknown_limits"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Proposal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "hazard",
                    models.CharField(
                        choices=[
                            ("rainstorm", "强降雨"),
                            ("flood", "防汛"),
                            ("reservoir", "水库水位"),
                            ("river", "河道水位"),
                            ("tide", "潮位"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "level",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "结束"), (1, "关注级"), (2, "Ⅳ级"), (3, "Ⅲ级"), (4, "Ⅱ级"), (5, "Ⅰ级")],
                        help_text="0: end the response in force",
                    ),
                ),
                (
                    "areas",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32), size=None
                    ),
                ),
                ("why", models.CharField(max_length=400)),
                ("made_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "待处理"),
                            ("taken", "已采纳"),
                            ("declined", "不采纳"),
                            ("overtaken", "已被取代"),
                        ],
                        default="open",
                        max_length=16,
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True)),
                ("note", models.CharField(blank=True, max_length=200)),
                (
                    "authority",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="hydrology.region"),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "order",
                    models.OneToOneField(
                        null=True, on_delete=django.db.models.deletion.PROTECT, to="alerts.responseorder"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "open")),
                        fields=("hazard", "authority"),
                        name="proposal_one_open",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Signal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("identifier", models.CharField(max_length=110, unique=True)),
                ("sender", models.CharField(max_length=100)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("Actual", "Actual"),
                            ("Exercise", "Exercise"),
                            ("System", "System"),
                            ("Test", "Test"),
                            ("Draft", "Draft"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "event",
                    models.CharField(
                        choices=[
                            ("rainstorm", "rainstorm"),
                            ("typhoon", "typhoon"),
                            ("thunderstorm_wind", "thunderstorm_wind"),
                            ("lightning", "lightning"),
                            ("other", "other"),
                        ],
                        max_length=24,
                    ),
                ),
                (
                    "colour",
                    models.CharField(
                        choices=[
                            ("blue", "blue"),
                            ("yellow", "yellow"),
                            ("orange", "orange"),
                            ("red", "red"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("issue", "issue"),
                            ("extend", "extend"),
                            ("upgrade", "upgrade"),
                            ("downgrade", "downgrade"),
                            ("cancel", "cancel"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "areas",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32),
                        help_text="region codes it was issued for",
                        size=None,
                    ),
                ),
                (
                    "held",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32),
                        help_text="region codes where it still holds",
                        size=None,
                    ),
                ),
                (
                    "sea",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32), help_text="sea zones, as named", size=None
                    ),
                ),
                (
                    "unknown",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64),
                        help_text="places nobody knows: a person looks at them",
                        size=None,
                    ),
                ),
                ("text", models.TextField()),
                ("issued_at", models.DateTimeField()),
                ("effective_at", models.DateTimeField(null=True)),
                ("expected_until", models.DateTimeField(help_text="advisory: it does not end it", null=True)),
                (
                    "references",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=110), size=None
                    ),
                ),
                ("received_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "post",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="hydrology.feedpost"),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at", None)), fields=["event"], name="signal_in_force"
                    )
                ],
            },
        ),
    ]
