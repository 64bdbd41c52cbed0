"""`manage.py releases [FILE.json] [--apply]`: which words of the watch wait for release, or what a file would change.

Without a file the table in force is printed as JSON, ready to be edited ({} is: everything at once). With one it is
checked and compared; only --apply puts it in force, from now on: what is held already keeps its limit.
"""

from datetime import datetime

from alerts import releases
from alerts.assessment.policy import DEFAULT_ROWS, parse_policy
from alerts.models import ReleaseTable
from foundation.management.tables import TableCommand


class Command(TableCommand):
    help = "Show the release policy of warnings, or set it from a JSON file."
    put = staticmethod(releases.put_in_force)

    def in_force(self, at: datetime) -> tuple[str, object]:
        version, _ = releases.in_force(at)
        row = ReleaseTable.objects.filter(pk=version).first()
        return version, row.rows if row else DEFAULT_ROWS

    def changes(self, rows: object, wanted: object) -> list[str]:
        before, after = parse_policy(rows), parse_policy(wanted)
        return [
            f"{'.'.join(key)}: {_said(before.after_s(*key))} -> {_said(after.after_s(*key))}"
            for key in sorted(before.waits_s.keys() | after.waits_s.keys())
            if before.after_s(*key) != after.after_s(*key)
        ]


def _said(after_s: int | None) -> str:
    if after_s is None:
        return "only by a person"
    return f"by itself after {after_s} s" if after_s else "at once"
