"""A receipt stands once for a line and state, as before; calls for help stand once for their instant."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("notifications", "0009_shown_and_acting")]

    operations = [
        migrations.AddConstraint(
            "receipt",
            models.UniqueConstraint(
                fields=["delivery", "at"], condition=Q(state="help"), name="receipt_help_once"
            ),
        ),
        migrations.RemoveConstraint("receipt", "receipt_once"),
        migrations.AddConstraint(
            "receipt",
            models.UniqueConstraint(
                fields=["delivery", "state"], condition=~Q(state="help"), name="receipt_once"
            ),
        ),
    ]
