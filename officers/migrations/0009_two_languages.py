"""Words go out in Chinese and English only; who was entered with another language is told in Chinese."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("officers", "0008_spent_flows"),
    ]

    operations = [
        migrations.RunSQL(
            "UPDATE officers_officer SET language = 'zh' WHERE language NOT IN ('zh', 'en')",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name="officer",
            constraint=models.CheckConstraint(
                condition=models.Q(("language__in", ["zh", "en"])), name="officer_language"
            ),
        ),
    ]
