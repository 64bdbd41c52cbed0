"""Nothing of a drill can turn real: the database itself refuses what would make it so.

The mark and the drill of a warning or an order never change; a bulletin carries those of what it is about; who takes
part in a drill is fixed once it has begun, and a drill that has ended does not come back.
"""

from django.db import migrations

KEEP = """
CREATE FUNCTION drill_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %: what is a drill stays one, and what is real stays real', TG_TABLE_NAME, OLD.id
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER warning_drill_kept BEFORE UPDATE OF drill, drill_of_id ON alerts_warning FOR EACH ROW
    WHEN ((OLD.drill, OLD.drill_of_id) IS DISTINCT FROM (NEW.drill, NEW.drill_of_id))
    EXECUTE FUNCTION drill_is_kept();
CREATE TRIGGER order_drill_kept BEFORE UPDATE OF drill, drill_of_id ON alerts_responseorder FOR EACH ROW
    WHEN ((OLD.drill, OLD.drill_of_id) IS DISTINCT FROM (NEW.drill, NEW.drill_of_id))
    EXECUTE FUNCTION drill_is_kept();

CREATE FUNCTION drill_audience_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'drill %: who takes part is fixed when it begins, and what has ended stays so', OLD.id
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER drill_audience_kept BEFORE UPDATE ON alerts_drill FOR EACH ROW
    WHEN (OLD.began_at IS NOT NULL AND (OLD.officers IS DISTINCT FROM NEW.officers OR NEW.state = 'planned')
          OR OLD.state = 'ended' AND NEW.state <> 'ended')
    EXECUTE FUNCTION drill_audience_is_kept();

CREATE FUNCTION bulletin_is_as_its_cause() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM alerts_warning w WHERE w.id = NEW.warning_id
               AND (w.drill, w.drill_of_id) IS DISTINCT FROM (NEW.drill, NEW.drill_of_id))
        OR EXISTS (SELECT 1 FROM alerts_responseorder o WHERE o.id = NEW.order_id
                   AND (o.drill, o.drill_of_id) IS DISTINCT FROM (NEW.drill, NEW.drill_of_id)) THEN
        RAISE EXCEPTION 'a bulletin is a drill exactly when its warning or order is' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER bulletin_as_its_cause BEFORE INSERT ON alerts_bulletin
    FOR EACH ROW EXECUTE FUNCTION bulletin_is_as_its_cause();
"""
LET_GO = """
DROP TRIGGER bulletin_as_its_cause ON alerts_bulletin;
DROP TRIGGER drill_audience_kept ON alerts_drill;
DROP TRIGGER order_drill_kept ON alerts_responseorder;
DROP TRIGGER warning_drill_kept ON alerts_warning;
DROP FUNCTION bulletin_is_as_its_cause(), drill_audience_is_kept(), drill_is_kept();
"""


class Migration(migrations.Migration):
    dependencies = [("alerts", "0009_storms_followed")]
    operations = [migrations.RunSQL(KEEP, LET_GO)]
