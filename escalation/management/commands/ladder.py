"""`manage.py ladder [FILE.json] [--apply]`: the table of ladders in force, or what a file would change in it.

Without a file the table is printed as JSON, ready to be edited. With one it is checked and compared; only --apply puts
it in force, from now on: climbs under way keep the ladder they began with.
"""

from datetime import datetime

from escalation import in_force
from escalation.ladder import Ladder
from escalation.ladder_table import DEFAULT_ROWS, parse_table
from escalation.models import LadderTable
from foundation.management.tables import TableCommand


class Command(TableCommand):
    help = "Show the ladders of 叫应, or set them from a JSON file."
    put = staticmethod(in_force.put)

    def in_force(self, at: datetime) -> tuple[str, object]:
        version, _ = in_force.table_at(at)
        row = LadderTable.objects.filter(pk=version).first()
        return version, row.rows if row else DEFAULT_ROWS

    def changes(self, rows: object, wanted: object) -> list[str]:
        before, after = parse_table(rows), parse_table(wanted)
        lines = []
        for kind, urgency in sorted(before.ladders.keys() | after.ladders.keys()):
            was, will = before.ladders.get((kind, urgency)), after.ladders.get((kind, urgency))
            if was != will:
                lines.append(f"{kind} {urgency}: {_said(was)} -> {_said(will)}")
        nights = [f"{sorted(table.night_hours)} x {table.night_factor}" for table in (before, after)]
        if nights[0] != nights[1]:
            lines.append(f"night: {nights[0]} -> {nights[1]}")
        return lines


def _said(ladder: Ladder | None) -> str:
    if ladder is None:
        return "none"
    rungs = ", ".join(
        f"{wait_s} s {errand}/{ladder.channel(n)}"
        for n, (wait_s, errand) in enumerate(zip(ladder.waits_s, ladder.rungs, strict=False))
    )
    needs = f"{ladder.of_group} of the group" if ladder.of_group else "each"
    return f"{rungs}, end after {ladder.waits_s[-1]} s, needs {needs}"
