"""What SL 651 stations are asked for (mode M4): the only writer of Question.

An engineer asks (`manage.py ask_sl651`), the listener sends it once the station is on the line, the answer is a telegram
like any other. Asked again after 10 s of silence, three times at most, then it is left; a station that does not
call within a day is not asked any more. Source: SL 651-2014, mode M4.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import F, QuerySet

from hydrology.models import Question
from hydrology.science.sl651_talk import PATIENCE, REPEATS

WAITS: timedelta = timedelta(days=1)
MOST_TRIES = REPEATS + 1


def ask(feed_key: str, rtu: str, function: int, wanted: bytes, now: datetime) -> Question:
    """Leave a question for a station; it is sent when the station is next heard."""
    return Question.objects.create(
        feed_id=feed_key, rtu=rtu, function=function, wanted=wanted, asked_at=now, due_at=now
    )


def due(feed_key: str, rtus: Sequence[str], now: datetime) -> list[Question]:
    """The oldest open question of each of these stations, if it is time; from now on it counts as sent."""
    oldest = _open(feed_key, now).filter(rtu__in=rtus).order_by("rtu", "asked_at", "id").distinct("rtu")
    found = [each for each in oldest if each.due_at <= now]
    Question.objects.filter(pk__in=[each.pk for each in found]).update(
        tries=F("tries") + 1, due_at=now + PATIENCE
    )
    return found


def answered(feed_key: str, rtu: str, function: int, now: datetime) -> None:
    """The station has answered: its oldest question of this function is closed."""
    oldest = _open(feed_key, now, left=True).filter(rtu=rtu, function=function, tries__gt=0)
    first = oldest.order_by("asked_at", "id").values("pk")[:1]
    Question.objects.filter(pk__in=first).update(answered_at=now)


def state(question: Question, now: datetime) -> str:
    """What became of it, in a word for the engineer."""
    if question.answered_at:
        return "answered 已答"
    if question.tries >= MOST_TRIES and question.due_at <= now:
        return "silent 未答"
    if now - question.asked_at > WAITS:
        return "never heard 未上线"
    return "waiting 待问" if question.tries == 0 else f"asked x{question.tries} 已问"


def forget_old(*, now: datetime, keep_days: int) -> int:
    """Delete questions asked more than `keep_days` ago (0: none); returns how many."""
    old = Question.objects.filter(asked_at__lt=now - timedelta(days=keep_days))
    return old.delete()[0] if keep_days else 0


def _open(feed_key: str, now: datetime, *, left: bool = False) -> QuerySet[Question]:
    """Not answered and not too old; with `left` also those sent three times in vain, for an answer may come late."""
    rows = Question.objects.filter(feed=feed_key, answered_at=None, asked_at__gt=now - WAITS)
    return rows if left else rows.exclude(tries__gte=MOST_TRIES, due_at__lte=now)
