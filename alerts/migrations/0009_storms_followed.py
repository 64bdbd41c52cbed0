"""Storms remember where they lately were and what they grew together with; a rule table says whose figures it judges."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0008_order_threads")]
    operations = [
        migrations.AddField(
            "storm",
            "lately",
            models.JSONField(
                default=dict,
                help_text="by street the END of the last slot in which it was in warning, an hour back",
            ),
        ),
        migrations.AddField(
            "storm",
            "into",
            models.ForeignKey(
                help_text="the older storm it grew together with",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="alerts.storm",
            ),
        ),
        migrations.AddField(
            "ruletable",
            "watch_level",
            models.CharField(
                choices=[("street", "街道"), ("community", "社区")],
                default="street",
                help_text="rain: whose figures are held against the marks; warnings are of streets either way",
                max_length=16,
            ),
        ),
    ]
