"""Who is known without asking, and how soon he no longer is; time is moved, the database is real."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from channels.db import database_sync_to_async
from pytest_django import DjangoAssertNumQueries

from foundation.errors import Refusal
from hydrology.models import Region
from officers import auth, grants
from officers.grants import KEPT_S, LOOK_S, LOOK_USABLE_S, Grants, Known
from officers.models import Officer, Post, Session
from tests.officers.conftest import NOW, SignIn

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Time:
    """The clock and the seconds of one server process."""

    at: datetime = NOW
    elapsed_s: float = 1000.0
    grants: Grants = field(init=False)

    def __post_init__(self) -> None:
        self.grants = Grants(lambda: self.at, lambda: self.elapsed_s)

    def passes(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.elapsed_s += seconds

    async def looked(self) -> None:
        """The look for ended sessions that the next who asks begins has been done."""
        self.grants._ended.at_hand()
        assert self.grants._ended._task is not None
        await self.grants._ended._task

    async def known(self, bearer: bytes) -> Known | None:
        """As the quick door asks."""
        return self.grants.at_hand(bearer) or await self.grants.ask(bearer)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def tokens(signed_in: SignIn, street_post: Post) -> auth.Tokens:
    return signed_in().tokens


@pytest.fixture
def bearer(tokens: auth.Tokens) -> bytes:
    return f"Bearer {tokens.access}".encode()


async def test_who_was_admitted_is_known_without_asking(time: Time, bearer: bytes) -> None:
    assert time.grants.at_hand(bearer) is None
    known = await time.grants.ask(bearer)
    await time.looked()
    assert known is not None
    assert known.water_paths == ("4403/440303/",)
    assert time.grants.at_hand(bearer) == known


async def test_an_ended_session_is_unknown_with_the_next_look(
    time: Time, bearer: bytes, tokens: auth.Tokens
) -> None:
    await time.known(bearer)
    await time.looked()
    grant = await database_sync_to_async(auth.grant_of)(tokens.access, time.at)
    await database_sync_to_async(auth.sign_out)(grant, time.at)
    time.passes(LOOK_S)
    await time.looked()
    assert await time.known(bearer) is None


async def test_reuse_of_a_refresh_token_ends_what_is_known(
    time: Time, bearer: bytes, tokens: auth.Tokens
) -> None:
    await time.known(bearer)
    used = await database_sync_to_async(auth.refresh)(tokens.refresh, time.at)
    await database_sync_to_async(auth.refresh)(used.refresh, time.at)
    with pytest.raises(Refusal):
        await database_sync_to_async(auth.refresh)(tokens.refresh, time.at)
    time.passes(LOOK_S)
    await time.looked()
    assert await time.known(bearer) is None


async def test_an_officer_who_left_is_unknown_with_the_next_look(time: Time, bearer: bytes) -> None:
    await time.known(bearer)
    await database_sync_to_async(Officer.objects.update)(is_active=False)
    time.passes(LOOK_S)
    await time.looked()
    assert await time.known(bearer) is None


async def test_a_session_that_ended_long_before_its_bearer_asks_again_is_unknown(
    time: Time, bearer: bytes
) -> None:
    """As long as an answer is kept, the look reaches back behind it."""
    await time.known(bearer)
    await database_sync_to_async(Session.objects.update)(revoked_at=time.at)
    time.passes(KEPT_S - 1)
    await time.looked()
    assert time.grants.at_hand(bearer) is None


async def test_without_a_recent_look_nobody_is_known(time: Time, bearer: bytes) -> None:
    """The database may be away: who cannot be looked up is asked for, or refused."""
    await time.known(bearer)
    await time.looked()
    time.passes(LOOK_USABLE_S)
    assert time.grants.at_hand(bearer) is None
    assert await time.known(bearer)


async def test_nobody_is_known_longer_than_his_token_lasts(time: Time, bearer: bytes) -> None:
    time.passes(auth.ACCESS_LIFE.total_seconds() - 10)
    assert await time.known(bearer)
    time.passes(10)
    await time.looked()
    assert await time.known(bearer) is None


async def test_another_post_shows_at_the_latest_when_the_answer_ends(
    time: Time, bearer: bytes, regions: dict[str, Region]
) -> None:
    await time.known(bearer)
    await database_sync_to_async(Post.objects.update)(region=regions["440304"])
    time.passes(KEPT_S - 1)
    await time.looked()
    known = await time.known(bearer)
    assert known
    assert known.water_paths == ("4403/440303/",)
    time.passes(1)
    await time.looked()
    known = await time.known(bearer)
    assert known
    assert known.water_paths == ("4403/440304/",)


async def test_what_nobody_signed_is_not_asked_for(time: Time, tokens: auth.Tokens) -> None:
    for forged in (b"", b"Bearer", b"Bearer x", b"Bearer \xe9~\xe9", f"Bearer {tokens.refresh}".encode()):
        assert await time.known(forged) is None
    assert time.grants._asking is None


async def test_more_than_the_bound_are_not_kept(
    time: Time, bearer: bytes, tokens: auth.Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grants, "MOST_KEPT", 1)
    other = bearer.replace(b"Bearer", b"bearer")
    for one in (bearer, other):
        await time.known(one)
    await time.looked()
    assert time.grants.at_hand(bearer) is None
    assert time.grants.at_hand(other)


def test_many_are_asked_for_in_one_query(
    tokens: auth.Tokens, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    claim = auth.claim_of(f"Bearer {tokens.access}", NOW)
    stranger = claim._replace(officer_id=claim.officer_id + 1)
    with django_assert_num_queries(1):
        granted = auth.grants_of([claim, stranger], NOW)
    assert granted == {claim: auth.grant_of(tokens.access, NOW)}
