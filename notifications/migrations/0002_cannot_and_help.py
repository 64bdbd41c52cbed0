"""Receipts that say "cannot" and "help"."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            model_name="receipt",
            name="source",
            field=models.CharField(help_text="http, socket, call or a vendor's name", max_length=16),
        ),
        migrations.AlterField(
            model_name="receipt",
            name="state",
            field=models.CharField(
                choices=[
                    ("delivered", "Delivered"),
                    ("opened", "Opened"),
                    ("confirmed", "Confirmed"),
                    ("arrived", "Arrived"),
                    ("reported", "Reported"),
                    ("cannot", "Cannot"),
                    ("help", "Help"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddIndex(
            model_name="receipt",
            index=models.Index(
                condition=models.Q(("state", "cannot")), fields=["received_at"], name="receipt_cannot"
            ),
        ),
    ]
