"""Readings of our own indicators."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Sample",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "of",
                    models.CharField(
                        help_text="minute/…, message/DISPATCH, canary/BULLETIN", max_length=48, unique=True
                    ),
                ),
                ("at", models.DateTimeField(db_index=True, help_text="what it speaks of began then")),
                ("readings", models.JSONField(help_text="{indicator: number or null}")),
            ],
        ),
    ]
