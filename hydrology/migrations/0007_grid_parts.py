"""Grid runs say whether they were spread; parts of sums wait for their neighbours."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hydrology", "0006_observation_by_month"),
    ]

    operations = [
        migrations.AddField(
            model_name="gridrun",
            name="spread",
            field=models.BooleanField(
                default=False,
                help_text="out of sums longer than a step, taken as even: a lower bound of its peaks",
            ),
        ),
        migrations.CreateModel(
            name="GridPart",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("geometry", models.CharField(max_length=120)),
                ("slot_at", models.DateTimeField(help_text="END of the slot")),
                ("start_at", models.DateTimeField(help_text="of the whole sum")),
                ("end_at", models.DateTimeField(help_text="of the whole sum")),
                (
                    "field",
                    models.BinaryField(
                        help_text="science.grids.pack of (lat, lon): the mm of the sum in this slot"
                    ),
                ),
                (
                    "feed",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, to="hydrology.feed"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["slot_at"], name="grid_part_slot")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("feed", "geometry", "slot_at", "start_at", "end_at"), name="grid_part_once"
                    )
                ],
            },
        ),
    ]
