"""What was seen, when and beside which water is evidence: the database itself lets only the life cycle change."""

from django.db import migrations

KEEP = """
CREATE FUNCTION ground_evidence_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was reported from the ground is evidence and never changes (% %)', TG_TABLE_NAME, OLD.id;
END $$;
CREATE TRIGGER ground_report_kept BEFORE UPDATE ON hazards_groundreport FOR EACH ROW
    WHEN ((OLD.officer_id, OLD.client_id, OLD.digest, OLD.kind, OLD.severity, OLD.lon, OLD.lat, OLD.region_id, OLD.text,
           OLD.at, OLD.received_at, OLD.stamp)
        IS DISTINCT FROM (NEW.officer_id, NEW.client_id, NEW.digest, NEW.kind, NEW.severity, NEW.lon, NEW.lat,
           NEW.region_id, NEW.text, NEW.at, NEW.received_at, NEW.stamp))
    EXECUTE FUNCTION ground_evidence_is_kept();
CREATE TRIGGER ground_photo_kept BEFORE UPDATE ON hazards_groundphoto
    FOR EACH ROW EXECUTE FUNCTION ground_evidence_is_kept();
"""
LET_GO = """
DROP TRIGGER ground_photo_kept ON hazards_groundphoto;
DROP TRIGGER ground_report_kept ON hazards_groundreport;
DROP FUNCTION ground_evidence_is_kept();
"""


class Migration(migrations.Migration):
    dependencies = [("hazards", "0004_ground_reports")]
    operations = [migrations.RunSQL(KEEP, LET_GO)]
