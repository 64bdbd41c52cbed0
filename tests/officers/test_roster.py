"""Phone numbers: one form inside, sealed at rest, masked outside; scopes follow from posts."""

from datetime import timedelta

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries, Settings

from foundation import seals
from foundation.errors import Refusal
from hydrology.models import Region
from officers import directory, roster
from officers.models import Duty, Officer, Post
from tests.officers.conftest import NOW, PHONE

mainland = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)


@pytest.mark.parametrize(
    "written",
    ["13800001234", "138 0000 1234", "138-0000-1234", "+8613800001234", "008613800001234", "8613800001234",
     "+86 (138) 0000-1234", "１３８００００１２３４"],
)  # fmt: skip
def test_a_mainland_number_has_one_form_however_it_is_written(written: str) -> None:
    assert roster.normalise(written) == "+8613800001234"


def test_a_number_abroad_keeps_its_country_code() -> None:
    assert roster.normalise("00852 9123 4567") == "+85291234567"


@pytest.mark.parametrize(
    "written",
    ["", "1380000123", "138000012345", "12800001234", "0755-12345678", "+86 755 12345678", "+0123456789",
     "13800001234;DROP", "abc", "+12345", "+8613800001234\n1", "１３８"],
)  # fmt: skip
def test_what_is_no_mobile_number_is_refused_with_the_field_named(written: str) -> None:
    with pytest.raises(Refusal) as refusal:
        roster.normalise(written)
    assert (refusal.value.code, list(refusal.value.fields)) == ("bad_phone", ["phone"])


@given(st.text(max_size=40))
def test_whatever_is_written_becomes_a_number_or_a_refusal(written: str) -> None:
    try:
        number = roster.normalise(written)
    except Refusal:
        return
    assert roster.normalise(number) == number


@given(mainland)
def test_a_masked_number_shows_seven_digits_and_no_more(phone: str) -> None:
    masked = roster.mask(roster.normalise(phone))
    assert masked == f"{phone[:3]}****{phone[-4:]}"
    assert roster.mask("+85291234567") == "+852****67"


@given(st.text(max_size=64))
def test_what_is_sealed_comes_back_the_same(text: str) -> None:
    assert seals.unseal(seals.seal(text)) == text


def test_the_same_number_seals_differently_each_time() -> None:
    assert seals.seal(PHONE) != seals.seal(PHONE)


def test_a_seal_of_another_key_is_broken_not_garbage(settings: Settings) -> None:
    sealed = seals.seal(PHONE)
    settings.PHONE_KEY = "another key of at least 32 characters"
    with pytest.raises(seals.BrokenSeal):
        seals.unseal(sealed)


def test_digests_of_different_purposes_cannot_be_compared() -> None:
    assert seals.keyed_digest(PHONE, "one") == seals.keyed_digest(PHONE, "one")
    assert seals.keyed_digest(PHONE, "one") != seals.keyed_digest(PHONE, "two")


def test_the_roster_table_holds_no_readable_number(officer: Officer) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT o::text, encode(sealed_phone, 'escape') FROM officers_officer o")
        stored = "".join(cursor.fetchone())
    assert PHONE not in stored
    assert roster.unseal(Officer.objects.get().sealed_phone) == f"+86{PHONE}"


def test_officers_and_posts_are_enrolled_set_wise(
    regions: dict[str, Region], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    rows = [roster.officer_row(f"officer {i}", f"1370000{i:04d}", synthetic=True) for i in range(1000)]
    with django_assert_num_queries(2):
        officers = roster.enrol(rows)
        roster.appoint(
            [Post(officer=o, duty=Duty.FLOOD, region=regions["440304"], valid_from=NOW) for o in officers]
        )
    assert Post.objects.active(NOW).count() == 1000


def test_without_a_post_an_officer_sees_nothing(officer: Officer) -> None:
    scope = directory.scope_of(officer.pk, NOW)
    assert (scope.paths, scope.water_paths) == ((), ())
    assert not scope.sees("4403/")


def test_another_region_is_outside_the_scope(street_post: Post) -> None:
    scope = directory.scope_of(street_post.officer_id, NOW)
    assert scope.sees("4403/440303/440303001/")
    assert not scope.sees("4403/440303/")
    assert not scope.sees("4403/440304/")
    assert scope.water_paths == ("4403/440303/",)


@pytest.mark.parametrize(
    ("begins", "ends"),
    [(-timedelta(days=9), timedelta(0)), (timedelta(seconds=1), None)],
    ids=["ended at this instant", "begins in a second"],
)
def test_a_post_out_of_its_term_gives_no_scope(
    street_post: Post, begins: timedelta, ends: timedelta | None
) -> None:
    Post.objects.update(valid_from=NOW + begins, valid_to=None if ends is None else NOW + ends)
    assert directory.scope_of(street_post.officer_id, NOW).paths == ()


def test_the_posts_of_an_inactive_officer_give_no_scope(street_post: Post) -> None:
    Officer.objects.update(is_active=False)
    assert directory.scope_of(street_post.officer_id, NOW).paths == ()


def test_only_a_desk_post_opens_the_desk_and_only_a_command_post_the_command() -> None:
    scope = directory.scope_from(
        [
            (Duty.FLOOD, "4403/", "GAUGE"),
            (Duty.DESK, "4403/440303/", None),
            (Duty.COMMAND, "4403/440304/", None),
        ]
    )
    assert scope.paths == ("4403/",), "regions under another one are not asked for twice"
    assert scope.desk_paths == ("4403/440303/",)
    assert scope.command_paths == ("4403/440304/",)
    assert scope.engineer_paths == ()
    assert scope.stations == ("GAUGE",)


def test_a_region_whose_code_begins_alike_is_not_below() -> None:
    scope = directory.scope_from([(Duty.FLOOD, "4403/440303/", None), (Duty.FLOOD, "4403/4403031/", None)])
    assert len(scope.paths) == 2
