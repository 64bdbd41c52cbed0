"""Seals: what is added is sealed once, and whatever is changed afterwards shows, with and without the database."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from alerts.models import BulletinKind
from foundation.clock import now
from monitoring import seals
from monitoring.models import Seal
from notifications import months
from notifications.models import Delivery, Receipt, State
from officers import audit
from tests.console.factories import make_bulletin, make_dispatch
from tests.hydrology.factories import make_regions

STREET = "440303001"
LATER = seals.SETTLED + timedelta(minutes=1)


@pytest.fixture
def logs(db: None) -> list[Receipt]:
    """Two audit entries, a bulletin told to three, of whom two answer; a canary's, which is nobody's business."""
    region = make_regions()[STREET]
    at = now()
    for number in (1, 2):
        audit.record(None, "order.approve", f"order:{number}", {"何": "因"}, at)
    told = make_dispatch([(region, State.SENT)] * 3)
    canary = make_dispatch([(region, State.SENT)], bulletin=make_bulletin(kind=BulletinKind.CANARY))
    lines = [*Delivery.objects.filter(dispatch=told).order_by("id")[:2], canary.deliveries.get()]
    return [answer(line, at) for line in lines]


def answer(line: Delivery, at: datetime) -> Receipt:
    return Receipt.objects.create(
        delivery=line, state="confirmed", at=at, received_at=at, source="http", note="收到"
    )


def said() -> str:
    out = StringIO()
    call_command("seals", stdout=out)
    return out.getvalue()


def sealed() -> dict[str, int]:
    return dict(Seal.objects.order_by("id").values_list("log", "rows"))


def test_what_has_settled_is_sealed_once_in_one_chain_and_canaries_are_not(logs: list[Receipt]) -> None:
    assert seals.seal(now=now()) == 1, "only the bulletin is of another day"
    assert seals.seal(now=now() + LATER) == 2
    assert sealed() == {"bulletin": 1, "audit": 2, "receipt": 2}
    assert seals.seal(now=now() + LATER) == 0
    audit.record(None, "order.issue", "order:1", {}, now())
    assert seals.seal(now=now() + LATER) == 1
    chain = list(Seal.objects.order_by("id").values_list("before", "digest"))
    assert [before for before, _ in chain] == ["", *(digest for _, digest in chain[:-1])]
    assert "全部与封存相符" in said() and chain[-1][1] in said()


def test_many_rows_are_sealed_in_parts(logs: list[Receipt], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "AT_ONCE", 1)
    seals.seal(now=now() + LATER)
    assert Seal.objects.filter(log="receipt").count() == 2
    assert list(seals.broken(Seal.objects.all())) == []


def behind_the_back(sql: str, *given: object) -> None:
    """As an owner of the database could: past the triggers."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, given)
        cursor.execute("SET LOCAL session_replication_role = origin")


CHANGES: dict[str, tuple[Callable[[list[Receipt]], object], str]] = {
    "a receipt's words": (lambda rows: Receipt.objects.filter(pk=rows[0].pk).update(note="未收到"), "content"),
    "a receipt gone": (lambda rows: Receipt.objects.filter(pk=rows[0].pk).delete(), "rows 2, 1"),
    "a receipt slipped in": (
        lambda rows: Receipt.objects.filter(pk=answer(Delivery.objects.filter(receipts=None).latest("pk"), now()).pk).update(
            id=rows[0].pk - 1), "rows"),
    "an audit entry's actor": (lambda _: behind_the_back("UPDATE officers_auditentry SET act = 'order.reject'"), "content"),
    "a bulletin's words": (lambda _: behind_the_back("UPDATE alerts_bulletin SET push_zh = '无事'"), "content"),
    "a seal": (lambda _: behind_the_back("UPDATE monitoring_seal SET digest = repeat('0', 64) WHERE log = 'audit'"), "chain"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_is_changed_behind_its_back_shows(logs: list[Receipt], what: str) -> None:
    seals.seal(now=now() + LATER)
    change, why = CHANGES[what]
    change(logs)
    found = [fault for _, fault in seals.broken(Seal.objects.all())]
    assert any(fault.startswith(why) for fault in found), found
    with pytest.raises(CommandError, match="not as sealed"):
        said()
    with pytest.raises(RuntimeError):
        seals.watch(now=now() + LATER)


def test_a_seal_is_never_changed(logs: list[Receipt]) -> None:
    seals.seal(now=now() + LATER)
    for change in (lambda: Seal.objects.update(rows=9), lambda: Seal.objects.all().delete()):
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
            change()


def test_an_export_is_checked_without_the_database(logs: list[Receipt], tmp_path: Path) -> None:
    seals.seal(now=now() + LATER)
    file = tmp_path / "export.jsonl"
    call_command("seals", export=file, stdout=StringIO())
    call_command("seals", check=file, stdout=StringIO())
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert "收到" in json.dumps(lines, ensure_ascii=False)
    assert [why for _, why in seals.checked(lines[::2])] == ["chain"]
    receipts = next(line for line in lines if line["log"] == "receipt")
    receipts["rows"][0] = receipts["rows"][0].replace("confirmed", "opened")
    assert list(seals.checked(lines)) == [(receipts["id"], "content")]


def test_a_month_that_was_let_go_breaks_no_seal(logs: list[Receipt], monkeypatch: pytest.MonkeyPatch) -> None:
    seals.seal(now=now() + LATER)
    Receipt.objects.all().delete()
    assert [why for _, why in seals.broken(Seal.objects.all())] == ["rows 2, 0"]
    monkeypatch.setattr(type(months.LEDGER), "months", lambda self, attached=True: [])
    assert list(seals.broken(Seal.objects.all())) == []
