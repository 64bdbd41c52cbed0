"""Deliveries and receipts stand in one partition a (UTC) month of delivery ids, which say their month. No foreign keys.

Rows are not copied: the table there is becomes the first partition, under the name of the month in which this runs, and
goes on taking rows until that month is over; then ids begin to say theirs. Where there are no rows they do at once. From
which month on: the START of the sequence. The receipts' key is built anew and both tables are read once (about 2 s a
million rows), while the ledger is locked. Back: rows that are attached are copied; let-go months are left where they are.
ADR 16.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

BY_MONTH = """
SET LOCAL timezone = 'UTC';
SET CONSTRAINTS ALL IMMEDIATE;
LOCK TABLE notifications_delivery, notifications_receipt IN ACCESS EXCLUSIVE MODE;
DO $$
DECLARE
    there boolean := EXISTS (SELECT 1 FROM notifications_delivery);
    month timestamp := date_trunc('month', greatest(now(), (SELECT max(created_at) FROM notifications_dispatch)));
    begins bigint := to_char(CASE WHEN there THEN month + interval '1 month' ELSE date_trunc('month', now()) END,
                             'YYYYMM')::bigint * 1000000000;
    whole text;
    old text;
    one record;
    last bigint;
BEGIN
    FOREACH whole IN ARRAY ARRAY['notifications_delivery', 'notifications_receipt'] LOOP
        old := whole || to_char(month, '_YYYY_MM');
        EXECUTE format('SELECT last_value - (NOT is_called)::int FROM %I', whole || '_id_seq') INTO last;
        FOR one IN SELECT conname FROM pg_constraint WHERE conrelid = whole::regclass AND contype = 'f' LOOP
            EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', whole, one.conname);
        END LOOP;
        EXECUTE format('ALTER TABLE %I ALTER id DROP IDENTITY', whole);
        IF whole = 'notifications_receipt' THEN
            ALTER TABLE notifications_receipt DROP CONSTRAINT notifications_receipt_pkey;
            ALTER TABLE notifications_receipt
                ADD CONSTRAINT notifications_receipt_pkey PRIMARY KEY (id, delivery_id);
        END IF;
        EXECUTE format('ALTER TABLE %I RENAME TO %I', whole, old);
        FOR one IN SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                   WHERE i.indrelid = old::regclass LOOP
            EXECUTE format('ALTER INDEX %I RENAME TO %I', one.relname,
                           old || '_' || replace(one.relname, whole || '_', ''));
        END LOOP;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)
                        PARTITION BY RANGE (%I)', whole, old,
                       CASE whole WHEN 'notifications_delivery' THEN 'id' ELSE 'delivery_id' END);
        IF whole = 'notifications_delivery' THEN
            EXECUTE format('CREATE SEQUENCE notifications_delivery_id_seq START %s', begins);
        ELSE
            CREATE SEQUENCE notifications_receipt_id_seq;
        END IF;
        IF last > 0 AND (there OR whole = 'notifications_receipt') THEN
            PERFORM setval((whole || '_id_seq')::regclass, last);
        END IF;
        EXECUTE format('ALTER TABLE %1$I ALTER id SET DEFAULT nextval(%2$L)', whole, whole || '_id_seq');
        EXECUTE format('ALTER SEQUENCE %1$I OWNED BY %2$I.id', whole || '_id_seq', whole);
    END LOOP;
    ALTER TABLE notifications_delivery ADD CONSTRAINT notifications_delivery_pkey PRIMARY KEY (id);
    CREATE INDEX delivery_inbox ON notifications_delivery (officer_id, id);
    CREATE INDEX delivery_due_by_lane ON notifications_delivery (transport, lane, due_at, id)
        WHERE state IN ('pending', 'sending', 'failed_temp');
    CREATE INDEX delivery_vendor_id ON notifications_delivery (vendor_id) WHERE NOT vendor_id = '';
    CREATE INDEX delivery_root ON notifications_delivery (root_id) WHERE root_id IS NOT NULL;
    ALTER TABLE notifications_receipt
        ADD CONSTRAINT notifications_receipt_pkey PRIMARY KEY (id, delivery_id);
    CREATE UNIQUE INDEX receipt_once ON notifications_receipt (delivery_id, state) WHERE NOT state = 'help';
    CREATE UNIQUE INDEX receipt_help_once ON notifications_receipt (delivery_id, at) WHERE state = 'help';
    CREATE INDEX receipt_cannot ON notifications_receipt (received_at) WHERE state = 'cannot';
    CREATE INDEX receipt_form ON notifications_receipt (received_at) WHERE form IS NOT NULL;
    FOREACH whole IN ARRAY ARRAY['notifications_delivery', 'notifications_receipt'] LOOP
        old := whole || to_char(month, '_YYYY_MM');
        IF there THEN
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%s)', whole, old, begins);
        ELSE
            EXECUTE format('DROP TABLE %I', old);
        END IF;
    END LOOP;
END $$;
ANALYZE notifications_delivery, notifications_receipt;
"""

WHOLE = """
SET CONSTRAINTS ALL IMMEDIATE;
LOCK TABLE notifications_delivery, notifications_receipt IN ACCESS EXCLUSIVE MODE;
DO $$
DECLARE
    whole text;
    last bigint;
BEGIN
    FOREACH whole IN ARRAY ARRAY['notifications_delivery', 'notifications_receipt'] LOOP
        EXECUTE format('SELECT last_value FROM %I', whole || '_id_seq') INTO last;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING CONSTRAINTS INCLUDING STORAGE)', whole || '_whole', whole);
        EXECUTE format('INSERT INTO %I SELECT * FROM %I ORDER BY id', whole || '_whole', whole);
        EXECUTE format('DROP TABLE %I', whole);
        EXECUTE format('ALTER TABLE %I RENAME TO %I', whole || '_whole', whole);
        EXECUTE format('ALTER TABLE %1$I ADD CONSTRAINT %2$I PRIMARY KEY (id)', whole, whole || '_pkey');
        EXECUTE format('ALTER TABLE %I ALTER id ADD GENERATED BY DEFAULT AS IDENTITY', whole);
        PERFORM setval(pg_get_serial_sequence(whole, 'id'), last);
    END LOOP;
END $$;
ALTER TABLE notifications_delivery
    ALTER lane SET DEFAULT 1, ALTER vendor_id SET DEFAULT '', ALTER rerouted SET DEFAULT '',
    ADD CONSTRAINT delivery_once UNIQUE (dispatch_id, officer_id),
    ADD CONSTRAINT notifications_delivery_dispatch_fk FOREIGN KEY (dispatch_id)
        REFERENCES notifications_dispatch (id) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT notifications_delivery_officer_fk FOREIGN KEY (officer_id)
        REFERENCES officers_officer (id) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT notifications_delivery_region_fk FOREIGN KEY (region_id)
        REFERENCES hydrology_region (code) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT notifications_delivery_root_fk FOREIGN KEY (root_id)
        REFERENCES notifications_delivery (id) DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX delivery_inbox ON notifications_delivery (officer_id, id);
CREATE INDEX delivery_due_by_lane ON notifications_delivery (transport, lane, due_at, id)
    WHERE state IN ('pending', 'sending', 'failed_temp');
CREATE INDEX delivery_vendor_id ON notifications_delivery (vendor_id) WHERE NOT vendor_id = '';
CREATE INDEX delivery_root ON notifications_delivery (root_id) WHERE root_id IS NOT NULL;
ALTER TABLE notifications_receipt ADD CONSTRAINT notifications_receipt_delivery_fk FOREIGN KEY (delivery_id)
    REFERENCES notifications_delivery (id) DEFERRABLE INITIALLY DEFERRED;
CREATE UNIQUE INDEX receipt_once ON notifications_receipt (delivery_id, state) WHERE NOT state = 'help';
CREATE UNIQUE INDEX receipt_help_once ON notifications_receipt (delivery_id, at) WHERE state = 'help';
CREATE INDEX receipt_cannot ON notifications_receipt (received_at) WHERE state = 'cannot';
CREATE INDEX receipt_form ON notifications_receipt (received_at) WHERE form IS NOT NULL;
"""


def unbound(model: str, name: str, to: str, **more: object) -> migrations.AlterField:
    field = models.ForeignKey(
        to, django.db.models.deletion.PROTECT, db_index=False, db_constraint=False, **more
    )
    return migrations.AlterField(model, name, field)


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0010_help_again"),
        # nothing may refer to a month in the database
        ("escalation", "0003_climb_unbound"),
        ("hazards", "0003_receipt_unbound"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            "providerreport",
            "delivery",
            models.ForeignKey(
                "notifications.delivery",
                django.db.models.deletion.PROTECT,
                db_constraint=False,
                null=True,
                related_name="reports",
                help_text="null: no such message",
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(BY_MONTH, WHOLE)],
            state_operations=[
                migrations.RemoveConstraint("delivery", "delivery_once"),
                unbound("delivery", "dispatch", "notifications.dispatch", related_name="deliveries"),
                unbound("delivery", "officer", settings.AUTH_USER_MODEL, related_name="deliveries"),
                unbound(
                    "delivery",
                    "region",
                    "hydrology.region",
                    help_text="of the post by which he is addressed",
                ),
                unbound(
                    "delivery",
                    "root",
                    "notifications.delivery",
                    null=True,
                    help_text="repeat of this one; the id the phone knows",
                ),
                unbound("receipt", "delivery", "notifications.delivery", related_name="receipts"),
            ],
        ),
        # the months in which something may still be open: of what has not expired for long
        migrations.AddIndex(
            "dispatch", models.Index(fields=["expires_at", "created_at"], name="dispatch_expires")
        ),
    ]
