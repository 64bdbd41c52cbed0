"""Orders issued before there was an undo window went out at once."""

from django.db import migrations

RELEASED = """
UPDATE alerts_responseorder o SET released_at = said.at
FROM (SELECT order_id, min(issued_at) AS at FROM alerts_bulletin WHERE order_id IS NOT NULL GROUP BY order_id) said
WHERE said.order_id = o.id
"""


class Migration(migrations.Migration):
    dependencies = [("alerts", "0006_plans_drills_releases")]
    operations = [migrations.RunSQL(RELEASED, migrations.RunSQL.noop)]
