"""Receipts that bring a form are found without reading the others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0003_quiet_and_nights")]

    operations = [
        migrations.AddIndex(
            "receipt",
            models.Index(fields=["received_at"], condition=models.Q(form__isnull=False), name="receipt_form"),
        ),
    ]
