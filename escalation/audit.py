"""The auditor of 叫应: proves that every due step fired, redoes what did not, and tells the duty engineer.

Woken every 10 s by its own job, so that a chase whose sweep is dead or stuck is still noticed; silent
only when nothing is wrong. It redoes through the same doors as the sweeps (climb.sweep, dispatch.take_up,
dispatch.refill), under their locks. One alarm a kind and incident, and an all-clear (incidents.py).
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction

from alerts.assessment.wording import Words
from alerts.models import Bulletin
from escalation import climb, incidents, starts
from escalation.incidents import CHASED, QUIET
from escalation.ladder import Reach
from escalation.models import Climb, ClimbState, Incident
from foundation.clock import local
from notifications import dispatch, months
from notifications.models import REFUSED
from notifications.threads import hanging

log = logging.getLogger(__name__)

LATE = timedelta(seconds=30)
AUDIT_LOCK = 0x5E9_0003  # any constant, used nowhere else
KINDS = {  # what was found: (zh, en)
    "late_steps": ("叫应步骤超时未执行", "steps of the ladder were late"),
    "no_climb": ("未确认人员未进入叫应", "silent people were not chased"),
    "no_dispatch": ("消息未分发", "messages were not dispatched"),
    "no_deliveries": ("分发缺少送达记录", "dispatches lack deliveries"),
}

# silent when his first wait was over, or without a device from the beginning, or cannot go and said so in time; who
# lost his device or said so only just now is the next sweep's
_MISSING = f"""
WITH owing AS MATERIALIZED (
    SELECT d.id
    FROM unnest(%(dispatch)s::bigint[], %(waited)s::bool[], %(dark)s::bool[]) AS t(dispatch, waited, dark)
    JOIN notifications_delivery d ON d.dispatch_id = t.dispatch AND {starts.OWES}
    WHERE d.state <> 'confirmed' AND (t.waited OR t.dark AND d.state = 'failed_perm' AND d.reason = 'no_live_device')
       OR d.id IN ({REFUSED}) AND EXISTS (
           SELECT 1 FROM notifications_receipt r
           WHERE r.delivery_id = d.id AND r.delivery_id >= %(open)s AND r.state = 'cannot' AND r.received_at < %(late)s)
)
SELECT count(*) FROM (
    SELECT id FROM owing
    EXCEPT
    SELECT delivery_id FROM escalation_climb
    WHERE delivery_id BETWEEN (SELECT min(id) FROM owing) AND (SELECT max(id) FROM owing)
) missing
"""

# fewer lines than were counted when it was made; or, where a confirmation is owed, nobody at all
_HOLLOW = """
SELECT s.id FROM notifications_dispatch s JOIN alerts_bulletin b ON b.id = s.bulletin_id
CROSS JOIN LATERAL (SELECT count(*) AS lines FROM notifications_delivery d
                    WHERE d.dispatch_id = s.id AND d.id >= %(open)s) d
WHERE s.expires_at > %(now)s AND s.created_at <= %(late)s AND b.about NOT LIKE 'audit/%%'
  AND (d.lines < s.recipients
    OR d.lines = 0 AND NOT s.drill AND s.errand = 'first' AND b.urgency >= %(chased)s AND b.requires IN ('confirm', 'report'))
ORDER BY s.id
"""


def audit(*, now: datetime) -> dict[str, int]:
    """Look, tell, redo; returns how many of each kind were found. One audit at a time, the others do nothing."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [AUDIT_LOCK])
            if not cursor.fetchone()[0]:
                return {}
        found = look(now)
        for kind, count in found.items():
            _note(kind, count, now)
        _end_quiet(now)
    redo: dict[str, Callable[[], object]] = {
        "no_dispatch": lambda: dispatch.take_up(now=now),
        "no_deliveries": lambda: [dispatch.refill(pk, now=now) for pk in _hollow(now)],
        "late_steps": lambda: climb.sweep(now=now),
        "no_climb": lambda: climb.sweep(now=now),
    }
    for kind in found:
        try:
            redo[kind]()
        except (
            DatabaseError,
            ValueError,
        ):  # the alarm is out; one thing that cannot be mended holds up no other
            log.exception("audit.redo_failed kind=%s", kind)
    return found


def look(now: datetime) -> dict[str, int]:
    """What should have happened by now and has not, by kind; empty when all is well. Writes nothing."""
    late = now - LATE
    counts = {
        "late_steps": Climb.objects.filter(state=ClimbState.CLIMBING, due_at__lt=late).count(),
        "no_climb": _without_climb(now),
        "no_dispatch": Bulletin.objects.unsent(now).filter(issued_at__lt=late).count(),
        "no_deliveries": len(_hollow(now)),
    }
    return {kind: count for kind, count in counts.items() if count}


def _without_climb(now: datetime) -> int:
    late = now - LATE
    opens = [one for one in starts.open_dispatches(now) if one.told_at < late]
    asked = {
        "dispatch": [one.dispatch for one in opens],
        "waited": [one.was_due(Reach.RINGS, late) for one in opens],
        "dark": [one.was_due(Reach.DARK, late) for one in opens],
    }
    with connection.cursor() as cursor:
        cursor.execute(_MISSING, {**asked, "late": late, "open": months.open_since(now)})
        missing = int(cursor.fetchone()[0])
    return missing + len(hanging([one.dispatch for one in opens], at=late))


def _hollow(now: datetime) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            _HOLLOW, {"now": now, "late": now - LATE, "chased": CHASED, "open": months.open_since(now)}
        )
        return [row[0] for row in cursor]


def _note(kind: str, count: int, now: datetime) -> None:
    """The incident's row: the first time with an alarm."""
    if incidents.note(kind, count, now):
        incidents.tell(kind, _alarm_words(kind, count, now), now)
        log.error("audit.found kind=%s count=%s", kind, count)


def _end_quiet(now: datetime) -> None:
    for incident in incidents.end_quiet(now, about=tuple(KINDS)):
        incidents.tell(incident.kind, _clear_words(incident), now, over=True)
        log.warning("audit.over kind=%s worst=%s", incident.kind, incident.worst)


def _alarm_words(kind: str, count: int, now: datetime) -> Words:
    zh, en = KINDS[kind]
    at = f"{local(now):%H:%M}"
    return Words(
        title_zh=f"【系统】{zh}（{count}）",
        title_en=f"[System] {count}: {en}",
        push_zh=f"【系统】{at} {zh}{count}项，已补做。请检查后台任务并确认。",
        push_en=f"[System] {at}: {count} {en}; redone. Check the workers and confirm.",
        body_zh=f"{at}，核查发现：{zh}，共{count}项，超过{LATE.seconds}秒。已自动补做。"
        "请检查任务队列（urgent）、定时器、数据库和日志（climb.failed、audit.redo_failed）。",
        body_en=f"{at}: the audit found that {count} {en}, {LATE.seconds} s after they were due. They are being redone. Check "
        "the urgent queue, the beat, the database and the log (climb.failed, audit.redo_failed).",
    )


def _clear_words(incident: Incident) -> Words:
    zh, en = KINDS[incident.kind]
    minutes = QUIET.seconds // 60
    return Words(
        title_zh=f"【系统】恢复正常：{zh}",
        title_en=f"[System] Over: {en}",
        push_zh=f"【系统】恢复正常：{zh}，已{minutes}分钟未再出现。",
        push_en=f"[System] Over: {en}; not seen for {minutes} minutes.",
        body_zh=f"{local(incident.found_at):%m月%d日 %H:%M}起：{zh}，最多同时{incident.worst}项。"
        f"已{minutes}分钟未再出现。",
        body_en=f"Since {local(incident.found_at):%m-%d %H:%M}: {en}, {incident.worst} at once at the most. "
        f"Not seen for {minutes} minutes.",
    )
