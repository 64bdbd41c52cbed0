"""Level notices, checks of doubtful rain, silent feeds, followed stations."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0002_bulletin_frozen"),
        ("hydrology", "0004_sources_and_pictures"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Check",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("observed_at", models.DateTimeField(help_text="END of the slot that first raised it")),
                ("value_mm", models.FloatField(help_text="the highest doubted 5-minute value since")),
                ("why", models.CharField(max_length=200)),
                ("raised_at", models.DateTimeField()),
                (
                    "answer",
                    models.CharField(
                        blank=True, choices=[("real", "属实"), ("broken", "设备故障")], max_length=16
                    ),
                ),
                ("answered_at", models.DateTimeField(null=True)),
                ("excluded_until", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="FeedAlarm",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("silent_since", models.DateTimeField(help_text="when it last spoke")),
                ("raised_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Follow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "threshold_m",
                    models.FloatField(help_text="in the station's datum; null: only shown first", null=True),
                ),
                (
                    "told_at",
                    models.DateTimeField(
                        help_text="instant of the reading he was told of; null below it", null=True
                    ),
                ),
                ("created_at", models.DateTimeField()),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="warning",
            name="warning_one_open",
        ),
        migrations.AddField(
            model_name="bulletin",
            name="about",
            field=models.CharField(
                blank=True, help_text="what a message speaks of, e.g. feed/KEY", max_length=64
            ),
        ),
        migrations.AddField(
            model_name="bulletin",
            name="officers",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                default=list,
                help_text="persons addressed by name; then nobody else is",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="bulletin",
            name="stations",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=32),
                default=list,
                help_text="whose own posts are addressed, whatever the duty",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="warning",
            name="station",
            field=models.ForeignKey(
                help_text="level notices: whose level it is",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                to="hydrology.station",
            ),
        ),
        migrations.AlterField(
            model_name="bulletin",
            name="kind",
            field=models.CharField(
                choices=[("warning", "预警"), ("order", "指令"), ("level", "水情"), ("message", "通知")],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="responseorder",
            name="hazard",
            field=models.CharField(
                choices=[
                    ("rainstorm", "强降雨"),
                    ("flood", "防汛"),
                    ("reservoir", "水库水位"),
                    ("river", "河道水位"),
                    ("tide", "潮位"),
                ],
                default="flood",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="warning",
            name="hazard",
            field=models.CharField(
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
        migrations.AlterField(
            model_name="warning",
            name="region",
            field=models.ForeignKey(
                help_text="the district; a station's street",
                on_delete=django.db.models.deletion.PROTECT,
                to="hydrology.region",
            ),
        ),
        migrations.AlterField(
            model_name="watchmark",
            name="hazard",
            field=models.CharField(
                choices=[
                    ("rainstorm", "强降雨"),
                    ("flood", "防汛"),
                    ("reservoir", "水库水位"),
                    ("river", "河道水位"),
                    ("tide", "潮位"),
                ],
                max_length=16,
                primary_key=True,
                serialize=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="warning",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)),
                fields=("hazard", "region", "station"),
                name="warning_one_open",
                nulls_distinct=False,
            ),
        ),
        migrations.AddField(
            model_name="check",
            name="answered_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="check",
            name="station",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="hydrology.station"),
        ),
        migrations.AddField(
            model_name="feedalarm",
            name="feed",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="hydrology.feed"),
        ),
        migrations.AddField(
            model_name="follow",
            name="officer",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="follow",
            name="station",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="hydrology.station"),
        ),
        migrations.AddConstraint(
            model_name="check",
            constraint=models.UniqueConstraint(
                condition=models.Q(("answered_at", None)), fields=("station",), name="check_one_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="feedalarm",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)), fields=("feed",), name="feed_alarm_one_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="follow",
            constraint=models.UniqueConstraint(fields=("officer", "station"), name="follow_once"),
        ),
    ]
