"""A sign-in through the city's portal is brought back once."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("officers", "0007_roster_imports"),
    ]

    operations = [
        migrations.CreateModel(
            name="SpentFlow",
            fields=[
                ("state_digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                (
                    "expires_at",
                    models.DateTimeField(help_text="the flow is refused by its own age from then on"),
                ),
            ],
        ),
    ]
