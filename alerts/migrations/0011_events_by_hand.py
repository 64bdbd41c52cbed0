"""A person may take the same step twice at one instant of the data; the watch may not."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("alerts", "0010_drill_stays_drill")]

    operations = [
        migrations.RemoveConstraint(model_name="warningevent", name="warning_event_once"),
        migrations.AddConstraint(
            model_name="warningevent",
            constraint=models.UniqueConstraint(
                condition=models.Q(("actor", None)),
                fields=("warning", "at", "action"),
                name="warning_event_once",
            ),
        ),
        migrations.AlterField(
            model_name="held",
            name="fields",
            field=models.JSONField(
                help_text="the other columns the bulletin will have; deadline_s counts from its release"
            ),
        ),
    ]
