"""A climb's line stands in a month that can be let go: no foreign key in the database (ADR 16)."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("escalation", "0002_ladders_calls_incidents"),
        ("notifications", "0010_help_again"),
    ]

    operations = [
        migrations.AlterField(
            "climb",
            "delivery",
            models.OneToOneField(
                "notifications.delivery",
                django.db.models.deletion.PROTECT,
                db_constraint=False,
                related_name="climb",
            ),
        ),
    ]
