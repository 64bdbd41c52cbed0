"""Deliveries that renew in place; the nightly coverage."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0002_cannot_and_help"),
    ]

    operations = [
        migrations.CreateModel(
            name="CoverageNight",
            fields=[
                ("day", models.DateField(help_text="Shenzhen's", primary_key=True, serialize=False)),
                ("made_at", models.DateTimeField()),
                ("places", models.PositiveIntegerField()),
                ("items", models.JSONField(help_text="faulty places as in GET coverage")),
            ],
        ),
        migrations.AddField(
            model_name="delivery",
            name="quiet",
            field=models.BooleanField(
                default=False,
                help_text="renews what he has of the same thread: shown in place, rings nobody, owes no answer of its own",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="transport",
            field=models.CharField(default="fcm", help_text="fcm, sms or voice", max_length=16),
        ),
    ]
