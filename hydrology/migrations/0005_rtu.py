"""SL 651 stations as their lines name them."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hydrology", "0004_sources_and_pictures"),
    ]

    operations = [
        migrations.CreateModel(
            name="Rtu",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "address",
                    models.CharField(help_text="10 characters 0-9A-F, as on the line", max_length=10),
                ),
                (
                    "base_stage_m",
                    models.FloatField(
                        help_text="水位基值, parameters 28-2F: relative stages stand on it", null=True
                    ),
                ),
                (
                    "password",
                    models.PositiveIntegerField(
                        help_text="two bytes of the frame; weak, null: not looked at", null=True
                    ),
                ),
                (
                    "network",
                    models.CharField(
                        blank=True, help_text="where it may call from; empty: any let in", max_length=64
                    ),
                ),
                (
                    "feed",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="rtus", to="hydrology.feed"
                    ),
                ),
                (
                    "station",
                    models.ForeignKey(
                        help_text="null: a relay, it speaks for others",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rtus",
                        to="hydrology.station",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("feed", "address"), name="rtu_once")],
            },
        ),
    ]
