"""A roster from a file: what it changes, what it does not take, what it ends, and that it can be taken back."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from foundation.errors import Refusal
from hydrology.models import Region
from hydrology.science.register_rows import Line
from officers import audit, auth, devices, directory, roster
from officers.models import AuditEntry, Device, Officer, Platform, Post, RosterImport
from officers.roster_comparison import Difference, compare
from officers.roster_import import bring_in, undo
from officers.roster_rows import column_of, read_line
from tests.officers.conftest import ANDROID, NOW, PHONE, STRANGER, CodeFor

LATER, LATEST = (NOW + timedelta(hours=hours) for hours in (1, 2))
Row = dict[str, object]


def row(number: int = 2, **cells: object) -> Line:
    """A good line: flood officer 1 of the street, unless said otherwise."""
    told: Row = {"name": "officer 1", "phone": PHONE, "duty": "三防责任人", "region": "440303001"}
    return Line(number, told | cells)


@pytest.fixture
def city(regions: dict[str, Region]) -> Region:
    return regions["4403"]


def write(
    city: Region, *lines: Line, gone: int | None = None, now: datetime = NOW
) -> tuple[Difference, RosterImport | None]:
    return bring_in(lines, city, file=("roster.csv", "0" * 64), gone=gone, actor=None, now=now)


def standing(now: datetime) -> set[tuple[str, str, str, str]]:
    """(name, duty, region, rank) of the posts in force."""
    posts = Post.objects.active(now).values_list("officer__name", "duty", "region", "rank")
    return set(posts)


@pytest.mark.parametrize(
    ("head", "name"),
    [("手机号码", "phone"), ("Phone", "phone"), ("A/B角", "rank"), ("岗位", "duty"), ("岗位编号", "position"),
     ("席位", "position"), ("AB角组", "position"), ("任期止 ", "valid_to"), ("备注", None)],
)  # fmt: skip
def test_a_head_is_known_by_what_people_call_it(head: str, name: str | None) -> None:
    assert column_of(head) == name


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ({"name": ""}, "name"),
        ({"phone": "0755-83060000"}, "phone"),
        ({"phone": None}, "phone"),
        ({"duty": "保安"}, "duty"),
        ({"duty": "canary"}, "duty"),
        ({"region": None}, "region"),
        ({"rank": "C"}, "rank"),
        ({"position": "1" * 33}, "position"),
        ({"valid_to": "next year"}, "valid_to"),
        ({"valid_to": "2026-13-01"}, "valid_to"),
        ({"valid_from": "2026-04-15", "valid_to": "2026-04-14"}, "valid_to"),
        ({"language": "fr"}, "language"),
    ],
)
def test_a_faulty_cell_is_named_with_what_to_do_and_its_line_states_nothing(cells: Row, column: str) -> None:
    seat, faults = read_line(row(7, **cells))
    assert seat is None
    assert [(fault.line, fault.column) for fault in faults] == [(7, column)]
    assert faults[0].zh
    assert faults[0].en


def test_cells_are_read_as_sheets_keep_them() -> None:
    seat, faults = read_line(
        row(
            phone=13800001234.0,
            rank="b角",
            position=7.0,
            valid_from=datetime(2026, 4, 15),  # noqa: DTZ001
            valid_to="2026/10/15 00:00:00",
        )  # fmt: skip
    )
    assert not faults
    assert seat is not None
    assert (seat.phone, seat.rank, seat.position) == ("+8613800001234", "B", "7")
    assert seat.valid_from == datetime(2026, 4, 14, 16, tzinfo=UTC)
    assert seat.valid_to == datetime(2026, 10, 15, 16, tzinfo=UTC)  # the last day belongs to the term


def test_a_roster_makes_people_and_posts_and_the_same_once_more_changes_nothing(city: Region) -> None:
    lines = row(2), row(3, duty="值班"), row(4, name="officer 2", phone=STRANGER, rank="B", staff_code="S2")
    found, done = write(city, *lines)
    assert done is not None
    assert found.counts() == {
        "new_people": 2, "changed_people": 0, "new": 3, "changed": 0, "unchanged": 0, "gone": 0, "bad": 0,
    }  # fmt: skip
    assert standing(NOW) == {
        ("officer 1", "flood", "440303001", "A"), ("officer 1", "desk", "440303001", "A"),
        ("officer 2", "flood", "440303001", "B"),
    }  # fmt: skip
    assert roster.unseal(Officer.objects.get(staff_code="S2").sealed_phone) == f"+86{STRANGER}"
    found, again = write(city, *lines, gone=0, now=LATER)
    assert again is None
    assert found.unchanged == 3
    assert RosterImport.objects.count() == 1


def test_who_is_imported_can_sign_in_and_answers_for_his_region(city: Region, code_for: CodeFor) -> None:
    write(city, row())
    signed = auth.sign_in(PHONE, code_for(), ANDROID, NOW)
    assert directory.scope_of(signed.officer.pk, NOW).paths == ("4403/440303/440303001/",)


def test_looking_writes_nothing_and_reads_no_number(city: Region) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert compare([row()], city, NOW).counts()["new"] == 1
    assert not [query for query in asked if "sealed_phone" in query["sql"]]
    assert not Officer.objects.exists()


def test_good_lines_go_in_beside_faulty_ones_and_the_faults_say_where(city: Region) -> None:
    found, _ = write(
        city,
        row(2),
        row(3, name="officer 2", phone="12"),
        row(4, name="officer 3", phone=STRANGER, region="9"),
    )
    assert [(fault.line, fault.column) for fault in found.faults] == [(3, "phone"), (4, "region")]
    assert standing(NOW) == {("officer 1", "flood", "440303001", "A")}
    assert Officer.objects.count() == 1  # nobody without a post


def test_a_region_is_found_by_the_names_above_it(city: Region) -> None:
    found = compare(
        [
            row(2, region=None, district="region 440303", street="region 440303001"),
            row(3, region=None, district="region 440304", street="region 440303001", duty="desk"),
        ],
        city,
        NOW,
    )
    assert [change.place.region for _, change in found.new] == ["440303001"]
    assert [(fault.line, fault.column) for fault in found.faults] == [(3, "region")]


def test_a_roster_speaks_of_no_place_outside_its_region(city: Region, regions: dict[str, Region]) -> None:
    write(city, row(2), row(3, name="officer 2", phone=STRANGER, region="440304"))
    other = regions["440304"]
    found = compare([row(2)], other, LATER)
    assert [fault.column for fault in found.faults] == ["region"]
    assert [change.place.region for change in found.gone] == [
        "440304"
    ]  # the street of the other district is not


def test_a_person_with_a_staff_code_keeps_his_posts_under_a_new_number_and_name(city: Region) -> None:
    write(city, row(staff_code="S1"))
    officer = Officer.objects.get()
    write(city, row(staff_code="S1", name="officer one", phone=STRANGER), gone=0, now=LATER)
    renewed = Officer.objects.get()
    assert renewed.pk == officer.pk
    assert (renewed.name, renewed.masked_phone) == ("officer one", "139****5678")
    assert roster.unseal(renewed.sealed_phone) == f"+86{STRANGER}"
    assert not Officer.objects.known(roster.digest(f"+86{PHONE}")).exists()


def test_a_number_under_another_name_is_not_guessed_at(city: Region) -> None:
    write(city, row())
    found, done = write(city, row(name="officer 2"), now=LATER)
    assert done is None
    assert [fault.column for fault in found.faults] == ["phone"]
    assert Officer.objects.get().name == "officer 1"


def test_a_number_of_somebody_who_left_may_be_anothers(city: Region) -> None:
    write(city, row())
    write(city, row(3, name="officer 2", phone=STRANGER), gone=1, now=LATER)
    left = Officer.objects.get(name="officer 1")
    assert not left.is_active
    much_later = LATER + timedelta(days=1)
    write(city, row(2, name="officer 3"), row(3, name="officer 2", phone=STRANGER), gone=0, now=much_later)
    assert Officer.objects.known(roster.digest(f"+86{PHONE}")).get().name == "officer 3"
    assert Officer.objects.filter(pk=left.pk).exists()


def test_lines_that_contradict_each_other_are_told_and_not_taken(city: Region) -> None:
    found = compare(
        [
            row(2, staff_code="S1"),
            row(3, staff_code="S2"),  # one number, two staff codes
            row(4, staff_code="S1", name="officer 9", duty="desk"),  # one staff code, two names
            row(5, staff_code="S1", rank="B"),  # one post, two ranks
            row(6, staff_code="S1", position="1"),  # one post, two positions
        ],
        city,
        NOW,
    )
    assert [(fault.line, fault.column) for fault in found.faults] == [
        (3, "phone"),
        (4, "name"),
        (5, "duty"),
        (6, "duty"),
    ]
    assert len(found.new) == 1


def test_who_is_left_out_stays_unless_the_caller_knows_how_many_that_are(city: Region) -> None:
    lines = row(2), row(3, name="officer 2", phone=STRANGER)
    write(city, *lines)
    found, _ = write(city, lines[0], now=LATER)
    assert [change.person for change in found.gone] == ["officer 2"]
    assert len(standing(LATER)) == 2
    with pytest.raises(Refusal) as refused, transaction.atomic():
        write(city, lines[0], gone=2, now=LATER)
    assert refused.value.code == "gone_differs"
    write(city, lines[0], gone=1, now=LATER)
    assert standing(LATER) == {("officer 1", "flood", "440303001", "A")}
    assert not Officer.objects.get(name="officer 2").is_active  # nothing left to answer for: his sessions end


@pytest.mark.parametrize("undone", [True, False], ids=["undone", "imported again"])
def test_the_phones_of_who_leaves_are_retired_and_those_of_who_is_back_ring_again(
    city: Region, undone: bool
) -> None:
    lines = row(2), row(3, name="officer 2", phone=STRANGER)
    write(city, *lines)
    stays, leaves = Officer.objects.order_by("pk")
    for officer, token in ((stays, "a"), (leaves, "b"), (leaves, "c")):
        devices.register(officer.pk, devices.DeviceClaim(Platform.ANDROID, provider="fcm", token=token), NOW)
    _, done = write(city, lines[0], gone=1, now=LATER)
    assert set(Device.objects.live().values_list("token", flat=True)) == {"a"}
    devices.register(stays.pk, devices.DeviceClaim(Platform.ANDROID, provider="fcm", token="c"), LATER)
    if undone:
        assert done
        undo(done.pk, actor=None, now=LATEST)
    else:
        write(city, *lines, now=LATEST)
    live = Device.objects.live().order_by("token").values_list("token", "officer")
    assert list(live) == [("a", stays.pk), ("b", leaves.pk), ("c", stays.pk)]


def test_nothing_ends_while_the_roster_has_faults(city: Region) -> None:
    write(city, row(2), row(3, name="officer 2", phone=STRANGER))
    with pytest.raises(Refusal) as refused, transaction.atomic():
        write(city, row(2), row(3, name="officer 2", phone="12"), gone=1, now=LATER)
    assert refused.value.code == "faults_first"
    assert len(standing(LATER)) == 2


def test_a_changed_rank_or_position_is_a_new_term_and_the_old_one_stays_as_a_row(city: Region) -> None:
    write(city, row())
    write(city, row(rank="B", valid_to="2027-04-15"), now=LATER)
    found, moved = write(city, row(rank="B", position=" 东片1 ", valid_to="2027-04-15"), now=LATEST)
    assert [(change.was.position, change.now.position) for _, change in found.changed] == [("", "东片1")]
    terms = Post.objects.order_by("pk").values_list("rank", "position", "valid_from", "valid_to")
    end = datetime(2027, 4, 15, 16, tzinfo=UTC)
    assert list(terms) == [("A", "", NOW, LATER), ("B", "", LATER, LATEST), ("B", "东片1", LATEST, end)]
    assert standing(LATEST) == {("officer 1", "flood", "440303001", "B")}
    assert write(city, row(rank="B", position="东片1", valid_to="2027-04-15"), now=LATEST)[1] is None
    assert moved
    undo(moved.pk, actor=None, now=LATEST)
    assert Post.objects.active(LATEST).get().position == ""


def test_what_a_file_has_no_column_for_stays_as_it_is_and_an_empty_cell_empties_it(city: Region) -> None:
    write(city, row(rank="B", position="东片1", valid_to="2027-04-15"))
    found, moved = write(city, row(), now=LATER)
    assert (found.unchanged, found.changed, moved) == (1, [], None)
    found, _ = write(city, row(rank=None, position=None), now=LATER)
    assert [(change.now.rank, change.now.position) for _, change in found.changed] == [("A", "")]
    assert Post.objects.active(LATER).get().valid_to == datetime(2027, 4, 15, 16, tzinfo=UTC)


def test_an_import_is_undone_whole(city: Region) -> None:
    write(city, row(2, staff_code="S1"), row(3, name="officer 2", phone=STRANGER))
    before = (
        standing(LATER),
        set(Officer.objects.values_list("name", "phone_digest", "staff_code", "is_active")),
    )
    _, done = write(
        city,
        row(2, staff_code="S1", name="officer one", phone="13700001111", rank="B"),
        row(3, name="officer 3", phone="13600001111", region="440304"),
        gone=1,
        now=LATER,
    )
    assert done is not None
    assert standing(LATER) == {
        ("officer one", "flood", "440303001", "B"),
        ("officer 3", "flood", "440304", "A"),
    }
    undo(done.pk, actor=None, now=LATER + timedelta(minutes=1))
    after = LATER + timedelta(minutes=1)
    old = Officer.objects.exclude(name="officer 3")
    assert (
        standing(after),
        set(old.values_list("name", "phone_digest", "staff_code", "is_active")),
    ) == before
    assert roster.unseal(old.get(staff_code="S1").sealed_phone) == f"+86{PHONE}"
    assert not Officer.objects.get(name="officer 3").is_active
    found, _ = write(city, row(3, name="officer 3", phone="13600001111", region="440304"), now=after)
    assert not found.faults  # what was undone may come again


def test_only_the_last_import_is_undone_and_only_once(city: Region) -> None:
    _, first = write(city, row())
    _, second = write(city, row(rank="B"), now=LATER)
    assert first and second
    with pytest.raises(Refusal):
        undo(first.pk, actor=None, now=LATER)
    undo(second.pk, actor=None, now=LATER)
    with pytest.raises(Refusal):
        undo(second.pk, actor=None, now=LATER)
    undo(first.pk, actor=None, now=LATER)
    assert not standing(LATER)


def test_canaries_are_no_business_of_a_roster(city: Region, officer: Officer) -> None:
    roster.appoint([Post(officer=officer, duty="canary", region=city, valid_from=NOW)])
    found = compare([row(name="officer 2", phone=STRANGER)], city, NOW)
    assert not found.gone


def test_the_audit_log_says_what_was_granted_and_no_number(city: Region) -> None:
    write(city, row(2), row(3, duty="command", region="440303"))
    entry = AuditEntry.objects.get(act="roster.import")
    assert entry.detail["granted"] == {"flood": 1, "command": 1}
    assert PHONE not in json.dumps(entry.detail)


@pytest.fixture
def sheet(tmp_path: Path) -> Callable[[str], str]:
    def write_sheet(text: str) -> str:
        file = tmp_path / "名册.csv"
        file.write_bytes(text.encode("gb18030"))
        return str(file)

    return write_sheet


def told(*args: str) -> str:
    out = io.StringIO()
    call_command("import_roster", *args, stdout=out)
    return out.getvalue()


def test_the_command_looks_then_writes_then_ends_then_undoes(
    city: Region, sheet: Callable[[str], str]
) -> None:
    head = "全市三防责任人名册\n姓名,手机,岗位,区划编码,AB角,岗位编号,备注\n"
    both = sheet(
        f"{head}甲,{PHONE},三防责任人,440303001,A,1,\n乙,{STRANGER},三防责任人,440303001,B,1,\n丙,1,值班,4403,,,\n"
    )
    looked = told(both)
    assert "未写入" in looked
    assert "备注" in looked
    assert "第 5 行 phone" in looked
    assert PHONE not in looked
    assert not Officer.objects.exists()
    told(both, "--apply")
    assert Officer.objects.count() == 2
    one = sheet(f"{head}甲,{PHONE},三防责任人,440303001,A,2,\n")
    looked = told(one)
    assert "440303001 A 1 -> A 2" in looked
    assert "--end-missing 1" in looked
    told(one, "--apply", "--end-missing", "1")
    assert [post.officer.name for post in Post.objects.active(datetime.now(UTC))] == ["甲"]
    last = RosterImport.objects.latest("pk")
    assert f"{last.pk} " in told("--history")
    told("--undo", str(last.pk))
    assert Post.objects.active(datetime.now(UTC)).count() == 2


def test_a_file_without_the_needed_head_is_refused_with_what_it_lacks(
    city: Region, sheet: Callable[[str], str]
) -> None:
    with pytest.raises(CommandError, match="手机"):
        told(sheet("甲,乙\n1,2\n"))


def test_the_head_line_of_a_roster_is_printed_and_understood() -> None:
    heads = told("--columns").strip().split(",")
    assert "岗位编号" in heads
    assert all(column_of(head) for head in heads)


def test_an_import_and_its_entry_stand_or_fall_together(
    city: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(audit, "record", full)
    with pytest.raises(OSError, match="disk full"):
        write(city, row())
    assert not Officer.objects.exists()
