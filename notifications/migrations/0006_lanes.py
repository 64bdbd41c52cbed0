"""What is graver goes first, behind whatever number of routine lines. What waits meanwhile goes as prompt."""

from django.db import migrations, models

UNSENT = models.Q(state__in=["pending", "sending", "failed_temp"])


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0005_telephony"),
    ]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="lane",
            field=models.PositiveSmallIntegerField(
                choices=[(0, "生命安全"), (1, "一般"), (2, "批量")], db_default=1, default=1
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                fields=["transport", "lane", "due_at", "id"], condition=UNSENT, name="delivery_due_by_lane"
            ),
        ),
        migrations.RemoveIndex(model_name="delivery", name="delivery_due"),
        migrations.RemoveIndex(model_name="delivery", name="delivery_due_telephone"),
    ]
