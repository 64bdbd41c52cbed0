"""Rule tables by hazard; a level notice whose station fell silent."""

from django.db import migrations, models

HAZARDS = [
    ("rainstorm", "强降雨"),
    ("flood", "防汛"),
    ("reservoir", "水库水位"),
    ("river", "河道水位"),
    ("tide", "潮位"),
]


class Migration(migrations.Migration):
    dependencies = [("alerts", "0003_level_notices")]

    operations = [
        migrations.AddField(
            "ruletable",
            "hazard",
            models.CharField(
                choices=HAZARDS,
                default="rainstorm",
                help_text="reservoir, river and tide: levels",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            "ruletable",
            "rows",
            models.JSONField(
                help_text="rain: {window: [notice, attention, alert, emergency] in mm}; levels: assessment/stages.py"
            ),
        ),
        migrations.AlterField(
            "warningevent",
            "action",
            models.CharField(
                choices=[
                    ("raise", "发布"),
                    ("extend", "扩展"),
                    ("upgrade", "升级"),
                    ("downgrade", "降级"),
                    ("cancel", "解除"),
                    ("silent", "失联"),
                ],
                max_length=16,
            ),
        ),
    ]
