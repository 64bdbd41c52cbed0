"""Who is no longer admitted, found without reading everybody: asked every second by every server process."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("officers", "0003_duty_engineer"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                fields=["revoked_at"],
                condition=models.Q(revoked_at__isnull=False),
                name="session_ended",
            ),
        ),
        migrations.AddIndex(
            model_name="officer",
            index=models.Index(fields=["id"], condition=models.Q(is_active=False), name="officer_inactive"),
        ),
    ]
