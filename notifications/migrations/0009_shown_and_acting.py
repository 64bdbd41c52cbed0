"""Accepted, delivered, shown, opened, confirmed and acting are six things, each with its time; and how wrong a phone's
clock is."""

from django.db import migrations, models

STATES = [
    ("pending", "待发"),
    ("sending", "发送中"),
    ("failed_temp", "待重试"),
    ("failed_perm", "未送达"),
    ("sent", "已推送"),
    ("delivered", "已送达"),
    ("shown", "已展示"),
    ("opened", "已打开"),
    ("confirmed", "已确认"),
]
RECEIPTS = [
    ("delivered", "Delivered"),
    ("shown", "Shown"),
    ("opened", "Opened"),
    ("confirmed", "Confirmed"),
    ("arrived", "Arrived"),
    ("reported", "Reported"),
    ("cannot", "Cannot"),
    ("help", "Help"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0008_delivery_root"),
    ]

    operations = [
        migrations.AddField("delivery", "shown_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "delivery",
            "acting_at",
            models.DateTimeField(null=True, help_text="he is there, or has said how his task stands"),
        ),
        migrations.AddField(
            "receipt",
            "skew_s",
            models.FloatField(
                null=True,
                help_text="the phone's clock minus ours when it came, transit included; null: not said",
            ),
        ),
        migrations.AlterField(
            "delivery", "state", models.CharField(choices=STATES, default="pending", max_length=16)
        ),
        migrations.AlterField("receipt", "state", models.CharField(choices=RECEIPTS, max_length=16)),
        migrations.AlterField(
            "receipt",
            "source",
            models.CharField(max_length=16, help_text="http, socket, call, task or a vendor's name"),
        ),
        migrations.AlterField(
            "providerreport",
            "provider",
            models.CharField(max_length=16, help_text="sms, voice or a push vendor"),
        ),
    ]
