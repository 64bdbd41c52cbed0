"""What SL 651 stations are asked for."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hydrology", "0010_hazard_points"),
    ]

    operations = [
        migrations.CreateModel(
            name="Question",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("rtu", models.CharField(help_text="10 characters 0-9A-F, as on the line", max_length=10)),
                (
                    "function",
                    models.PositiveSmallIntegerField(help_text="0x37 present values, 0x38 a period"),
                ),
                ("wanted", models.BinaryField(help_text="what stands in the frame behind serial and time")),
                ("asked_at", models.DateTimeField()),
                (
                    "due_at",
                    models.DateTimeField(
                        help_text="not sent before; after the last time the answer is overdue then"
                    ),
                ),
                ("tries", models.PositiveSmallIntegerField(default=0, help_text="how often it was sent")),
                ("answered_at", models.DateTimeField(null=True)),
                (
                    "feed",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="hydrology.feed"),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("answered_at", None)),
                        fields=["feed", "rtu"],
                        name="question_open",
                    )
                ],
            },
        ),
    ]
