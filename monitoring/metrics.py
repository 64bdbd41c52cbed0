"""What Prometheus reads: the same figures as the page 运行, made at the moment of the scrape.

From PostgreSQL (readings.py) and the signs of life in Redis, so that any process answers for all of them. Names end in
their unit. No label names a person, a number or a message.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from alerts import watch
from escalation.models import Incident
from monitoring import jobs, paces, readings, watchman
from monitoring.targets import TARGETS
from notifications import canaries, providers
from notifications.models import Lane, ProviderState

MESSAGES = 5  # the newest, whose times are told
FLOWN = timedelta(minutes=15)
Metric = GaugeMetricFamily


def exposition(now: datetime) -> bytes:
    """The whole page in Prometheus' text format, version 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(now))
    return generate_latest(registry)


class _Collector:
    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterable[Metric]:
        for part in (_feeds, _rules, _ledger, _ladder, _vendors, _canaries, _messages, _processes, _faults):
            yield from part(self._now)


def _gauge(
    name: str, says: str, rows: Iterable[tuple[tuple[str, ...], float | None]], *labels: str
) -> Metric:
    """A family; what is not known has no line."""
    family = GaugeMetricFamily(f"yijiantong_{name}", says, labels=labels)
    for values, worth in rows:
        if worth is not None:
            family.add_metric(list(values), worth)
    return family


def _feeds(now: datetime) -> Iterable[Metric]:
    found = readings.feeds(now)
    yield _gauge(
        "feed_age_seconds", "since the feed's last post", (((one.feed,), one.age_s) for one in found), "feed"
    )
    yield _gauge(
        "feed_lag_seconds", "newest instant of the last post to its receipt; not of a replay",
        (((one.feed,), None if one.replayed else one.lag_s) for one in found), "feed",
    )  # fmt: skip
    yield _gauge(
        "feed_state",
        "1 for the state it is in",
        (((one.feed, one.state), 1.0) for one in found),
        "feed",
        "state",
    )


def _rules(now: datetime) -> Iterable[Metric]:
    found = watch.progress(now)
    yield _gauge(
        "rule_behind_seconds",
        "newest slot observed minus newest slot assessed, data time",
        [((), found.behind_s)],
    )
    yield _gauge(
        "rule_lag_seconds",
        "how long what came in has waited for the rules",
        [((), readings.rule_lag_s(found, now))],
    )


def _ledger(now: datetime) -> Iterable[Metric]:
    found = readings.waiting(now)
    key = ("transport", "lane", "state")
    named = [((one.transport, Lane(one.lane).name.lower(), one.state), one) for one in found]
    yield _gauge("deliveries_waiting", "unsent lines", ((labels, one.lines) for labels, one in named), *key)
    yield _gauge("deliveries_due", "of these, due now", ((labels, one.due) for labels, one in named), *key)
    yield _gauge(
        "delivery_oldest_due_seconds", "since the oldest of them fell due",
        ((labels, one.oldest_s(now)) for labels, one in named), *key,
    )  # fmt: skip
    yield _gauge("leases_lost", "leases that ended a minute ago and more, taken up by nobody",
        [((), sum(one.lost for one in found))])  # fmt: skip
    yield _gauge(
        "deliveries_lately", "lines of the last ten minutes' dispatches, by what became of them",
        (
            ((one.transport, word), getattr(one, word))
            for one in readings.lately(now)
            for word in ("accepted", "put_off", "refused")
        ),
        "transport", "outcome",
    )  # fmt: skip


def _ladder(now: datetime) -> Iterable[Metric]:
    found = readings.climbs(now)
    yield _gauge("climbs_due", "steps of the ladder that are due", [((), found.due)])
    yield _gauge("climb_oldest_due_seconds", "since the oldest of them fell due", [((), found.oldest_s)])


def _vendors(now: datetime) -> Iterable[Metric]:
    found = providers.standings(now)
    yield _gauge(
        "provider_well",
        "1: it is tried; 0: it fails and rests",
        (((one.provider,), float(one.state == ProviderState.WELL)) for one in found),
        "provider",
    )
    yield _gauge(
        "provider_failed_share",
        "of what was tried in about the last minute",
        (((one.provider,), one.failed_share) for one in found),
        "provider",
    )


def _canaries(now: datetime) -> Iterable[Metric]:
    last = {one.provider: one for one in canaries.flights(now - FLOWN) if one.over(now)}
    yield _gauge(
        "canary_back", "1: the vendor's newest finished round came back",
        (((provider,), float(one.back_at is not None)) for provider, one in last.items()), "provider",
    )  # fmt: skip
    yield _gauge(
        "canary_round_trip_seconds", "of the newest finished round, when it came back",
        (((provider,), one.trip_s) for provider, one in last.items()), "provider",
    )  # fmt: skip
    yield _gauge(
        "canary_age_seconds", "since the newest finished round began",
        (((provider,), (now - one.told_at).total_seconds()) for provider, one in last.items()), "provider",
    )  # fmt: skip


def _messages(now: datetime) -> Iterable[Metric]:
    """By place, 0 the newest: a label of the message itself would never end."""
    newest = paces.newest(MESSAGES)
    yield _gauge(
        "message_share_seconds", "from the word to the share of its people; no line: not reached (yet)",
        (
            ((str(place), *key.removesuffix("_s").split("_")), seconds)
            for place, one in enumerate(newest)
            for key, seconds in one.readings.items()
        ),
        "place", "state", "percent",
    )  # fmt: skip
    yield _gauge(
        "message_people", "its people", (((str(n),), one.people) for n, one in enumerate(newest)), "place"
    )
    yield _gauge(
        "message_age_seconds", "since the word",
        (((str(n),), (now - one.issued_at).total_seconds()) for n, one in enumerate(newest)), "place",
    )  # fmt: skip


def _processes(now: datetime) -> Iterable[Metric]:
    yield _gauge(
        "job_age_seconds", "since the job last went well", (((one.job, one.queue), one.age_s) for one in jobs.heard(now)),
        "job", "queue",
    )  # fmt: skip
    yield _gauge(
        "job_period_seconds",
        "how often it should",
        (((one.job,), one.period_s) for one in jobs.heard(now)),
        "job",
    )
    yield _gauge(
        "sockets", "open sockets of a server process, at most 15 s old",
        (((who,), held) for who, held in readings.sockets(now).items()), "process",
    )  # fmt: skip


def _faults(now: datetime) -> Iterable[Metric]:
    yield _gauge(
        "fault", "what the watch over the machines finds wrong now, how many of it",
        (((one.kind, one.of), one.count) for one in watchman.look(now)), "kind", "of",
    )  # fmt: skip
    yield _gauge(
        "incidents_open",
        "told to the duty engineers and not over",
        [((), Incident.objects.filter(ended_at=None).count())],
    )
    yield _gauge(
        "target",
        "what is promised (the page 运行 says why)",
        (((one.key,), one.limit) for one in TARGETS),
        "indicator",
    )
