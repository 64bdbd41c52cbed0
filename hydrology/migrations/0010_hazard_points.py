"""Hazard points; feeds that speak to drills only."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hydrology", "0009_flows_and_unknown_limits"),
    ]

    operations = [
        migrations.AddField(
            model_name="feed",
            name="drill",
            field=models.BooleanField(
                default=False,
                help_text="speaks to drills only: its posts reach no live table, and no other feed's a drill",
            ),
        ),
        migrations.AlterField(
            model_name="station",
            name="kind",
            field=models.CharField(
                choices=[
                    ("PP", "雨量站"),
                    ("RR", "水库站"),
                    ("ZZ", "河道水位站"),
                    ("TT", "潮位站"),
                    ("HP", "隐患点"),
                ],
                max_length=2,
            ),
        ),
    ]
