"""The watch over the machines: what is stuck, piles up or falls silent is told to the duty engineers, by another way.

Woken every 10 s in the ingest queue, so that it does not hang behind the senders it watches. It flies the canaries, keeps
the samples, looks, and raises an incident (escalation/incidents.py): one alarm, one all-clear, by the ordinary ledger.
Where the push is at fault, or nobody knows what is, the engineers get a text message (a call where there is no gateway
for texts) as well, and it is sent from here: the urgent queue may be what is dead. `look` writes nothing and is also what
/readyz, /metrics and the page say, so that they speak when Celery cannot.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from alerts.assessment.wording import PUSH_EN, PUSH_ZH, TITLE_ZH, Words
from alerts.models import Bulletin
from escalation import incidents
from escalation.models import Incident
from foundation.clock import local
from monitoring import jobs, readings, samples
from monitoring.targets import (
    BACKLOG_S,
    CANARIES_MISSED,
    LEASE_OVER_S,
    SILENT_LINES,
    SILENT_S,
    TELEPHONE_BACKLOG_S,
)
from notifications import canaries, centre, dispatch, providers, telephony
from notifications.dispatch import Ask
from notifications.models import Delivery, Errand, ProviderState, State
from officers.models import Duty, Post

log = logging.getLogger(__name__)

WATCH_LOCK = 0x5E9_0005  # any constant, used nowhere else
JOB = "monitor.sweep"
FLOWN = timedelta(minutes=15)
KINDS = {  # the word before the stroke of Incident.kind: (zh, en)
    "lease": ("发送中断，租约超时", "sending stopped, leases ran out"),
    "backlog": ("待发积压", "lines pile up unsent"),
    "silent": ("通道无应答", "the channel accepts nothing"),
    "vendor": ("通道故障，已暂停", "the vendor fails and rests"),
    "canary": ("探测手机未返回", "the canary did not come back"),
    "queue": ("后台任务停摆", "background jobs are dead"),
}
NAMES = {
    "fcm": ("应用推送", "app push"),  # as a transport: through whichever vendor
    "sms": ("短信", "text messages"),
    "voice": ("语音", "calls"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: its kind and what it speaks of, how many or how long, and what of, for the engineer."""

    kind: str
    of: str  # a transport, a vendor or a queue
    count: int
    zh: str
    en: str

    @property
    def incident(self) -> str:
        return f"{self.kind}/{self.of}"[:32]


def sweep(*, clock: Callable[[], datetime]) -> None:
    """One round of everything; each part by itself, so that one that fails does not silence the others."""
    now = clock()
    jobs.watch(JOB, now)
    for part in (canaries.fly, samples.take):
        try:
            part(now=now)
        except Exception:  # the alarm must come, whatever else is broken
            log.exception("watchman.part_failed part=%s", part.__name__)
    if watch(now=now):
        centre.keep_bound(clock=clock)  # this process may never have sent a text message
        telephony.send_due(clock=clock)


def watch(*, now: datetime) -> int:
    """Raise and end what is due; returns how many alarms and all-clears went out. One watchman at a time."""
    heard = jobs.heard(now)  # Redis may hang: not inside the transaction
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [WATCH_LOCK])
            if not cursor.fetchone()[0]:
                return 0
        told = 0
        for fault in look(now, heard):
            if incidents.note(fault.incident, fault.count, now):
                _speak(incidents.tell(fault.incident, _alarm(fault, now), now), fault.incident, now)
                log.error("watchman.found kind=%s count=%s", fault.incident, fault.count)
                told += 1
        for incident in incidents.end_quiet(now, about=tuple(KINDS)):
            _speak(incidents.tell(incident.kind, _clear(incident), now, over=True), incident.kind, now)
            log.warning("watchman.over kind=%s worst=%s", incident.kind, incident.worst)
            told += 1
    return told


def look(now: datetime, heard: list[jobs.Beat] | None = None) -> list[Fault]:
    """What is wrong now. Writes nothing. `heard`: the jobs' signs of life, where they have been read already."""
    waiting = readings.waiting(now)
    return [
        *_leases(waiting),
        *_backlogs(waiting, now),
        *_silences(waiting, now),
        *_vendors(now),
        *_canaries(now),
        *_queues(jobs.heard(now) if heard is None else heard),
    ]


def _leases(waiting: list[readings.Waiting]) -> list[Fault]:
    lost: dict[str, int] = {}
    for one in waiting:
        lost[one.transport] = lost.get(one.transport, 0) + one.lost
    over = round(LEASE_OVER_S)
    return [
        Fault(
            "lease",
            transport,
            count,
            f"{count} 条发送租约已超时 {over} 秒以上，无人接手",
            f"{count} leases ran out more than {over} s ago and nobody has taken them up",
        )
        for transport, count in lost.items()
        if count
    ]


def _backlogs(waiting: list[readings.Waiting], now: datetime) -> list[Fault]:
    """Due and not leased: what a sender holds is the lease's concern."""
    late: dict[str, tuple[int, float]] = {}
    for one in waiting:
        limit_s = BACKLOG_S[one.lane] if one.transport not in telephony.CHANNELS else TELEPHONE_BACKLOG_S
        age_s = one.oldest_s(now)
        if one.state != State.SENDING and age_s > limit_s:
            lines, oldest_s = late.get(one.transport, (0, 0.0))
            late[one.transport] = lines + one.due, max(oldest_s, age_s)
    return [
        Fault(
            "backlog",
            transport,
            lines,
            f"{lines} 条待发，最久已等 {oldest_s:.0f} 秒",
            f"{lines} lines wait, the oldest for {oldest_s:.0f} s",
        )
        for transport, (lines, oldest_s) in late.items()
    ]


def _silences(waiting: list[readings.Waiting], now: datetime) -> list[Fault]:
    """Tried again and again, and not one accepted meanwhile."""
    tried: dict[str, int] = {}
    for one in waiting:
        tried[one.transport] = tried.get(one.transport, 0) + one.tried
    stuck = {transport: lines for transport, lines in tried.items() if lines >= SILENT_LINES}
    if not stuck:
        return []
    heard = {one.transport for one in readings.lately(now) if one.accepted_just_now}
    return [
        Fault(
            "silent",
            transport,
            lines,
            f"{lines} 条多次重试仍未受理，{SILENT_S:.0f} 秒内无一受理",
            f"{lines} lines were tried again and again; none was accepted within {SILENT_S:.0f} s",
        )
        for transport, lines in stuck.items()
        if transport not in heard
    ]


def _vendors(now: datetime) -> list[Fault]:
    """Resting since SILENT_S and more, probes included: the breaker (notifications/health.py) gave him up."""
    faults = []
    for one in providers.standings(now):
        down_s = (now - one.since).total_seconds() if one.since else 0.0
        if one.state != ProviderState.WELL and down_s > SILENT_S:
            zh, en = f"已暂停 {down_s:.0f} 秒，试探未通", f"resting for {down_s:.0f} s, no probe got through"
            faults.append(Fault("vendor", one.provider, round(down_s), zh, en))
    return faults


def _canaries(now: datetime) -> list[Fault]:
    flown: dict[str, list[canaries.Flight]] = {}
    for flight in canaries.flights(now - FLOWN):
        if flight.over(now):
            flown.setdefault(flight.provider or "none", []).append(flight)
    faults = []
    for provider, flights in flown.items():
        missed = 0
        for flight in reversed(flights):
            if flight.back_at is not None:
                break
            missed += 1
        if missed >= CANARIES_MISSED:
            last = flights[-1]
            zh, en = (
                ("通道已受理，手机无回执", "accepted, but no answer from the phone")
                if last.accepted_at
                else (f"未受理 {last.fault}".strip(), f"not accepted {last.fault}".strip())
            )
            faults.append(
                Fault(
                    "canary",
                    provider,
                    missed,
                    f"连续 {missed} 次未返回：{zh}",
                    f"missed {missed} in a row: {en}",
                )
            )
    return faults


def _queues(heard: list[jobs.Beat]) -> list[Fault]:
    late: dict[str, list[jobs.Beat]] = {}
    for one in heard:
        if one.late:
            late.setdefault(one.queue, []).append(one)
    return [
        Fault(
            "queue",
            queue,
            len(dead),
            f"{queue} 队列 {len(dead)} 个任务停摆：{dead[0].job}，已 {dead[0].missed_s:.0f} 秒",
            f"queue {queue}: {len(dead)} jobs are dead, e.g. {dead[0].job} for {dead[0].missed_s:.0f} s",
        )
        for queue, dead in late.items()
    ]


def other_way(incident: str) -> str | None:
    """The channel that speaks besides the push; None where the push is the other way, or there is no gateway."""
    kind, _, of = incident.partition("/")
    if of in telephony.CHANNELS and kind != "queue":
        return None
    there = telephony.configured()
    return next((channel for channel in telephony.CHANNELS if channel in there), None)


def _speak(bulletin: Bulletin, incident: str, now: datetime) -> None:
    """By push to all it addresses, by the other way to the duty engineers among them; in the caller's transaction."""
    first = dispatch.run_errand(bulletin, Errand.FIRST, now=now)
    channel = other_way(incident)
    if channel is None:
        log.warning("watchman.one_way kind=%s", incident)
        return
    engineers = Post.objects.active(now).filter(duty=Duty.ENGINEER).values("officer")
    lines = Delivery.objects.filter(dispatch=first, officer__in=engineers).order_by("id")
    ids = list(lines.values_list("id", flat=True))
    if ids:
        dispatch.run_errands([Ask(bulletin, Errand.REPEAT, ids, transport=channel)], now=now)


def _named(incident: str) -> tuple[str, str, str, str]:
    """What is wrong and of what, in both languages."""
    kind, _, of = incident.partition("/")
    return *KINDS[kind], *(
        (of, of) if kind in ("canary", "vendor") and of not in telephony.CHANNELS else NAMES.get(of, (of, of))
    )


def _alarm(fault: Fault, now: datetime) -> Words:
    zh, en, of_zh, of_en = _named(fault.incident)
    at = f"{local(now):%H:%M}"
    return Words(
        title_zh=f"【系统】{of_zh}：{zh}"[:TITLE_ZH],
        title_en=f"[System] {of_en}: {en}",
        push_zh=f"【系统】{at} {of_zh}：{zh}。请即检查并确认。"[:PUSH_ZH],
        push_en=f"[System] {at} {of_en}: {en}. Look at it and confirm."[:PUSH_EN],
        body_zh=f"{at} {of_zh}：{zh}。{fault.zh}。请查看“运行”页、通道状态、后台任务和日志（watchman.found）。",
        body_en=f"{at} {of_en}: {en}. {fault.en}. See the page Service, the vendor, the workers and the log "
        "(watchman.found).",
    )


def _clear(incident: Incident) -> Words:
    zh, en, of_zh, of_en = _named(incident.kind)
    minutes = incidents.QUIET.seconds // 60
    return Words(
        title_zh=f"【系统】恢复正常：{of_zh} {zh}"[:TITLE_ZH],
        title_en=f"[System] Over: {of_en}, {en}",
        push_zh=f"【系统】恢复正常：{of_zh} {zh}，已{minutes}分钟未再出现。"[:PUSH_ZH],
        push_en=f"[System] Over: {of_en}, {en}; not seen for {minutes} minutes."[:PUSH_EN],
        body_zh=f"{local(incident.found_at):%m月%d日 %H:%M}起：{of_zh} {zh}。已{minutes}分钟未再出现。",
        body_en=f"Since {local(incident.found_at):%m-%d %H:%M}: {of_en}, {en}. Not seen for {minutes} minutes.",
    )
