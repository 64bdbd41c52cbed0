"""What is actually said to people: the one place that writes a Bulletin. Rows are frozen by a trigger.

It leaves behind a bulletin without a dispatch; notifications takes it up (nudge, else its sweep).
"""

from datetime import datetime

from alerts.assessment.wording import Words
from alerts.models import Bulletin
from foundation.nudge import nudge


def issue(words: Words, *, now: datetime, **fields: object) -> Bulletin:
    """Freeze the words with their areas, duties, validity and cause; call inside the cause's transaction.

    `fields` are the Bulletin's other columns (kind, urgency, level, areas, duties, requires, valid_until,
    drill, caused_at, reasons, warning or order, supersedes, deadline_at).
    """
    bulletin = Bulletin.objects.create(
        title_zh=words.title_zh,
        title_en=words.title_en,
        push_zh=words.push_zh,
        push_en=words.push_en,
        body_zh=words.body_zh,
        body_en=words.body_en,
        issued_at=now,
        **fields,
    )
    nudge("dispatch.sweep")
    return bulletin
