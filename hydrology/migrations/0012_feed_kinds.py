"""What a feed may bring; nothing said: anything, as before."""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hydrology", "0011_question"),
    ]

    operations = [
        migrations.AddField(
            model_name="feed",
            name="kinds",
            field=ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("readings", "gauges' readings, telegrams too"),
                        ("grid", "observed fields and nowcasts; its door is ingest/grids"),
                        ("radar", "radar pictures"),
                        ("signal", "official signals; its door is ingest/signals"),
                    ],
                    max_length=16,
                ),
                default=list,
                help_text="what it may bring; empty: anything",
                size=None,
            ),
        ),
    ]
