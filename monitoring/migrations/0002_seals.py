"""Seals of the append-only logs; the database itself refuses to change or delete one. TRUNCATE is left to the owner."""

import django.contrib.postgres.fields
from django.db import migrations, models

FORBID = """
CREATE FUNCTION monitoring_seal_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'seals are never changed';
END $$;
CREATE TRIGGER seal_stays BEFORE UPDATE OR DELETE ON monitoring_seal
    FOR EACH STATEMENT EXECUTE FUNCTION monitoring_seal_stays();
"""
ALLOW = """
DROP TRIGGER seal_stays ON monitoring_seal;
DROP FUNCTION monitoring_seal_stays();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("monitoring", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Seal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "log",
                    models.CharField(help_text="audit, bulletin, order, warning or receipt", max_length=16),
                ),
                (
                    "month",
                    models.IntegerField(
                        help_text="YYYYMM of the lines whose receipts these are; 0: never let go"
                    ),
                ),
                ("first", models.BigIntegerField()),
                ("last", models.BigIntegerField()),
                ("rows", models.IntegerField()),
                (
                    "columns",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64), size=None
                    ),
                ),
                ("made_at", models.DateTimeField(db_index=True)),
                (
                    "before",
                    models.CharField(
                        blank=True, help_text="the digest of the seal made before this one", max_length=64
                    ),
                ),
                ("digest", models.CharField(max_length=64)),
            ],
            options={
                "indexes": [models.Index(fields=["log", "-last"], name="seal_log")],
                "constraints": [
                    models.UniqueConstraint(fields=("log", "month", "last"), name="seal_once"),
                    models.UniqueConstraint(fields=("before",), name="seal_chain"),
                ],
            },
        ),
        migrations.RunSQL(FORBID, ALLOW),
    ]
