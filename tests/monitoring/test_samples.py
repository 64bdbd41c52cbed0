"""How fast messages came, what is kept of it, and the share that was good."""

from collections.abc import Callable
from datetime import timedelta

from alerts.models import Bulletin, BulletinKind, Requires
from foundation import clock
from hydrology.models import Region
from monitoring import paces, samples
from monitoring.models import Sample
from monitoring.targets import MATURE_AFTER, TARGETS
from notifications import dispatch
from notifications.models import Delivery, State
from officers.models import Officer
from tests.monitoring.conftest import STREET

Regions = dict[str, Region]


def told(
    regions: Regions, person: Callable[..., Officer], bulletin: Callable[..., Bulletin], **fields: object
) -> Bulletin:
    """Ten people with a phone and one without; the n-th is accepted after n s, delivered after 2n, confirmed after 10n."""
    for n in range(11):
        person(regions[STREET], phones=int(n < 10))
    at = clock.now()
    made = bulletin(STREET, issued_at=at, **fields)
    dispatch.take_up(now=at)
    lines = Delivery.objects.filter(dispatch__bulletin=made, reason="").order_by("id")
    for n, line in enumerate(lines, start=1):
        line.state, line.sent_at = State.CONFIRMED, at + timedelta(seconds=n)
        line.delivered_at = at + timedelta(seconds=2 * n)
        line.confirmed_at = at + timedelta(seconds=10 * n)
        line.save()
    return made


def test_the_time_to_a_share_is_that_of_the_last_one_needed(
    regions: Regions, person: Callable[..., Officer], bulletin: Callable[..., Bulletin]
) -> None:
    told(regions, person, bulletin)
    [pace] = paces.newest(5)
    assert (pace.people, pace.reachable) == (11, 10)
    assert pace.readings == {
        "accepted_90_s": 9, "accepted_99_s": 10, "delivered_90_s": 18, "delivered_99_s": 20,
        "confirmed_90_s": 100, "confirmed_99_s": None,  # he without a phone owes an answer as well
    }  # fmt: skip


def test_who_opens_it_has_it(
    regions: Regions, person: Callable[..., Officer], bulletin: Callable[..., Bulletin]
) -> None:
    made = told(regions, person, bulletin, requires=Requires.OPEN)
    Delivery.objects.update(
        delivered_at=None, confirmed_at=None, opened_at=made.issued_at + timedelta(seconds=7)
    )
    [pace] = paces.newest(5)
    assert pace.readings == {
        "accepted_90_s": 9, "accepted_99_s": 10, "delivered_90_s": 7, "delivered_99_s": 7,
    }  # fmt: skip


def test_drills_and_messages_do_not_count(
    regions: Regions, person: Callable[..., Officer], bulletin: Callable[..., Bulletin]
) -> None:
    person(regions[STREET])
    bulletin(STREET, drill=True)
    bulletin(STREET, kind=BulletinKind.MESSAGE)
    dispatch.take_up(now=clock.now())
    assert paces.newest(5) == []


def test_a_message_is_kept_once_when_its_times_are_final(
    regions: Regions, person: Callable[..., Officer], bulletin: Callable[..., Bulletin]
) -> None:
    made = told(regions, person, bulletin)
    early, ripe = made.issued_at + MATURE_AFTER - timedelta(seconds=1), made.issued_at + MATURE_AFTER
    samples.take(now=early)
    assert not Sample.objects.filter(of__startswith="message/").exists()
    assert samples.take(now=ripe) >= 1
    assert samples.take(now=ripe) == 0
    kept = Sample.objects.get(of__startswith="message/")
    assert (kept.at, kept.readings["confirmed_99_s"]) == (made.issued_at, None)


def test_the_share_counts_what_never_came_to_pass_as_missed(db: None) -> None:
    at = clock.now()

    def keep(hours: float, **read: float | None) -> None:
        keys = {key.replace("canary_s_fcm", "canary_s/fcm"): worth for key, worth in read.items()}
        Sample.objects.create(of=f"minute/{hours}", at=at - timedelta(hours=hours), readings=keys)

    keep(1, rule_lag_s=5.0, canary_s_fcm=3.0)
    keep(2, rule_lag_s=31.0, canary_s_fcm=None)
    keep(30, rule_lag_s=30.0)
    keep(24 * 8, rule_lag_s=1.0)
    shares = samples.shares(at)
    assert shares["rule_lag_s"] == samples.Kept(3, 2, 2, 1)
    assert shares["canary_s/fcm"] == samples.Kept(2, 1, 2, 1)
    assert samples.newest(at)["canary_s/fcm"][0] == 3.0
    [first, last] = samples.plot(at)["canary_s/fcm"]
    assert ((first.worst, first.missed), (last.worst, last.missed)) == ((None, True), (3.0, False))
    assert samples.forget_old(now=at, keep_days=0) == 0
    assert samples.forget_old(now=at, keep_days=7) == 1


def test_every_promise_has_its_reason_in_both_languages() -> None:
    assert len({target.key for target in TARGETS}) == len(TARGETS)
    for target in TARGETS:
        assert all((target.name_zh, target.name_en, target.why_zh, target.why_en))
        assert 0 < target.objective < 1 < target.limit
