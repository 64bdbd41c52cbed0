"""Which lines repeat a line is found by an index: a canary's line that is let go must not read the whole ledger."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # the index is built while lines are being written
    dependencies = [
        ("notifications", "0007_providers"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(fields=["root"], condition=models.Q(root__isnull=False), name="delivery_root"),
        ),
    ]
