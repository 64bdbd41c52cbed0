"""Whom a reminder spoke to, forms that could not be read, newest by the phone's clock."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hazards", "0001_initial"),
        ("notifications", "0004_receipt_forms"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            "UnreadForm",
            [
                (
                    "receipt",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="notifications.receipt",
                    ),
                ),
                ("found_at", models.DateTimeField()),
                ("code", models.CharField(max_length=32, help_text="of the refusal")),
                ("fields", models.JSONField(help_text="faulty field to its reason")),
            ],
        ),
        migrations.AddField(
            "reminder",
            "told",
            models.CharField(
                max_length=16, choices=[("people", "责任人"), ("desk", "上级值班")], default="people"
            ),
            preserve_default=False,
        ),
        migrations.RemoveConstraint("reminder", "reminder_once"),
        migrations.AddConstraint(
            "reminder",
            models.UniqueConstraint(
                fields=["order", "kind", "told", "task", "period"], name="reminder_once", nulls_distinct=False
            ),
        ),
        migrations.RemoveIndex("feedback", "feedback_newest"),
        migrations.AddIndex(
            "feedback",
            models.Index(fields=["order", "region", "-at", "-id"], name="feedback_newest"),
        ),
        migrations.RemoveIndex("taskreport", "task_report_newest"),
        migrations.AddIndex(
            "taskreport",
            models.Index(fields=["task", "officer", "-at", "-id"], name="task_report_newest"),
        ),
        migrations.AlterField(
            "feedback",
            "at",
            models.DateTimeField(help_text="the phone's clock; of a region's rows the newest counts"),
        ),
        migrations.AlterField(
            "feedback",
            "received_at",
            models.DateTimeField(help_text="says for which period it was in time"),
        ),
    ]
