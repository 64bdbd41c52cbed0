"""What is said to a phone on a shelf may be let go again; what people were told stays frozen."""

from django.db import migrations, models

MAY_GO = """
CREATE OR REPLACE FUNCTION bulletin_is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.kind = 'canary' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'bulletin % is frozen: issue a new one that supersedes it', OLD.id;
END $$;
"""
MAY_NOT = """
CREATE OR REPLACE FUNCTION bulletin_is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'bulletin % is frozen: issue a new one that supersedes it', OLD.id;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("alerts", "0011_events_by_hand"),
    ]

    operations = [
        migrations.AlterField(
            model_name="bulletin",
            name="kind",
            field=models.CharField(
                choices=[
                    ("warning", "预警"),
                    ("order", "指令"),
                    ("level", "水情"),
                    ("message", "通知"),
                    ("canary", "自检"),
                ],
                max_length=16,
            ),
        ),
        migrations.RunSQL(MAY_GO, MAY_NOT),
    ]
