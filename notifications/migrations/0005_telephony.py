"""Deliveries by text message and call are claimed by an index of their own; what the gateways report is kept."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0004_receipt_forms")]

    operations = [
        migrations.AddIndex(
            "delivery",
            models.Index(
                fields=["transport", "due_at"],
                condition=models.Q(
                    state__in=["pending", "sending", "failed_temp"], transport__in=["sms", "voice"]
                ),
                name="delivery_due_telephone",
            ),
        ),
        migrations.CreateModel(
            name="ProviderReport",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("provider", models.CharField(help_text="sms or voice", max_length=16)),
                ("message", models.CharField(help_text="the id under which it was sent", max_length=64)),
                ("state", models.CharField(max_length=16)),
                (
                    "word",
                    models.CharField(
                        blank=True, help_text="the key, the reply or the reason", max_length=200
                    ),
                ),
                ("at", models.DateTimeField(help_text="the gateway's clock")),
                ("received_at", models.DateTimeField(db_index=True)),
                (
                    "delivery",
                    models.ForeignKey(
                        help_text="null: no such message",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reports",
                        to="notifications.delivery",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("provider", "message", "state", "word", "at"), name="provider_report_once"
                    )
                ]
            },
        ),
    ]
