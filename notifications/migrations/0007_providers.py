"""How each vendor does; why a line went by text message instead of by app, and by what name a centre knows it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0006_lanes"),
    ]

    operations = [
        migrations.CreateModel(
            name="Provider",
            fields=[
                ("name", models.CharField(max_length=16, primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[("well", "正常"), ("paused", "暂停"), ("probing", "试探")],
                        default="well",
                        max_length=16,
                    ),
                ),
                ("since", models.DateTimeField(help_text="he is well, or is not, since then")),
                ("until", models.DateTimeField(help_text="of a pause or a probe", null=True)),
                ("pause_s", models.FloatField(default=0)),
                ("sent", models.FloatField(default=0)),
                ("failed", models.FloatField(default=0)),
                ("dead", models.FloatField(default=0)),
                ("counted_at", models.DateTimeField()),
                ("last_ok_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField(
            model_name="delivery",
            name="rerouted",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="why it went by text message instead of by app",
                max_length=64,
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="vendor_id",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="by what name the gateway or the centre knows a text message or a call",
                max_length=64,
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("vendor_id", ""), _negated=True),
                fields=["vendor_id"],
                name="delivery_vendor_id",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="transport",
            field=models.CharField(
                default="fcm",
                help_text="fcm: by the app, through whichever vendor his phones have; sms; voice",
                max_length=16,
            ),
        ),
    ]
