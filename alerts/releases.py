"""What the watches say goes out at once, or is held until a person or the time limit releases it.

Owns Held and ReleaseTable. Called by warnings.py and notices.py in their transaction, by the desk, and by a sweep
(`dispatch.release`, 2 s) for what is due. The policy: alerts/assessment/policy.py. Events are written when the level
moves, whatever waits here. Locks the warning before its held row, as the watches do; the row's state makes a release
happen once, however often it is tried. News older than its validity is never released.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from alerts.assessment import policy
from alerts.assessment.lifecycle import Action, Step
from alerts.assessment.policy import Policy
from alerts.assessment.release_words import release_words
from alerts.assessment.wording import Words
from alerts.bulletins import issue
from alerts.models import (
    Bulletin,
    BulletinKind,
    Held,
    HeldState,
    ReleaseTable,
    Requires,
    Warning,
    WarningLevel,
)
from foundation.errors import Refusal, not_found
from foundation.scope import Scope
from hydrology.models import path_filter

log = logging.getLogger(__name__)

URGENCY = 2  # the desk is told at once, nobody is chased for it
MOST_LISTED = 200
OVER = WarningLevel.NONE.name.lower()
CODES = {level.name.lower(): level.value for level in WarningLevel}
LAPSED = "过了有效期 no longer valid"


def in_force(at: datetime) -> tuple[str, Policy]:
    """(version, policy); version "" with the defaults where no table was set."""
    row = ReleaseTable.objects.filter(valid_from__lte=at).order_by("-valid_from", "-version").first()
    return (row.version, policy.parse_policy(row.rows)) if row else ("", policy.DEFAULT)


def put_in_force(rows: object, *, version: str, note: str, now: datetime) -> ReleaseTable:
    """From now on; what is held already keeps its limit. Raises BadPolicy."""
    policy.parse_policy(rows)
    return ReleaseTable.objects.create(version=version, valid_from=now, rows=rows, note=note)


def overtake(warning: Warning, step: Step, everyone: Sequence[str], now: datetime) -> Step | None:
    """The step as it is to be said now that it takes the place of what is still held; None: to nobody.

    A rise takes the held streets with it, at the graver level, so that nobody is forgotten. What ends the warning
    drops what is held and goes to those of `everyone` who had heard something, and not yet that it is over for them.
    Call with the warning locked.
    """
    held = Held.objects.open().filter(warning=warning).first()
    ends = step.action in (Action.CANCEL, Action.EXPIRE)
    waiting = set(held.fields["areas"]) if held is not None else set()
    if not ends and step.action is Action.DOWNGRADE and not waiting <= set(step.streets):
        return step  # the others have yet to hear of their rise
    if held is not None:
        held.state, held.decided_at = HeldState.OVERTAKEN, now
        held.save(update_fields=["state", "decided_at"])
        log.info("release.overtaken id=%s warning=%s by=%s", held.pk, warning.pk, step.action)
    if ends:
        said = warning.bulletins.order_by("id").values_list("areas", "level")
        heard = {area: level for areas, level in said for area in areas}
        told = tuple(street for street in everyone if CODES[heard.get(street, OVER)])
        return replace(step, streets=told) if told else None
    if held is None or step.action is Action.DOWNGRADE:
        return step
    streets = (*step.streets, *sorted(waiting - set(step.streets)))
    return replace(step, streets=streets, level=max(step.level, CODES[held.fields["level"]]))


def say(
    words: Words,
    action: Action,
    *,
    now: datetime,
    valid_until: datetime,
    deadline_s: float | None,
    **fields: Any,
) -> Bulletin | None:
    """Issue the words of a warning, or hold them as the policy says; `fields` are the bulletin's other columns."""
    warning: Warning = fields["warning"]
    after_s = in_force(now)[1].after_s(warning.hazard, action, fields["level"])
    if after_s == 0:
        return _issue(words, now, valid_until, deadline_s, fields)
    stored = {
        **{name: value for name, value in fields.items() if name != "warning"},
        "caused_at": fields["caused_at"].isoformat(),
        "valid_until": valid_until.isoformat(),
        "deadline_s": deadline_s,
    }
    held = Held.objects.create(
        warning=warning,
        words=asdict(words),
        fields=stored,
        held_at=now,
        release_at=None if after_s is None else now + timedelta(seconds=after_s),
    )
    _tell_desk(held, words, now, valid_until)
    log.info("release.held id=%s warning=%s after_s=%s", held.pk, warning.pk, after_s)
    return None


def _issue(
    words: Words, now: datetime, valid_until: datetime, deadline_s: float | None, fields: dict[str, Any]
) -> Bulletin:
    return issue(
        words,
        now=now,
        valid_until=valid_until,
        deadline_at=None if deadline_s is None else now + timedelta(seconds=deadline_s),
        supersedes=fields["warning"].bulletins.order_by("-id").first(),
        **fields,
    )


def _tell_desk(held: Held, words: Words, now: datetime, valid_until: datetime) -> None:
    """The desks above hear of it; a newer one renews the older in place."""
    issue(
        release_words(words, held.release_at, valid_until, drill=held.warning.drill),
        now=now,
        kind=BulletinKind.MESSAGE,
        urgency=URGENCY,
        level="release",
        areas=[held.warning.region_id],
        duties=[],
        about=f"release/{held.pk}",
        thread=f"release/{held.warning_id}",
        renews=True,
        requires=Requires.OPEN,
        valid_until=valid_until,
        drill=held.warning.drill,
        drill_of_id=held.warning.drill_of_id,
        caused_at=now,
    )


def release_due(*, now: datetime) -> int:
    """Release what has waited its time, and close what nobody released while it was news; returns how many moved."""
    moved = 0
    for due in Held.objects.open().order_by("release_at", "id"):
        if (due.release_at is None or due.release_at > now) and _valid_until(due) > now:
            continue
        with transaction.atomic():
            held = _locked(due.pk, skip=True)
            if held is None or held.state != HeldState.HELD:
                continue
            if _valid_until(held) <= now:
                _close(held, HeldState.DROPPED, now, note=LAPSED)
            else:
                _release(held, now)
            moved += 1
    return moved


def listed(scope: Scope, open_only: bool) -> QuerySet[Held]:
    """What is or was held in the regions whose desk the caller staffs, newest first, at most 200."""
    rows = Held.objects.filter(path_filter("warning__region__path", scope.desk_paths)).select_related(
        "warning", "decided_by"
    )
    return (rows.open() if open_only else rows).order_by("-id")[:MOST_LISTED]


@transaction.atomic
def decide(pk: int, verb: str, officer_id: int, scope: Scope, *, note: str, now: datetime) -> Held:
    """`release` or `drop` by the desk of the warning's region or above.

    Raises Refusal 404 outside the caller's water, 403 without the desk, 409 when it is decided or no longer news.
    """
    seen = Held.objects.filter(path_filter("warning__region__path", scope.water_paths), pk=pk)
    held = _locked(pk) if seen.exists() else None
    if held is None:
        raise not_found("待发布消息", "held message")
    scope.require_desk(held.warning.region.path)
    if held.state != HeldState.HELD:
        raise Refusal(
            "held_decided",
            zh=f"该消息已处理（{held.get_state_display()}），不能更改。请刷新后查看。",
            en=f"This message is {held.state} already and stays so. Refresh and look again.",
            status=409,
            fields={"state": held.state},
        )
    if verb == "release" and _valid_until(held) <= now:
        raise Refusal(
            "held_lapsed",
            zh="该消息已过有效期，不再发布。如仍有风险，请人工发布预警。",
            en="This message is no longer valid and is not released. If the danger is still there, warn by hand.",
            status=409,
        )
    if verb == "drop":
        _close(held, HeldState.DROPPED, now, officer_id, note)
    else:
        _release(held, now, officer_id, note)
    return held


def _locked(pk: int, *, skip: bool = False) -> Held | None:
    """The held row under its warning's lock and its own; None while another has them (`skip`), or where there is none."""
    warning = Held.objects.filter(pk=pk).values("warning")
    if Warning.objects.select_for_update(skip_locked=skip).filter(pk__in=warning).first() is None:
        return None
    rows = Held.objects.select_for_update(of=("self",)).select_related("warning__region")
    return rows.filter(pk=pk).first()


def _valid_until(held: Held) -> datetime:
    return datetime.fromisoformat(held.fields["valid_until"])


def _release(held: Held, now: datetime, officer_id: int | None = None, note: str = "") -> None:
    fields = dict(held.fields)
    valid_until, deadline_s = datetime.fromisoformat(fields.pop("valid_until")), fields.pop("deadline_s")
    fields["caused_at"] = datetime.fromisoformat(fields["caused_at"])
    held.bulletin = _issue(
        Words(**held.words), now, valid_until, deadline_s, {**fields, "warning": held.warning}
    )
    _close(held, HeldState.RELEASED, now, officer_id, note)


def _close(
    held: Held, state: HeldState, now: datetime, officer_id: int | None = None, note: str = ""
) -> None:
    held.state, held.decided_at, held.decided_by_id, held.note = state, now, officer_id, note
    held.save(update_fields=["state", "decided_at", "decided_by", "note", "bulletin"])
    log.info("release.%s id=%s warning=%s by=%s", state, held.pk, held.warning_id, officer_id)
