"""工号: by it a person stays the same person when his number changes, and the city's portal names him."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("officers", "0005_canaries"),
    ]

    operations = [
        migrations.AddField(
            model_name="officer",
            name="staff_code",
            field=models.CharField(
                max_length=64,
                null=True,
                unique=True,
                help_text="工号: what his employer and the city's portal know him by",
            ),
        ),
    ]
