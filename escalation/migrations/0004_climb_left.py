"""Whose chase ended because he left the roster: found in each sweep, for he may be back."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("escalation", "0003_climb_unbound")]

    operations = [
        migrations.AddIndex(
            "climb",
            models.Index(
                fields=["id"], condition=models.Q(state="stopped", why="left the roster"), name="climb_left"
            ),
        ),
    ]
