"""Official signals come in, take their places, and suggest response levels. Owns Signal, makes Proposals.

Woken by a feed's signed post; leaves the signal, what it ends of earlier ones, a proposal for each authority whose
response level no longer fits, and a message to that authority's duty desk. Exercises and tests are kept and shown,
and change nothing. Reading is dry (assessment/signals.py, proposals.py); a proposal is never released by itself:
people decide it in proposals.py.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import orjson
from django.conf import settings

from alerts.assessment.proposal_words import proposal_words
from alerts.assessment.proposals import HAZARDS, Proposed, propose
from alerts.assessment.signals import (
    GRAVITY,
    BadSignal,
    Colour,
    Place,
    SignalAction,
    from_cap,
    from_json,
)
from alerts.assessment.signals import Signal as Said
from alerts.bulletins import issue
from alerts.cap.signature import certificates, verified
from alerts.cap.values import BadCap, MsgType, Status
from alerts.cap.xml import read
from alerts.models import (
    BulletinKind,
    Hazard,
    OrderStatus,
    Proposal,
    ProposalState,
    Requires,
    ResponseOrder,
    Signal,
)
from hydrology.ingest.posts import Answer, Store, answered, malformed, mark, take
from hydrology.models import Feed, Level, Region
from hydrology.science.readings import AHEAD_ALLOWED

log = logging.getLogger(__name__)
MESSAGE_VALIDITY = timedelta(hours=12)
HAZARD = Hazard.FLOOD
RESPONDED = [event for event, hazard in HAZARDS.items() if hazard == HAZARD]
LEVELS = [Level.CITY, Level.DISTRICT, Level.STREET]
ENDS = (SignalAction.UPGRADE, SignalAction.DOWNGRADE, SignalAction.CANCEL)


def take_signals(feed: Feed, body: bytes, now: datetime) -> Answer:
    """Store the signals of a CAP 1.2 message or of a JSON object; answers and raises like `posts.take`."""
    return take(feed, "signal", body, now, _read)


def _read(feed: Feed, body: bytes, now: datetime) -> Store:
    places = [
        Place(code, name, level, parent or "")
        for code, name, level, parent in Region.objects.filter(level__in=LEVELS).values_list(
            "code", "name", "level", "parent_id"
        )
    ]
    ends: list[str] = []
    try:
        if body.lstrip()[:1] == b"<":
            alert = read(_believed(body))
            said = from_cap(alert, places)
            if alert.status is Status.ACTUAL and alert.msg_type in (MsgType.UPDATE, MsgType.CANCEL):
                ends = [one.identifier for one in alert.references if one.identifier != alert.identifier]
        elif settings.CAP_TRUSTED_FILE:
            raise malformed(
                "body",
                "须为已签名的 CAP：已配置可信证书，不再接受 JSON",
                "must be signed CAP: certificates are trusted here, and JSON carries no signature",
            )
        else:
            said = [from_json(orjson.loads(body), places)]
    except BadCap as error:
        raise malformed(
            error.element, f"有误（{error.reason}）", f"{error.reason}; {error.what_to_do}"
        ) from error
    except orjson.JSONDecodeError as error:
        raise malformed(
            "body", f"既不是 CAP 也不是 JSON（{error}）", f"is neither CAP nor JSON ({error})"
        ) from error
    except BadSignal as error:
        raise malformed(error.field, error.zh, error.en) from error
    if any(one.issued_at > now + AHEAD_ALLOWED for one in said):
        raise malformed(
            "sent", "晚于当前时间 5 分钟以上，请校准时钟", "is more than 5 minutes ahead: set the clock"
        )
    return partial(_store, feed, said, ends, now)


def _believed(message: bytes) -> bytes:
    """What of a CAP message is signed by a certificate we were given; all of it where we were given none."""
    if not settings.CAP_TRUSTED_FILE:
        return message
    return verified(message, certificates(Path(settings.CAP_TRUSTED_FILE).read_bytes()))


def _store(feed: Feed, said: list[Said], ends: list[str], now: datetime, post_id: int) -> Answer:
    known = set(
        Signal.objects.filter(identifier__in=[s.identifier for s in said]).values_list(
            "identifier", flat=True
        )
    )
    fresh = [one for one in said if one.identifier not in known]
    ended = _end_named(ends, now)
    for one in fresh:
        _take_place(one, now, post_id)
    if ended or any(one.status is Status.ACTUAL for one in fresh):
        _propose(now)
    accepted = len(fresh) if said else 1  # a Cancel without info says one thing: what it ends
    # a signal is no water: of a replayed feed it would move the water's clock, and end every warning of the storm
    issued_at = None if feed.replayed else max((one.issued_at for one in fresh), default=None)
    mark(feed, now, issued_at, accepted, 0)
    log.info("ingest.signals feed=%s post=%s fresh=%s known=%s", feed.pk, post_id, len(fresh), len(known))
    return answered(accepted, len(known))


def _end_named(names: list[str], now: datetime) -> int:
    """End every signal in force of the messages so named (ID, and ID.n of its further infos); how many those are."""
    ended = 0
    for signal in Signal.objects.in_force().select_for_update() if names else ():
        message, _, number = signal.identifier.rpartition(".")
        if signal.identifier in names or (number.isdecimal() and message in names):
            signal.held, signal.sea, signal.ended_at = [], [], now
            signal.save(update_fields=["held", "sea", "ended_at"])
            ended += 1
    return ended


def _take_place(one: Said, now: datetime, post_id: int) -> None:
    """Keep it where no later one has ended it, and take away from earlier signals of the event what it ends."""
    real = one.status is Status.ACTUAL
    holds = real and one.action is not SignalAction.CANCEL
    paths = dict(Region.objects.values_list("code", "path").filter(level__in=LEVELS))
    held, sea = _unended(one, paths) if holds else ([], [])
    Signal.objects.create(
        identifier=one.identifier,
        sender=one.sender,
        status=one.status,
        event=one.event,
        colour=one.colour,
        action=one.action,
        areas=list(one.zones.areas),
        held=held,
        sea=sea if holds else list(one.zones.sea),
        unknown=[place[:64] for place in one.zones.unknown],
        text=one.text,
        issued_at=one.issued_at,
        effective_at=one.effective_at,
        expected_until=one.expected_until,
        references=list(one.references),
        received_at=now,
        ended_at=None if held or sea else now,
        post_id=post_id,
    )
    if not real or one.action not in ENDS:
        return
    gone = [paths[code] for code in one.zones.areas]
    earlier = (
        Signal.objects.in_force()
        .select_for_update()
        .filter(event=one.event)
        .exclude(identifier=one.identifier)
    )
    for signal in earlier.filter(issued_at__lte=one.issued_at):
        named = signal.identifier in one.references and not gone and not one.zones.sea
        signal.held = [] if named else _left(signal.held, gone, paths)
        signal.sea = [] if named else [zone for zone in signal.sea if zone not in one.zones.sea]
        if not signal.held and not signal.sea:
            signal.ended_at = now
        signal.save(update_fields=["held", "sea", "ended_at"])


def _unended(one: Said, paths: dict[str, str]) -> tuple[list[str], list[str]]:
    """The regions and sea zones of a signal that none issued later, but here before it, has ended."""
    held, sea = list(one.zones.areas), list(one.zones.sea)
    later = Signal.objects.filter(
        status=Status.ACTUAL, event=one.event, action__in=ENDS, issued_at__gt=one.issued_at
    )
    for areas, zones in later.values_list("areas", "sea"):
        held = _left(held, [paths[code] for code in areas if code in paths], paths)
        sea = [zone for zone in sea if zone not in zones]
    return held, sea


def _left(held: Iterable[str], gone: list[str], paths: dict[str, str]) -> list[str]:
    """What is left of the regions after those at these paths are taken away; a larger one falls into its parts."""
    left: list[str] = []
    for code in held:
        path = paths[code]
        if any(path.startswith(root) for root in gone):
            continue
        if any(root.startswith(path) for root in gone):  # a part of it is gone: the other parts stay
            depth = path.count("/") + 1
            parts = [c for c, p in sorted(paths.items()) if p.startswith(path) and p.count("/") == depth]
            left += _left(parts, gone, paths)
        else:
            left.append(code)
    return left


def colours_in_force() -> dict[str, Colour]:
    """The gravest colour by district code of the signals a flood response follows; the city's code where citywide."""
    regions = {r.code: r for r in Region.objects.filter(level__in=LEVELS)}
    colours: dict[str, Colour] = {}
    for held, word in Signal.objects.in_force().filter(event__in=RESPONDED).values_list("held", "colour"):
        colour = Colour(word)
        for code in held:
            region = regions[code]
            place = region.parent_id if region.level == Level.STREET else code
            if place and GRAVITY[colour] >= GRAVITY[colours.get(place, colour)]:
                colours[place] = colour
    return colours


def _propose(now: datetime) -> None:
    """Hold what the signals suggest against what is in force, and against what is proposed already."""
    city = Region.objects.filter(level=Level.CITY).first()
    if city is None:
        return
    districts = dict(Region.objects.filter(level=Level.DISTRICT).order_by("code").values_list("code", "name"))
    found = propose(colours_in_force(), districts, city.pk, names=districts)
    wanted = {one.authority: one for one in found}
    orders = ResponseOrder.objects.filter(hazard=HAZARD, status=OrderStatus.ISSUED, drill=False)
    in_force = dict(orders.order_by("level").values_list("authority_id", "level"))
    newest = {
        one.authority_id: one
        for one in Proposal.objects.select_for_update().filter(hazard=HAZARD).order_by("id")
    }
    for authority in sorted({*wanted, *in_force, *newest}):
        ends = Proposed(authority, 0, (authority,), "已无生效的预警信号", "no signal is in force any more")
        one, level_now = wanted.get(authority, ends), in_force.get(authority, 0)
        _hold_against(one, level_now, newest.get(authority), now)


def _hold_against(wanted: Proposed, level_now: int, newest: Proposal | None, now: datetime) -> None:
    """Propose what differs from the level in force, once: neither what waits for an answer nor what was declined."""
    same = newest is not None and newest.level == wanted.level
    if newest is not None and newest.state == ProposalState.OPEN:
        if same and wanted.level != level_now:
            return
        newest.state, newest.decided_at = ProposalState.OVERTAKEN, now
        newest.save(update_fields=["state", "decided_at"])
    elif same and newest is not None and newest.state == ProposalState.DECLINED:
        return
    if wanted.level == level_now:
        return
    proposal = Proposal.objects.create(
        hazard=HAZARD,
        authority_id=wanted.authority,
        level=wanted.level,
        areas=list(wanted.areas),
        why=f"{wanted.why_zh} / {wanted.why_en}"[:400],
        made_at=now,
    )
    issue(
        proposal_words(proposal.authority.name, wanted.level, level_now, wanted.why_zh, wanted.why_en),
        now=now,
        kind=BulletinKind.MESSAGE,
        urgency=2,
        level="proposal",
        areas=[wanted.authority],
        duties=[],
        requires=Requires.OPEN,
        valid_until=now + MESSAGE_VALIDITY,
        caused_at=now,
        about=f"proposal/{proposal.pk}",
        reasons={"proposal": proposal.pk, "level": wanted.level, "in_force": level_now},
    )
