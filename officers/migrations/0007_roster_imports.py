"""Rosters are imported and undone; of one post a person may have held earlier terms."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hydrology", "0011_question"),
        ("officers", "0006_staff_code"),
    ]

    operations = [
        migrations.CreateModel(
            name="RosterImport",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("name", models.CharField(help_text="of the file", max_length=128)),
                ("sha256", models.CharField(max_length=64)),
                ("counts", models.JSONField()),
                ("made", models.JSONField(help_text="{officers: [id], posts: [id]}")),
                (
                    "before",
                    models.JSONField(
                        help_text="{officers: {id: {field: value}}, posts: {id: valid_to}} of what it changed"
                    ),
                ),
                ("undone_at", models.DateTimeField(null=True)),
                (
                    "actor",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "within",
                    models.ForeignKey(
                        help_text="it speaks of no place outside",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="hydrology.region",
                    ),
                ),
            ],
        ),
        migrations.RemoveConstraint(model_name="post", name="post_once"),
        migrations.AddConstraint(
            model_name="post",
            constraint=models.UniqueConstraint(
                fields=["officer", "duty", "region", "station"],
                condition=models.Q(valid_to=None),
                name="post_open_once",
                nulls_distinct=False,
            ),
        ),
    ]
