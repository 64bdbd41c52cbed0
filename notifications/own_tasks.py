"""Whose the tasks of an order are: by duty and level of the posts he holds in its areas.

A message of a thread shows the tasks of every order in force of it: what a district or street added under the city's order
stands beside the city's own. Four queries whatever the number of messages and people; matching is done here, because ten
thousand connected officers matched by the database took 8 s.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import F

from alerts.models import OrderTask, ResponseOrder
from foundation.clock import iso
from officers.models import Post

Row = dict[str, Any]
States = Mapping[tuple[int, int], str]  # (officer, task): what he said of it last


class Line(NamedTuple):
    """A message to somebody about an order that asks for something."""

    delivery: int
    officer: int
    order: int


@dataclass(frozen=True, slots=True)
class _Task:
    thread: str
    duty: str
    level: str
    duties: frozenset[str]
    areas: frozenset[str]
    shown: Row

    def is_of(self, duty: str, level: str, path: str) -> bool:
        """Whether a post of this duty in the region at `path` makes it his."""
        return (
            self.level in ("", level)
            and (duty == self.duty if self.duty else duty in self.duties)
            and not self.areas.isdisjoint(path.split("/"))
        )


_states: list[Callable[[set[tuple[int, int]]], States]] = []


def tell_states(asked: Callable[[set[tuple[int, int]]], States]) -> None:
    """A room above says what officers reported of their tasks: {(officer, task): state} of those asked for."""
    _states.append(asked)


def own_tasks(lines: Iterable[Line], *, now: datetime) -> dict[int, list[Row]]:
    """By delivery its officer's own tasks, the superior's first: {id, text_zh, text_en, due_at, state}."""
    wanted = list(lines)
    threads = _threads({line.order for line in wanted})
    tasks = _tasks(set(threads.values())) if threads else []
    if not tasks:
        return {}
    held = _held(tasks, {line.officer for line in wanted}, now)
    states = _said({(officer, task.shown["id"]) for officer, theirs in held.items() for task in theirs})
    found = {}
    for delivery, officer, order in wanted:
        found[delivery] = [
            {**task.shown, "state": states.get((officer, task.shown["id"]))}
            for task in held.get(officer, ())
            if task.thread == threads.get(order)
        ]
    return found


def spoken(task: Row, language: str) -> Row:
    """The task in one language, as the inbox shows it."""
    text = task["text_en" if language == "en" else "text_zh"]
    return {"id": task["id"], "text": text, "due_at": task["due_at"], "state": task["state"]}


def _threads(orders: set[int]) -> dict[int, str]:
    """By order its thread."""
    return dict(ResponseOrder.objects.filter(pk__in=orders).values_list("pk", "thread")) if orders else {}


def _tasks(threads: set[str]) -> list[_Task]:
    in_force = ResponseOrder.objects.in_force().filter(thread__in=threads)
    rows = (
        OrderTask.objects.filter(order__in=in_force)
        .select_related("order")
        .order_by(F("order__under").asc(nulls_first=True), "order", "number")
    )
    return [
        _Task(
            thread=row.order.thread,
            duty=row.duty,
            level=row.level,
            duties=frozenset(row.order.duties),
            areas=frozenset(row.order.areas),
            shown={
                "id": row.pk,
                "text_zh": row.text_zh,
                "text_en": row.text_en or row.text_zh,
                "due_at": _due(row),
            },
        )
        for row in rows
    ]


def _due(task: OrderTask) -> str | None:
    released_at = task.order.released_at
    if released_at is None or task.due_min is None:
        return None
    return iso(released_at + timedelta(minutes=task.due_min))


def _held(tasks: list[_Task], officers: set[int], now: datetime) -> dict[int, list[_Task]]:
    """By officer the tasks that any of his posts makes his, in their order."""
    posts = Post.objects.active(now).filter(officer__in=officers, duty__in=_duties(tasks))
    known: dict[tuple[str, str, str], frozenset[int]] = {}
    numbers = defaultdict[int, set[int]](set)
    for officer, *post in posts.values_list("officer_id", "duty", "region__level", "region__path"):
        duty, level, path = key = tuple(post)
        if key not in known:
            known[key] = frozenset(n for n, task in enumerate(tasks) if task.is_of(duty, level, path))
        numbers[officer] |= known[key]
    return {officer: [tasks[n] for n in sorted(mine)] for officer, mine in numbers.items() if mine}


def _duties(tasks: Iterable[_Task]) -> set[str]:
    return {duty for task in tasks for duty in ([task.duty] if task.duty else task.duties)}


def _said(asked: set[tuple[int, int]]) -> dict[tuple[int, int], str]:
    return {key: state for tell in _states if asked for key, state in tell(asked).items()}
