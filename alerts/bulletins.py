"""What is actually said to people: the one place that writes a Bulletin. Rows are frozen by a trigger.

It leaves behind a bulletin without a dispatch; notifications takes it up (nudge, else its sweep).
"""

from collections.abc import Iterable
from datetime import datetime

from alerts.assessment.wording import Words
from alerts.models import Bulletin, BulletinKind, ResponseOrder, Warning
from foundation.nudge import nudge


def issue(words: Words, *, now: datetime, **fields: object) -> Bulletin:
    """Freeze the words with their areas, duties, validity and cause; call inside the cause's transaction.

    `fields` are the Bulletin's other columns (kind, urgency, level, areas, duties, requires, valid_until,
    drill, drill_of_id, caused_at, reasons, warning or order, supersedes, deadline_at). Whether it is a drill, and
    whose, is the warning's or order's to say; a drill's threads are its own.
    """
    drill_of = fields.pop("drill_of_id", None)
    for cause in (fields.get("warning"), fields.get("order")):
        if isinstance(cause, Warning | ResponseOrder):
            drill_of, fields["drill"] = cause.drill_of_id, cause.drill
    if drill_of:
        fields["thread"] = "/".join(filter(None, (f"drill/{drill_of}", str(fields.get("thread") or ""))))
    bulletin = Bulletin.objects.create(
        title_zh=words.title_zh,
        title_en=words.title_en,
        push_zh=words.push_zh,
        push_en=words.push_en,
        body_zh=words.body_zh,
        body_en=words.body_en,
        issued_at=now,
        drill_of_id=drill_of,
        **fields,
    )
    nudge("dispatch.sweep")
    return bulletin


def forget_canaries(bulletins: Iterable[int]) -> int:
    """Let go what no person was told; returns how many. The trigger refuses anything else."""
    return Bulletin.objects.filter(pk__in=bulletins, kind=BulletinKind.CANARY).delete()[0]
