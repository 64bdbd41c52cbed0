"""Since when a station has reported the very same value: a stuck level is seen without reading hours of rows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("hydrology", "0007_grid_parts")]

    operations = [
        migrations.AddField(
            "latest",
            "unchanged_since",
            models.DateTimeField(
                null=True, help_text="first of the unbroken run of this very value; null: not followed yet"
            ),
        ),
    ]
