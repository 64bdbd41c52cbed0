"""The audit log is append only: the database itself refuses to change or delete an entry.

TRUNCATE is left to the owner of the table (tests empty it so); production roles do not own it.
"""

from django.db import migrations

FORBID = """
CREATE FUNCTION officers_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit entries are append only';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON officers_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION officers_audit_append_only();
"""
ALLOW = """
DROP TRIGGER audit_append_only ON officers_auditentry;
DROP FUNCTION officers_audit_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("officers", "0001_initial")]
    operations = [migrations.RunSQL(FORBID, ALLOW)]
