"""Reminders of forms, zero reports and tasks that have not come. Owns Reminder; woken by its sweep every minute.

Leaves a Bulletin of kind message to named officers: first to those who owe it, then to the duty desks above them. A
Reminder row makes it once, in the bulletin's own transaction, under the order's row. Nothing is due: two queries. What
was due while nobody swept is not made up for: only the period now running and the one just over are looked at.
Orders that have ended, are past their validity, or whose drill is not running, remind nobody.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Prefetch, Q, QuerySet

from alerts.assessment.wording import Words
from alerts.bulletins import issue
from alerts.models import BulletinKind, DrillState, OrderTask, Requires, ResponseOrder
from hazards import tasks, words
from hazards.models import Reminder, ReminderKind, Told
from hazards.periods import DAY_H, Period, period, running
from hazards.rollup import expected
from hazards.scoping import first_dispatch
from notifications import months
from officers.models import IN_FORCE

log = logging.getLogger(__name__)

BEFORE_END = timedelta(minutes=30)  # people are reminded so long before the form's period ends
TASK_GRACE = timedelta(minutes=30)  # from the reminder of a task to its desk
VALIDITY = timedelta(hours=6)
URGENCY = {Told.PEOPLE: 2, Told.DESK: 1}

# who should have reported for these places: their own people; those of the cells where a place has none
_OWING = """
WITH told AS (
    SELECT d.officer_id, r.code, CASE WHEN r.level = 'frontline' THEN r.parent_id ELSE r.code END AS place
    FROM notifications_delivery d JOIN hydrology_region r ON r.code = d.region_id
    WHERE d.id >= %(since)s AND d.dispatch_id = %(first)s
)
SELECT officer_id FROM told WHERE place = ANY(%(places)s)
  AND (code = place OR place NOT IN (SELECT code FROM told WHERE code = place))
ORDER BY officer_id
"""

# by place the nearest region above it with a duty desk, and who staffs that; of a drill only who takes part
_DESKS = f"""
WITH staff AS (
    SELECT p.region_id, array_agg(DISTINCT p.officer_id) AS officers
    FROM officers_post p JOIN officers_officer o ON o.id = p.officer_id AND o.is_active
    WHERE p.duty = 'desk' AND {IN_FORCE}
      AND (NOT %(drill)s OR p.officer_id IN (
          SELECT officer_id FROM notifications_delivery WHERE id >= %(since)s AND dispatch_id = %(first)s))
    GROUP BY p.region_id
)
SELECT DISTINCT ON (own.path) own.code, own.name, above.code, above.name, staff.officers
FROM hydrology_region own
JOIN hydrology_region above ON above.code = ANY(string_to_array(own.path, '/')) AND above.code <> own.code
JOIN staff ON staff.region_id = above.code
WHERE own.code = ANY(%(places)s)
ORDER BY own.path, length(above.path) DESC
"""


class Step(NamedTuple):
    """What is to be looked at for an order now; `tasks` are those of kind task."""

    order: int
    kind: ReminderKind
    told: Told
    period: Period
    tasks: tuple[int, ...] = ()


class Desk(NamedTuple):
    """A region with a duty desk, who staffs it, and the places below it that owe something, code to name."""

    code: str
    name: str
    officers: list[int]
    owing: dict[str, str]


Key = tuple[int, str, str, int | None, int]  # order, kind, told, task, period


def remind(*, now: datetime) -> int:
    """Send every reminder that is due; returns how many messages. Any number of sweeps at once send each once."""
    orders = list(
        _reminding(now).prefetch_related(Prefetch("tasks", OrderTask.objects.filter(due_min__isnull=False)))
    )
    sent_at: dict[Key, datetime] = {
        row[:-1]: row[-1]
        for row in Reminder.objects.filter(order__in=orders).values_list(
            "order", "kind", "told", "task", "period", "sent_at"
        )
    }
    return sum(_take(step, now) for order in orders for step in _due(order, sent_at, now))


def _reminding(now: datetime) -> QuerySet[ResponseOrder]:
    return (
        ResponseOrder.objects.in_force()
        .filter(Q(drill_of=None) | Q(drill_of__state=DrillState.RUNNING), valid_until__gt=now)
        .order_by("pk")
    )


def _due(order: ResponseOrder, sent_at: dict[Key, datetime], now: datetime) -> Iterator[Step]:
    """The steps whose time has come and that are not in `sent_at`."""
    kind, at = ReminderKind, order.released_at
    assert at is not None  # in force
    steps: list[tuple[ReminderKind, Told, Period]] = []
    if every_h := order.report_every_h:
        present = running(at, every_h, now)
        if now >= present.until_at - BEFORE_END:
            steps.append((kind.FORM, Told.PEOPLE, present))
        if present.number > 1 and every_h != DAY_H:  # where it is a day, the zero report's message says it
            steps.append((kind.FORM, Told.DESK, period(at, every_h, present.number - 1)))
    day = running(at, DAY_H, now)
    if day.number > 1:
        over = period(at, DAY_H, day.number - 1)
        steps += [(kind.ZERO, Told.PEOPLE, over), (kind.ZERO, Told.DESK, over)]
    yield from (
        Step(order.pk, what, told, wanted)
        for what, told, wanted in steps
        if (order.pk, what, told, None, wanted.number) not in sent_at
    )
    yield from _due_tasks(order, sent_at, now)


def _due_tasks(order: ResponseOrder, sent_at: dict[Key, datetime], now: datetime) -> Iterator[Step]:
    """Tasks whose time is up, together: first who is silent, TASK_GRACE later the desk."""
    people, desk = [], []
    for task in order.tasks.all():
        until = tasks.due_at(task, order)
        asked_at = sent_at.get((order.pk, ReminderKind.TASK, Told.PEOPLE, task.pk, 1))
        told_at = sent_at.get((order.pk, ReminderKind.TASK, Told.DESK, task.pk, 1))
        if until is not None and until <= now and asked_at is None:
            people.append(task.pk)
        elif asked_at is not None and asked_at + TASK_GRACE <= now and told_at is None:
            desk.append(task.pk)
    for told, due in ((Told.PEOPLE, people), (Told.DESK, desk)):
        if due:
            yield Step(order.pk, ReminderKind.TASK, told, Period(1, now, now), tuple(due))


@transaction.atomic
def _take(step: Step, now: datetime) -> int:
    """One step, unless another sweep has it or has done it, or the order has ended; returns messages sent."""
    order = (
        _reminding(now)
        .select_for_update(skip_locked=True, no_key=True, of=("self",))
        .filter(pk=step.order)
        .first()
    )
    if order is None:
        return 0
    rows = Reminder.objects.filter(order=order, kind=step.kind, told=step.told, period=step.period.number)
    done = set(rows.values_list("task", flat=True))
    left = tuple(task for task in step.tasks if task not in done) if step.tasks else ()
    if (step.tasks and not left) or (not step.tasks and done):
        return 0
    step = step._replace(tasks=left)
    places, people = _owing(step, order, now)
    Reminder.objects.bulk_create(
        Reminder(
            order=order,
            kind=step.kind,
            told=step.told,
            task_id=task,
            period=step.period.number,
            sent_at=now,
            regions=len(places),
        )
        for task in left or (None,)
    )
    if step.told is Told.DESK:
        sent = _tell_desks(step, order, places, people, now)
    else:
        sent = _tell_people(step, order, places, people, now)
    log.info(
        "reminder.%s order=%s told=%s period=%s regions=%s messages=%s",
        step.kind, order.pk, step.told, step.period.number, len(places), sent,
    )  # fmt: skip
    return sent


def _owing(step: Step, order: ResponseOrder, now: datetime) -> tuple[list[str], dict[int, str]]:
    """(places from which something is missing, people who owe it by id with their place; of a desk's form step none)."""
    if step.kind is ReminderKind.TASK:
        silent = dict(tasks.silent(order, list(step.tasks), now=now))
        return sorted(set(silent.values())), silent
    places = [place.code for place in expected(order, step.period) if not place.reported]
    if step.told is Told.DESK or not places:
        return places, {}
    with connection.cursor() as cursor:
        cursor.execute(_OWING, {**_addressed(order), "places": places})
        return places, {row[0]: "" for row in cursor}


def _tell_people(
    step: Step, order: ResponseOrder, places: Sequence[str], people: dict[int, str], now: datetime
) -> int:
    if not people:
        return 0
    number, until_at = step.period.number, step.period.until_at
    match step.kind:
        case ReminderKind.FORM:
            said = words.form_wanted(order, number, until_at)
        case ReminderKind.ZERO:
            said = words.zero_wanted(order, number)
        case ReminderKind.TASK:
            said = words.task_wanted(order, len(step.tasks))
    _say(step, order, said, places, sorted(people), now, deadline_at=until_at if until_at > now else None)
    return 1


def _tell_desks(
    step: Step, order: ResponseOrder, places: Sequence[str], people: dict[int, str], now: datetime
) -> int:
    """One message for each region with a desk, of all that is missing below it."""
    desks = _desks(order, places, now)
    untold = len(places) - sum(len(desk.owing) for desk in desks)
    if untold:
        log.warning("reminder.no_desk order=%s regions=%s", order.pk, untold)
    for desk in desks:
        names, number = list(desk.owing.values()), step.period.number
        match step.kind:
            case ReminderKind.FORM:
                said = words.form_missing(order, desk.name, number, names)
            case ReminderKind.ZERO:
                said = words.zero_missing(order, desk.name, number, names)
            case ReminderKind.TASK:
                silent = sum(place in desk.owing for place in people.values())
                said = words.task_missing(order, desk.name, silent, names)
        _say(step, order, said, [desk.code], desk.officers, now)
    return len(desks)


def _addressed(order: ResponseOrder) -> dict[str, int | None]:
    """The order's first dispatch, and the id before which it has no line."""
    return {"first": first_dispatch(order), "since": months.since_of(bulletin__order=order)}


def _desks(order: ResponseOrder, places: Sequence[str], now: datetime) -> list[Desk]:
    desks: dict[str, Desk] = {}
    asked = {"places": list(places), "now": now, "drill": order.drill, **_addressed(order)}
    with connection.cursor() as cursor:
        cursor.execute(_DESKS, asked)
        for place, name, above, above_name, officers in cursor:
            desk = desks.setdefault(above, Desk(above, above_name, officers, {}))
            desk.owing[place] = name
    return list(desks.values())


def _say(
    step: Step,
    order: ResponseOrder,
    said: Words,
    areas: Sequence[str],
    officers: list[int],
    now: datetime,
    *,
    deadline_at: datetime | None = None,
) -> None:
    about = {
        ReminderKind.FORM: f"feedback/{order.pk}/{step.period.number}",
        ReminderKind.ZERO: f"zero/{order.pk}/{step.period.number}",
        ReminderKind.TASK: f"tasks/{order.pk}",
    }[step.kind]
    issue(
        said,
        now=now,
        kind=BulletinKind.MESSAGE,
        urgency=URGENCY[step.told],
        level="reminder",
        areas=list(areas),
        duties=[],
        officers=officers,
        about=about,
        reasons={"order": order.pk, "kind": step.kind, "told": step.told, "period": step.period.number},
        requires=Requires.OPEN,
        deadline_at=deadline_at,
        valid_until=now + VALIDITY,
        drill=order.drill,
        drill_of_id=order.drill_of_id,
        caused_at=now,
    )
