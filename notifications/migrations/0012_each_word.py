"""A person's words are kept each, by their instant: who confirms, cannot, and goes after all has said three things."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0011_ledger_by_month"),
    ]

    operations = [
        migrations.AddConstraint(
            "receipt",
            models.UniqueConstraint(fields=["delivery", "state", "at"], name="receipt_word_once"),
        ),
        migrations.RemoveConstraint("receipt", "receipt_help_once"),
        migrations.RemoveConstraint("receipt", "receipt_once"),
        migrations.AddConstraint(
            "receipt",
            models.UniqueConstraint(
                fields=["delivery", "state"],
                condition=models.Q(state__in=("delivered", "shown", "opened")),
                name="receipt_once",
            ),
        ),
    ]
