"""A form's receipt stands in a month that can be let go: no foreign key in the database (ADR 16)."""

import django.db.models.deletion
from django.db import migrations, models


def unbound(model: str, **more: object) -> migrations.AlterField:
    field = models.OneToOneField(
        "notifications.receipt", django.db.models.deletion.PROTECT, db_constraint=False, **more
    )
    return migrations.AlterField(model, "receipt", field)


class Migration(migrations.Migration):
    dependencies = [
        ("hazards", "0002_told_and_unread"),
        ("notifications", "0010_help_again"),
    ]

    operations = [
        unbound("feedback", null=True, help_text="where it came with a receipt"),
        unbound("unreadform", primary_key=True, related_name="+", serialize=False),
    ]
