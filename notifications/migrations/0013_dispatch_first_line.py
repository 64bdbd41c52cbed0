"""A dispatch knows from which id on its lines stand, so what asks for them reads them and not their whole month.

Of those there are, the first id of their month (0 where ids do not say it): as far back as they looked before.
"""

from django.db import migrations, models

_OF_MONTH = """
UPDATE notifications_dispatch s SET first_line = of.month
FROM (SELECT id, to_char(created_at AT TIME ZONE 'UTC', 'YYYYMM')::bigint * 1000000000 AS month FROM notifications_dispatch) of
WHERE of.id = s.id
  AND of.month >= (SELECT seqstart FROM pg_sequence WHERE seqrelid = 'notifications_delivery_id_seq'::regclass)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0012_each_word"),
    ]

    operations = [
        migrations.AddField(
            "dispatch",
            "first_line",
            models.BigIntegerField(
                db_default=0, help_text="none of its lines has a lower id; 0: not known (months.since_of)"
            ),
        ),
        migrations.RunSQL(_OF_MONTH, migrations.RunSQL.noop),
        migrations.RemoveIndex("dispatch", "dispatch_expires"),
        migrations.AddIndex(
            "dispatch", models.Index(fields=["expires_at", "first_line"], name="dispatch_open_since")
        ),
    ]
