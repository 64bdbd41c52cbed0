"""Which table of ladders is in force. Owns LadderTable; written by `manage.py ladder`, read at every climb's start."""

from datetime import datetime

from escalation.ladder_table import DEFAULT, Table, parse_table
from escalation.models import LadderTable


def table_at(at: datetime) -> tuple[str, Table]:
    """(version, table); version "" with the defaults where no table was set."""
    row = LadderTable.objects.filter(valid_from__lte=at).order_by("-valid_from", "-version").first()
    return (row.version, parse_table(row.rows)) if row else ("", DEFAULT)


def put(rows: object, *, version: str, note: str, now: datetime) -> LadderTable:
    """From now on climbs start by these ladders; those under way keep theirs. Raises BadTable."""
    parse_table(rows)
    return LadderTable.objects.create(version=version, valid_from=now, rows=rows, note=note)
