"""Orders know their thread; a template's time limit counts from the release."""

import django.db.models.deletion
from django.db import migrations, models

THREADS = "UPDATE alerts_responseorder SET thread = 'order/' || id WHERE thread = ''"


class Migration(migrations.Migration):
    dependencies = [("alerts", "0007_released_orders")]
    operations = [
        migrations.AddField(
            "responseorder",
            "thread",
            models.CharField(
                max_length=32,
                blank=True,
                default="",
                help_text="order/ID of the first order of its thread: what it replaces or is under, else itself",
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            "responseorder",
            "deadline_min",
            models.PositiveIntegerField(
                null=True, help_text="minutes after the release: deadline_at is set then"
            ),
        ),
        migrations.AlterField(
            "responseorder",
            "authority",
            models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                to="hydrology.region",
                help_text="city, district or street that orders",
            ),
        ),
        migrations.AddIndex(
            "responseorder",
            models.Index(
                fields=["thread"],
                condition=models.Q(status="issued", released_at__isnull=False),
                name="order_in_force_thread",
            ),
        ),
        migrations.RunSQL(THREADS, migrations.RunSQL.noop),
    ]
