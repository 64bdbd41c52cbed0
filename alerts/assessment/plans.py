"""Templates of response orders (预案) as dry values: parsed from JSON once, filled when an order is drafted.

    {"note": "…", "plans": [{"key": "flood-IV-city", "name_zh": "…", "name_en": "…", "hazard": "flood", "level": "IV",
      "authority_level": "city", "title_zh": "…{level}…", "title_en": "…", "text_zh": "…{areas}…", "text_en": "…",
      "duties": ["flood"], "deadline_min": 60, "valid_h": 24, "report_every_h": 12,
      "tasks": [{"duty": "flood", "level": "street", "text_zh": "…", "text_en": "…", "due_min": 120}],
      "measures": [{"sector": "school"}], "note": "…"}]}

A plan is for one hazard, level and kind of authority. `{authority}`, `{level}`, `{action}` may stand in every text,
`{areas}` only in the order's own: titles and tasks are short. Owns no rows; the defaults are plan_defaults.py.
"""

import re
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, NoReturn

from foundation.texts import storable

HAZARDS: Final = ("rainstorm", "flood", "reservoir", "river", "tide")
LEVELS: Final = ("watch", "IV", "III", "II", "I")
AUTHORITIES: Final = ("city", "district", "street")
PLACES: Final = (*AUTHORITIES, "community", "frontline")
DUTIES: Final = ("command", "desk", "flood", "reporter", "forest")
SECTORS: Final = ("school", "work", "production", "transport", "business")
SHORT: Final = frozenset({"authority", "level", "action"})
LONG: Final = SHORT | {"areas"}
MOST_TASKS: Final = 50
MOST_MINUTES: Final = 3 * 24 * 60
_MARK: Final = re.compile(r"\{([^{}]*)\}")


class BadPlan(ValueError):
    """`where`: the path of the faulty value; the text says why and what would be right."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where


@dataclass(frozen=True, slots=True)
class Task:
    """One duty's task; an empty duty or level is everybody's. `due_min` counts from the release."""

    duty: str
    level: str
    text_zh: str
    text_en: str
    due_min: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """One template. Times in minutes and hours from the release; None: none is asked for."""

    key: str
    name_zh: str
    name_en: str
    hazard: str
    level: str
    authority_level: str
    title_zh: str
    title_en: str
    text_zh: str
    text_en: str
    duties: tuple[str, ...]
    deadline_min: int | None
    valid_h: int
    report_every_h: int | None
    tasks: tuple[Task, ...]
    sectors: tuple[str, ...]
    note: str


def parse_plans(rows: object) -> dict[str, Plan]:
    """The plans of these JSON rows by key. Raises BadPlan."""
    top = _object(rows, "table", {"plans"}, {"note"})
    _text(top.get("note", ""), "note", most=1000, may_be_empty=True)
    given = top["plans"]
    if not isinstance(given, list) or not 0 < len(given) <= 500:
        _refuse("plans", given, "a list of 1 to 500 plans")
    plans: dict[str, Plan] = {}
    for n, row in enumerate(given):
        plan = _plan(row, f"plans[{n}]")
        if plan.key in plans:
            raise BadPlan(f"plans[{n}].key", f"{plan.key} stands there twice")
        plans[plan.key] = plan
    return plans


def find(plans: Mapping[str, Plan], hazard: str, level: str, authority_level: str) -> Plan | None:
    """The first plan, by key, for this hazard, level and kind of authority."""
    fitting = (
        plan
        for _, plan in sorted(plans.items())
        if (plan.hazard, plan.level, plan.authority_level) == (hazard, level, authority_level)
    )
    return next(fitting, None)


def fill(text: str, words: Mapping[str, str]) -> str:
    """The text with its placeholders replaced. Raises KeyError for one that `words` does not have."""
    return _MARK.sub(lambda mark: words[mark[1]], text)


def _plan(row: object, where: str) -> Plan:
    names = set(Plan.__slots__) - {"sectors", "note"}
    given = _object(row, where, names, {"measures", "note"})

    def text(name: str, most: int, marks: Set[str] = frozenset(), may_be_empty: bool = False) -> str:
        return _text(given[name], f"{where}.{name}", most=most, marks=marks, may_be_empty=may_be_empty)

    def one_of(name: str, choices: Sequence[str]) -> str:
        return _one_of(given[name], f"{where}.{name}", choices)

    duties = _each_once(given["duties"], f"{where}.duties", DUTIES)
    if not duties:
        raise BadPlan(f"{where}.duties", "is empty: say who is addressed")
    return Plan(
        key=text("key", 64),
        name_zh=text("name_zh", 80),
        name_en=text("name_en", 160, may_be_empty=True),
        hazard=one_of("hazard", HAZARDS),
        level=one_of("level", LEVELS),
        authority_level=one_of("authority_level", AUTHORITIES),
        title_zh=text("title_zh", 60, SHORT),
        title_en=text("title_en", 120, SHORT, may_be_empty=True),
        text_zh=text("text_zh", 3500, LONG),
        text_en=text("text_en", 7000, LONG, may_be_empty=True),
        duties=duties,
        deadline_min=_minutes(given["deadline_min"], f"{where}.deadline_min"),
        valid_h=_whole(given["valid_h"], f"{where}.valid_h", most=72),
        report_every_h=_hours(given["report_every_h"], f"{where}.report_every_h"),
        tasks=_tasks(given["tasks"], f"{where}.tasks", duties),
        sectors=_sectors(given.get("measures", []), f"{where}.measures"),
        note=_text(given.get("note", ""), f"{where}.note", most=400, may_be_empty=True),
    )


def _tasks(given: object, where: str, duties: Collection[str]) -> tuple[Task, ...]:
    if not isinstance(given, list) or len(given) > MOST_TASKS:
        _refuse(where, given, f"a list of at most {MOST_TASKS} tasks")
    return tuple(_task(row, f"{where}[{n}]", duties) for n, row in enumerate(given))


def _task(row: object, where: str, duties: Collection[str]) -> Task:
    given = _object(row, where, {"duty", "level", "text_zh", "text_en", "due_min"})
    duty = _one_of(given["duty"], f"{where}.duty", ("", *DUTIES))
    if duty not in ("", "desk", *duties):
        raise BadPlan(f"{where}.duty", f"{duty} is not addressed by the plan: add it to its duties")
    return Task(
        duty=duty,
        level=_one_of(given["level"], f"{where}.level", ("", *PLACES)),
        text_zh=_text(given["text_zh"], f"{where}.text_zh", most=300, marks=SHORT),
        text_en=_text(given["text_en"], f"{where}.text_en", most=700, marks=SHORT, may_be_empty=True),
        due_min=_minutes(given["due_min"], f"{where}.due_min"),
    )


def _sectors(given: object, where: str) -> tuple[str, ...]:
    if not isinstance(given, list):
        _refuse(where, given, 'a list of {"sector": …}')
    rows = [_object(row, f"{where}[{n}]", {"sector"})["sector"] for n, row in enumerate(given)]
    return _each_once(rows, where, SECTORS)


def _each_once(given: object, where: str, choices: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(given, list):
        _refuse(where, given, f"a list out of {', '.join(choices)}")
    found = tuple(_one_of(one, f"{where}[{n}]", choices) for n, one in enumerate(given))
    if len(set(found)) < len(found):
        raise BadPlan(where, "names the same twice")
    return found


def _object(given: object, where: str, needed: Set[str], may: Set[str] = frozenset()) -> dict[str, object]:
    if not isinstance(given, dict):
        _refuse(where, given, "an object")
    if missing := needed - set(given):
        raise BadPlan(where, f"has no {', '.join(sorted(missing))}")
    if unknown := set(given) - needed - may:
        raise BadPlan(where, f"unknown name {', '.join(sorted(map(str, unknown)))}")
    return given


def _text(
    given: object, where: str, *, most: int, marks: Set[str] = frozenset(), may_be_empty: bool = False
) -> str:
    if not isinstance(given, str) or len(given) > most or not (given.strip() or may_be_empty):
        _refuse(where, given, f"a text of at most {most} characters")
    if not storable(given):
        raise BadPlan(where, "holds a character that cannot be kept")
    if strange := set(_MARK.findall(given)) - marks:
        allowed = ", ".join(f"{{{mark}}}" for mark in sorted(marks)) or "none"
        raise BadPlan(
            where, f"placeholder {{{sorted(strange)[0]:.30}}} is not known here; there are {allowed}"
        )
    return given


def _one_of(given: object, where: str, choices: Sequence[str]) -> str:
    if not isinstance(given, str) or given not in choices:
        _refuse(where, given, f"one of {', '.join(choice or 'the empty text' for choice in choices)}")
    return given


def _minutes(given: object, where: str) -> int | None:
    return None if given is None else _whole(given, where, most=MOST_MINUTES)


def _hours(given: object, where: str) -> int | None:
    return None if given is None else _whole(given, where, most=24)


def _whole(given: object, where: str, *, most: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 < given <= most:
        _refuse(where, given, f"a whole number from 1 to {most}")
    return given


def _refuse(where: str, given: object, wanted: str) -> NoReturn:
    raise BadPlan(where, f"{given!r:.60} is not {wanted}")
