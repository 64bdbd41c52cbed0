"""What becomes of a report from the ground: somebody is sent, work goes on, it is closed for a reason.

One literal transition table, one function that applies it under lock, one event row and one audit entry per change
(ground.py writes both). Woken by a desk, a command, or who was sent. Leaves a Bulletin to named officers: to who is sent,
to who was sent before him, and when it is closed to who saw it.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction

from alerts.models import Requires
from foundation.errors import Refusal, not_found
from foundation.scope import Scope, below
from hazards import ground_words
from hazards.ground import danger_of, note_step, say
from hazards.models import CloseReason, GroundReport, GroundStatus
from officers.models import IN_FORCE

log = logging.getLogger(__name__)

MOST_PEOPLE: Final = 50
S = GroundStatus
# act: (from, to, whether who was sent may do it beside the desks and commands)
TRANSITIONS: dict[str, tuple[frozenset[GroundStatus], GroundStatus, bool]] = {
    "assign": (frozenset({S.RECEIVED, S.ASSIGNED, S.IN_PROGRESS}), S.ASSIGNED, False),
    "progress": (frozenset({S.ASSIGNED, S.IN_PROGRESS}), S.IN_PROGRESS, True),
    "close": (frozenset({S.RECEIVED, S.ASSIGNED, S.IN_PROGRESS}), S.CLOSED, False),
}


@dataclass(frozen=True, slots=True)
class Move:
    """What goes with a verb: whom to send; why it is closed, and of which report it is a duplicate."""

    note: str = ""
    officer: int | None = None
    reason: CloseReason | None = None
    duplicate_of: int | None = None


def act(pk: int, verb: str, officer_id: int, scope: Scope, move: Move, *, now: datetime) -> GroundReport:
    """Apply one verb of TRANSITIONS. Raises Refusal `not_found`, `desk_only`, `illegal_transition`, `move`."""
    before, after, his = TRANSITIONS[verb]
    with transaction.atomic():
        wanted = (
            [pk] if move.duplicate_of is None else [pk, move.duplicate_of]
        )  # both, so none follows the other
        rows = GroundReport.objects.seen_by(officer_id, scope).filter(pk__in=wanted).select_related("region")
        held = {row.pk: row for row in rows.order_by("pk").select_for_update(of=("self",))}
        if pk not in held:
            raise not_found("上报", "report")
        made = held[pk]
        if not (his and made.assignee_id == officer_id):
            _require_desk(made, scope)
        if made.status not in before:
            raise Refusal(
                "illegal_transition",
                zh=f"该上报当前为“{made.get_status_display()}”，不能执行此操作。请刷新后重试。",
                en=f"The report is {made.status}; {verb} is not possible now. Refresh and look again.",
                status=409,
            )
        left, old = made.assignee_id, made.status
        match verb:
            case "assign":
                made.assignee_id = _sendable(made, move, now)
            case "close":
                made.close_reason, made.duplicate_of = _reason(made, move, held)
                made.closed_at = now
        made.status = after
        made.save(update_fields=["status", "assignee", "close_reason", "duplicate_of", "closed_at"])
        if made.duplicate_of:  # what was a duplicate of this one is one of that: no chains
            for other in made.duplicates.order_by("pk"):
                other.duplicate_of = made.duplicate_of
                other.save(update_fields=["duplicate_of"])
        note_step(
            made, verb, officer_id, now, before=old, note=move.note,
            assignee=made.assignee_id if verb == "assign" else None,
        )  # fmt: skip
        _tell(made, verb, left, officer_id, move.note, now)
    log.info("ground.%s id=%s before=%s", verb, pk, old)
    return made


def acts_open_to(made: GroundReport, officer_id: int, scope: Scope) -> list[str]:
    """The verbs this officer may use on it now."""
    desk = below(made.region.path, (*scope.desk_paths, *scope.command_paths))
    return [
        verb
        for verb, (before, _, his) in TRANSITIONS.items()
        if made.status in before and (desk or (his and made.assignee_id == officer_id))
    ]


def people(pk: int, officer_id: int, scope: Scope, words: str, *, now: datetime) -> list[dict[str, Any]]:
    """Who can be sent there, nearest first, at most 50; `words`: part of a name, or how his number ends."""
    made = GroundReport.objects.seen_by(officer_id, scope).select_related("region").filter(pk=pk).first()
    if made is None:
        raise not_found("上报", "report")
    _require_desk(made, scope)
    return _there(made, now, words=words)


def _tell(made: GroundReport, verb: str, left: int | None, officer_id: int, note: str, now: datetime) -> None:
    if verb == "assign":
        assert made.assignee_id is not None
        seen = danger_of(made)
        say(made, ground_words.go_there(seen, note), now, officers=[made.assignee_id])
        if left not in (None, made.assignee_id):
            say(made, ground_words.go_no_more(seen), now, officers=[left], requires=Requires.OPEN)
    elif verb == "close" and (hearing := {made.officer_id, made.assignee_id} - {None, officer_id}):
        reason = CloseReason(made.close_reason)
        said = ground_words.closed(danger_of(made), reason, note, made.duplicate_of_id)
        say(made, said, now, officers=sorted(hearing), requires=Requires.OPEN)


def _require_desk(made: GroundReport, scope: Scope) -> None:
    if not below(made.region.path, scope.command_paths):
        scope.require_desk(made.region.path)


def _sendable(made: GroundReport, move: Move, now: datetime) -> int:
    if move.officer is None or not _there(made, now, officer=move.officer):
        reason = "须为在该处有岗位的人员编号 / must be the id of somebody with a post there"
        raise _bad_move({"officer": reason})
    return move.officer


def _reason(
    made: GroundReport, move: Move, held: dict[int, GroundReport]
) -> tuple[CloseReason, GroundReport | None]:
    """Why it is closed, and of which other it is a duplicate: an original, so that there are no chains."""
    if move.reason is None:
        raise _bad_move({"reason": f"须为其中之一 / must be one of: {', '.join(CloseReason.values)}"})
    duplicate = move.reason is CloseReason.DUPLICATE
    if not duplicate and not move.note.strip():
        raise _bad_move({"note": "须填写处置说明 / say what was done or found"})
    if duplicate != (move.duplicate_of is not None):
        raise _bad_move({"duplicate_of": "重复上报须且仅须填写原上报编号 / with `duplicate`, and only then"})
    original = held.get(move.duplicate_of) if move.duplicate_of else None
    if duplicate and (original is None or original.pk == made.pk):
        raise _bad_move({"duplicate_of": "须为您可见的另一上报 / must be another report that you may see"})
    if original is not None and original.duplicate_of_id is not None:
        first = original.duplicate_of_id
        raise _bad_move({"duplicate_of": f"该上报本身重复，请填 {first} / itself a duplicate of {first}"})
    return move.reason, original


def _bad_move(faults: dict[str, str]) -> Refusal:
    return Refusal(
        "move",
        zh="内容有误，请按字段提示修改后重试。",
        en="Something is wrong; mend the named fields and try again.",
        fields=faults,
    )


def _there(
    made: GroundReport, now: datetime, *, words: str = "", officer: int | None = None
) -> list[dict[str, Any]]:
    street = "/".join(made.region.path.split("/")[:3]) + "/"
    with connection.cursor() as cursor:
        cursor.execute(
            _THERE,
            {
                "path": made.region.path, "street": street, "now": now, "words": words, "officer": officer,
                "most": MOST_PEOPLE,
            },
        )  # fmt: skip
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


# Each by his nearest post in the street, below it, or above it: those of the very place first, then those of the street.
_THERE = f"""
SELECT id, name, masked_phone, duty, rank, position, region, region_name FROM (
    SELECT DISTINCT ON (o.id) o.id, o.name, o.masked_phone, p.duty, p.rank, p.position, r.code AS region,
           r.name AS region_name,
           starts_with(r.path, %(street)s) AS inside, starts_with(%(path)s, r.path) AS over_it, length(r.path) AS depth
    FROM officers_post p
    JOIN hydrology_region r ON r.code = p.region_id
    JOIN officers_officer o ON o.id = p.officer_id AND o.is_active
    WHERE (starts_with(r.path, %(street)s) OR starts_with(%(path)s, r.path)) AND p.duty <> 'canary' AND {IN_FORCE}
      AND (%(officer)s::bigint IS NULL OR o.id = %(officer)s)
      AND (position(%(words)s IN o.name) > 0 OR right(o.masked_phone, length(%(words)s)) = %(words)s)
    ORDER BY o.id, inside DESC, over_it DESC, depth DESC, p.id
) AS people ORDER BY inside DESC, over_it DESC, depth DESC, rank, id LIMIT %(most)s
"""
