"""A bulletin is what people were told: the database itself refuses to change or delete one."""

from django.db import migrations

FREEZE = """
CREATE FUNCTION bulletin_is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'bulletin % is frozen: issue a new one that supersedes it', OLD.id;
END $$;
CREATE TRIGGER bulletin_frozen BEFORE UPDATE OR DELETE ON alerts_bulletin
    FOR EACH ROW EXECUTE FUNCTION bulletin_is_frozen();
"""
THAW = "DROP TRIGGER bulletin_frozen ON alerts_bulletin; DROP FUNCTION bulletin_is_frozen();"


class Migration(migrations.Migration):
    dependencies = [("alerts", "0001_initial")]
    operations = [migrations.RunSQL(FREEZE, THAW)]
