"""The audit log: sensitive acts leave an entry, entries cannot be changed, and no number stands in them."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction

from foundation.errors import Refusal
from officers import audit, auth, roster
from officers.models import AuditEntry
from tests.officers.conftest import ANDROID, NOW, PHONE, STRANGER, CodeFor, SignIn


@pytest.mark.parametrize("change", [lambda rows: rows.update(act="x"), lambda rows: rows.delete()])
def test_the_database_refuses_to_change_an_entry(db: None, change: Callable[[object], object]) -> None:
    audit.record(None, "test.act", "thing:1", {}, NOW)
    with pytest.raises(DatabaseError, match="append only"), transaction.atomic():
        change(AuditEntry.objects.all())
    assert AuditEntry.objects.get().act == "test.act"


def test_signing_in_and_out_is_recorded_with_its_officer(signed_in: SignIn) -> None:
    signed = signed_in()
    auth.sign_out(auth.grant_of(signed.tokens.access, NOW), NOW)
    assert list(AuditEntry.objects.order_by("id").values_list("actor", "act")) == [
        (signed.officer.pk, "auth.sign_in"),
        (signed.officer.pk, "auth.sign_out"),
    ]


def test_a_wrong_code_is_recorded_without_the_number(signed_in: SignIn, code_for: CodeFor) -> None:
    code = code_for()
    with pytest.raises(Refusal):
        auth.sign_in(PHONE, f"{(int(code) + 1) % 10**6:06d}", ANDROID, NOW)
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.act) == (None, "auth.sign_in_failed")
    assert entry.detail == {"why": "wrong code", "known": True}


def test_guessing_where_no_code_was_asked_for_cannot_fill_the_log(signed_in: SignIn) -> None:
    with pytest.raises(Refusal):
        auth.sign_in(PHONE, "000000", ANDROID, NOW)
    assert not AuditEntry.objects.exists()


def test_reuse_of_a_refresh_token_is_recorded_once(signed_in: SignIn) -> None:
    tokens = signed_in().tokens
    auth.refresh(tokens.refresh, NOW)
    for _ in range(2):
        with pytest.raises(Refusal):
            auth.refresh(tokens.refresh, NOW + 2 * auth.LOST_FOR)
    assert AuditEntry.objects.filter(act="auth.refresh_reuse").count() == 1


def test_a_token_that_moves_is_recorded_with_both_officers(signed_in: SignIn) -> None:
    first = signed_in().officer
    roster.enrol([roster.officer_row("officer 2", STRANGER)])
    second = signed_in(STRANGER).officer
    entry = AuditEntry.objects.get(act="device.move")
    assert (entry.actor, entry.detail["from_officer"]) == (second, first.pk)


def test_no_phone_number_stands_in_the_log(signed_in: SignIn, code_for: CodeFor) -> None:
    signed_in()
    code = code_for(now=NOW + timedelta(minutes=1))
    with pytest.raises(Refusal):
        auth.sign_in(PHONE, f"{(int(code) + 1) % 10**6:06d}", ANDROID, NOW + timedelta(minutes=1))
    kept = str(list(AuditEntry.objects.values("act", "object", "detail")))
    assert "auth.sign_in_failed" in kept
    assert not re.search(rf"{PHONE}|1[3-9]\d\*", kept)
