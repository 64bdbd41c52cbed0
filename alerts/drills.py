"""演练: planned by a duty desk, begun by a second person, paused, ended. Owns Drill but for its storm (drill_watch.py).

One literal transition table, one function that applies it under lock; each step that people hear of is a frozen
Bulletin of the exercise, which is also its record (`about` drill/ID, `level` the act, `reasons` who and why). Who takes
part is asked once, when it begins, by a query that notifications passes in, and never changes afterwards. A real danger
pauses every running drill in its own transaction (`give_way`); the sweep of drill_watch.py looks again, for whatever
did not call.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q

from alerts.assessment.drill_words import Act, drill_words
from alerts.bulletins import issue
from alerts.models import (
    Bulletin,
    BulletinKind,
    Drill,
    DrillState,
    Requires,
    ResponseLevel,
    ResponseOrder,
    Warning,
    WarningLevel,
)
from foundation.errors import Refusal, not_found
from foundation.nudge import nudge
from foundation.scope import Scope, below
from hydrology.models import Region

log = logging.getLogger(__name__)

S = DrillState
# act: (from, to, who may)
TRANSITIONS: Final[dict[Act, tuple[frozenset[DrillState], DrillState, str]]] = {
    Act.BEGIN: (frozenset({S.PLANNED}), S.RUNNING, "command"),
    Act.PAUSE: (frozenset({S.RUNNING}), S.PAUSED, "desk"),
    Act.DANGER: (frozenset({S.RUNNING}), S.PAUSED, "nobody"),
    Act.RESUME: (frozenset({S.PAUSED}), S.RUNNING, "desk"),
    Act.END: (frozenset({S.PLANNED, S.RUNNING, S.PAUSED}), S.ENDED, "desk"),
}
VERBS: Final = [act.value for act, (_, _, who) in TRANSITIONS.items() if who != "nobody"]
URGENCY: Final = {Act.BEGIN: 1, Act.PAUSE: 2, Act.DANGER: 3, Act.RESUME: 1, Act.END: 1}
VALIDITY: Final = timedelta(hours=2)
Invite = Callable[[Drill, datetime], Sequence[int]]


def about(drill_id: int) -> str:
    """What a drill's own messages speak of; also the head of every thread and ref inside it."""
    return f"drill/{drill_id}"


def plan(officer_id: int, scope: Scope, values: Mapping[str, object], *, now: datetime) -> Drill:
    """A new drill by the duty desk of the authority; `values`: name, authority, areas, duties as the door checked."""
    authority = Region.objects.filter(code=values["authority"]).first()
    if authority is None or not scope.sees(authority.path):
        raise not_found("组织单位", "authority")
    scope.require_desk(authority.path)
    areas = list(dict.fromkeys(values["areas"]))  # type: ignore[call-overload]  # each said once
    _check_inside(areas, authority)
    drill = Drill.objects.create(
        **{**values, "authority": authority, "areas": areas}, created_by_id=officer_id, created_at=now
    )
    log.info("drill.planned id=%s by=%s", drill.pk, officer_id)
    return drill


def _check_inside(areas: list[str], authority: Region) -> None:
    inside = Region.objects.filter(code__in=areas, path__startswith=authority.path).values_list(
        "code", flat=True
    )
    if strangers := sorted({*areas} - {*inside}):
        raise Refusal(
            "area_outside",
            zh=f"区域 {'、'.join(strangers)} 不在{authority.name}辖区内，请重新选择。",
            en=f"Areas {', '.join(strangers)} are not inside {authority.code}; choose again.",
            fields={"areas": ",".join(strangers)},
        )


@transaction.atomic
def act(
    drill_id: int,
    verb: Act,
    officer_id: int,
    scope: Scope,
    *,
    now: datetime,
    note: str = "",
    invite: Invite | None = None,
) -> Drill:
    """Apply one verb of TRANSITIONS and tell those who take part; an illegal one is a named Refusal, nothing changes.

    `invite` names the officers who take part; asked once, when it begins.
    """
    before, _, who = TRANSITIONS[verb]
    drill = _locked(drill_id)
    if drill is None or not scope.sees(drill.authority.path):
        raise not_found("演练", "drill")
    (scope.require_command if who == "command" else scope.require_desk)(drill.authority.path)
    if drill.state not in before:
        raise Refusal(
            "illegal_transition",
            zh=f"演练当前为“{drill.get_state_display()}”，不能执行此操作。请刷新后重试。",
            en=f"The drill is {drill.state}; {verb} is not possible now. Refresh and look again.",
            status=409,
        )
    if verb is Act.BEGIN:
        _admit(drill, officer_id, invite(drill, now) if invite else ())
    if verb in (Act.BEGIN, Act.RESUME):
        _refuse_in_danger(now)
    _move(drill, verb, now, actor=officer_id, note=note)
    return drill


def _locked(drill_id: int) -> Drill | None:
    """Rows that refer to it may be written meanwhile."""
    rows = Drill.objects.select_for_update(of=("self",), no_key=True).select_related("authority")
    return rows.filter(pk=drill_id).first()


def _admit(drill: Drill, officer_id: int, officers: Iterable[int]) -> None:
    """The second person, and the audience for good."""
    if drill.created_by_id == officer_id:
        raise Refusal(
            "second_person",
            zh="制定人不能开始自己的演练，须由另一位指挥人员开始。",
            en="Who planned the drill cannot begin it; another commander must.",
            status=403,
        )
    drill.officers = sorted(set(officers))
    if not drill.officers:
        raise Refusal(
            "empty_audience",
            zh="所选区域和岗位目前没有人员，演练无法开始。请修改区域或岗位后重新制定。",
            en="Nobody holds these duties in these areas: the drill cannot begin. Plan one with other areas or duties.",
            status=409,
            fields={"areas": ",".join(drill.areas)[:200], "duties": ",".join(drill.duties)},
        )


def _move(drill: Drill, verb: Act, now: datetime, *, actor: int | None, note: str) -> None:
    began = drill.began_at is not None
    drill.state = TRANSITIONS[verb][1]
    drill.why = "" if verb is Act.RESUME else note if verb is not Act.BEGIN else drill.why
    if verb is Act.BEGIN:
        drill.began_at, began = now, True
    if verb is Act.END:
        drill.ended_at = now
    drill.save(update_fields=["state", "why", "officers", "began_at", "ended_at"])
    if began:  # who never heard of it need not hear that it is off
        _tell(drill, verb, now, actor, note)
    nudge("watch.drills")
    log.info("drill.moved id=%s act=%s officers=%s", drill.pk, verb, len(drill.officers))


def _tell(drill: Drill, verb: Act, now: datetime, actor: int | None, note: str) -> None:
    names = Region.objects.filter(code__in=drill.areas).order_by("path").values_list("name", flat=True)
    issue(
        drill_words(verb, drill.name, drill.authority.name, list(names), note),
        now=now,
        kind=BulletinKind.MESSAGE,
        urgency=URGENCY[verb],
        level=verb.value,
        areas=drill.areas,
        duties=drill.duties,
        officers=drill.officers,
        about=about(drill.pk),
        reasons={"drill": drill.pk, "act": verb.value, "actor": actor, "note": note},
        requires=Requires.OPEN,
        valid_until=now + VALIDITY,
        drill=True,
        drill_of_id=drill.pk,
        caused_at=now,
    )


def give_way(now: datetime) -> None:
    """Pause every running drill while there is a real danger; call inside the transaction that makes one."""
    if not Drill.objects.filter(state=S.RUNNING).exists() or not (danger := _real_danger(now)):
        return
    with transaction.atomic():
        rows = Drill.objects.select_for_update(of=("self",), no_key=True).select_related("authority")
        for drill in rows.filter(state=S.RUNNING).order_by("pk"):
            _move(drill, Act.DANGER, now, actor=None, note=f"出现真实险情 real danger: {danger}")


def _real_danger(now: datetime) -> str:
    """What stops an exercise, as warning/ID or order/ID; empty when nothing does.

    A level notice of one station counts from EMERGENCY: a single reservoir over its limit is the wet season's daily
    bread, a dam at its design flood is not.
    """
    grave = Q(station=None, level__gte=WarningLevel.ALERT) | Q(level__gte=WarningLevel.EMERGENCY)
    warning = Warning.objects.open().filter(grave, drill=False).order_by("-level", "pk").first()
    if warning is not None:
        return f"warning/{warning.pk}"
    orders = ResponseOrder.objects.in_force().filter(
        drill=False, level__gte=ResponseLevel.III, valid_until__gt=now
    )
    order = orders.order_by("-level", "pk").first()
    return f"order/{order.pk}" if order else ""


def _refuse_in_danger(now: datetime) -> None:
    if danger := _real_danger(now):
        raise Refusal(
            "real_danger",
            zh=f"目前有真实险情（{danger}），演练不能进行。请在其解除后再试。",
            en=f"There is a real danger ({danger}): no drill now. Try again when it is over.",
            status=409,
            fields={"ref": danger},
        )


def require_inside(drill_id: int, areas: Iterable[Region]) -> None:
    """Raises Refusal 400 `area_outside_drill` with the areas that do not lie in the drill's."""
    codes = Drill.objects.filter(pk=drill_id).values_list("areas", flat=True).get()
    roots = list(Region.objects.filter(code__in=codes).values_list("path", flat=True))
    if strangers := [area.code for area in areas if not below(area.path, roots)]:
        raise Refusal(
            "area_outside_drill",
            zh=f"区域 {'、'.join(strangers)} 不在演练范围内，请重新选择。",
            en=f"Areas {', '.join(strangers)} are not inside the drill; choose again.",
            fields={"areas": ",".join(strangers)},
        )


def record(drill_id: int) -> list[Bulletin]:
    """What was said of the drill itself, oldest first: its `level` is the act, its `reasons` say who and why."""
    return list(Bulletin.objects.filter(drill_of=drill_id, about=about(drill_id)).order_by("pk"))


def paused_spans(drill: Drill, now: datetime) -> list[tuple[datetime, datetime]]:
    """When it rested, [from, to); a pause that lasts counts until it ended, else until now."""
    spans, since = [], None
    for said in record(drill.pk):
        if said.level in (Act.PAUSE, Act.DANGER):
            since = said.issued_at
        elif since is not None:
            spans.append((since, said.issued_at))
            since = None
    return [*spans, (since, now)] if since is not None else spans
