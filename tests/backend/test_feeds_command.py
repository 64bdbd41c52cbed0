"""The engineer's command: a feed gets its secret once, brings only what it is registered for, and is switched off."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from foundation.clock import iso, now
from foundation.seals import unseal
from hydrology.feeds.signing import signed_headers
from hydrology.models import Feed, FeedPost
from officers.models import AuditEntry

API = "/api/v1/ingest"
BODY = b'{"readings": []}'
ADD = ("add", "gauges", "feed 1", "--kinds", "readings,radar")


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("feeds", *arguments, stdout=out)
    return out.getvalue()


def post(secret: str, door: str = "readings") -> tuple[int, str]:
    """Status and code of what a post of this feed is answered."""
    reply = APIClient().post(
        f"{API}/{door}",
        BODY,
        content_type="application/json",
        headers=signed_headers("gauges", secret, BODY, now()),
    )
    return reply.status_code, reply.json().get("code", "")


def test_a_new_feeds_secret_is_shown_once_and_opens_its_door(db: None) -> None:
    secret = said(*ADD, "--rank", "2", "--cadence-s", "600").split()[-1]
    assert unseal(Feed.objects.get().sealed_secret) == secret
    listed = said()
    assert "gauges feed 1 [readings,radar] rank 2, every 600 s; 最近收到 last heard 从未 never" in listed
    assert secret not in listed
    assert secret not in str(AuditEntry.objects.get(act="feed.add").detail)
    assert post(secret) == (200, "")
    assert f"last heard {iso(Feed.objects.get().feedmark.received_at)}" in said()  # type: ignore[attr-defined]


def test_what_a_feed_is_not_registered_for_is_refused_and_not_kept(db: None) -> None:
    secret = said(*ADD).split()[-1]
    for door in ("signals", "grids"):
        assert post(secret, door) == (403, "not_of_this_feed")
    assert not FeedPost.objects.exists()
    said("change", "gauges", "--kinds", "readings,signals")
    assert post(secret, "signals")[1] != "not_of_this_feed"


def test_a_feed_from_before_kinds_may_bring_anything(db: None) -> None:
    secret = said(*ADD).split()[-1]
    Feed.objects.update(kinds=[])
    assert post(secret, "signals")[1] != "not_of_this_feed"
    assert "[任意 any]" in said()


def test_a_renewed_secret_ends_the_old_one_at_once(db: None) -> None:
    old = said(*ADD).split()[-1]
    new = said("renew", "gauges").split()[-1]
    assert post(old) == (401, "bad_signature")
    assert post(new) == (200, "")
    assert AuditEntry.objects.filter(act="feed.renew", object="feed:gauges").count() == 1


def test_a_feed_switched_off_is_nobody_until_it_is_on_again(db: None) -> None:
    secret = said(*ADD).split()[-1]
    assert "停用 off" in said("off", "gauges")
    assert post(secret) == (401, "bad_signature")
    said("off", "gauges")
    assert "停用" not in said("on", "gauges")
    assert post(secret) == (200, "")
    assert list(AuditEntry.objects.order_by("id").values_list("act", flat=True)) == [
        "feed.add", "feed.off", "feed.on",
    ]  # fmt: skip


def test_a_feed_for_drills_is_made_as_one(db: None) -> None:
    secret = said(*ADD, "--drill").split()[-1]
    assert post(secret) == (403, "drill_feed")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (ADD, "exists"),
        (("add", "a b", "feed 1", "--kinds", "radar"), "letters, digits"),
        (("add", "other", "feed 2"), "--kinds"),
        (("add", "other", "feed 2", "--kinds", "grids,rain"), "'rain'"),
        (("change", "gauges", "--rank", "0"), "1 to 999"),
        (("change", "gauges", "--name", ""), "1 to 64"),
        (("renew", "other"), "known are: gauges"),
    ],
)
def test_a_faulty_command_says_what_to_do_and_changes_nothing(
    db: None, arguments: tuple[str, ...], words: str
) -> None:
    said(*ADD)
    before = list(Feed.objects.values())
    with pytest.raises(CommandError, match=words):
        said(*arguments)
    assert list(Feed.objects.values()) == before
