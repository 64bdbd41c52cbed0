"""What is wrong with our own machinery, told once when it is found and once when it is over. Owns Incident.

Used by the auditor of the ladder (audit.py) and by the watch over the machines, one room higher. One open incident a kind;
it ends when nothing of it has been found for QUIET. Words are its finder's; they go to the city's duty engineers by the
ordinary ledger, chased (叫应) until somebody confirms.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from alerts.assessment.wording import Words
from alerts.bulletins import issue
from alerts.models import Bulletin, BulletinKind, Requires
from escalation.models import Incident
from hydrology.models import Level, Region
from officers.models import Duty

QUIET = timedelta(minutes=5)  # so long nothing must be found before an incident is over
VALIDITY = timedelta(hours=6)
CONFIRM_WITHIN = timedelta(minutes=10)
CHASED = 3  # Bulletin.urgency


def note(kind: str, count: int, now: datetime) -> Incident | None:
    """It was found, so many at once; the incident when this is the first time. Call inside a transaction."""
    incident = Incident.objects.filter(kind=kind, ended_at=None).first()
    if incident is None:
        return Incident.objects.create(kind=kind, found_at=now, seen_at=now, worst=count)
    incident.seen_at, incident.worst = now, max(incident.worst, count)
    incident.save(update_fields=["seen_at", "worst"])
    return None


def end_quiet(now: datetime, *, about: Sequence[str]) -> list[Incident]:
    """End those whose kind begins with one of these words and that were not found for QUIET; oldest first."""
    quiet = Incident.objects.filter(ended_at=None, seen_at__lte=now - QUIET).order_by("id")
    ended = [incident for incident in quiet if incident.kind.partition("/")[0] in about]
    for incident in ended:
        incident.ended_at = now
        incident.save(update_fields=["ended_at"])
    return ended


def tell(kind: str, words: Words, now: datetime, *, over: bool = False) -> Bulletin:
    """The bulletin of an incident: chased, or the all-clear that supersedes it."""
    about = f"audit/{kind}"
    return issue(
        words,
        now=now,
        kind=BulletinKind.MESSAGE,
        urgency=0 if over else CHASED,
        level="clear" if over else "late",
        areas=list(Region.objects.filter(level=Level.CITY).order_by("code").values_list("code", flat=True)),
        duties=[Duty.ENGINEER.value],
        about=about,
        requires=Requires.NONE if over else Requires.CONFIRM,
        deadline_at=None if over else now + CONFIRM_WITHIN,
        valid_until=now + VALIDITY,
        drill=False,
        caused_at=now,
        supersedes=Bulletin.objects.filter(about=about, level="late").order_by("-id").first()
        if over
        else None,
    )
