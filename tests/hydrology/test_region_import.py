"""A list of regions: what it makes, moves and leaves, and that each faulty line is named with what to do."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from hydrology.models import Level, Region, Station, StationKind
from hydrology.region_import import Difference, bring_in
from hydrology.region_rows import column_of
from hydrology.science.register_rows import Line
from officers import roster
from officers.models import AuditEntry, Duty, Post
from replay import city as demo
from tests.hydrology.factories import NOW, make_river, make_station
from tests.hydrology.test_registers import workbook, write

HEAD = ["code", "name", "level", "parent", "gb_code", "lon", "lat"]
TREE: list[list[Any]] = [
    ["1", "city 1", "市", "", "440300", 114.06, 22.62],
    ["11", "district 1", "区", "1", "", 114.13, 22.56],
    ["12", "district 2", "district", "1", "", 114.06, 22.53],
    ["111", "street 1", "街道", "11", "", 114.12, 22.55],
    ["112", "street 2", "镇", "11", "", 114.18, 22.59],
    ["121", "street 3", "street", "12", "", 114.05, 22.53],
    ["1111", "community 1", "社区", "111", "", 114.12, 22.55],
]


def lines(*rows: list[Any]) -> list[Line]:
    return [Line(number, dict(zip(HEAD, row, strict=True))) for number, row in enumerate(rows, start=2)]


def bring(*rows: list[Any], apply: bool = True) -> Difference:
    return bring_in(lines(*rows), apply=apply)


def paths() -> dict[str, str]:
    return dict(Region.objects.values_list("code", "path"))


def run(*given: Any, **options: Any) -> str:
    said = io.StringIO()
    call_command("import_regions", *map(str, given), stdout=said, **options)
    return said.getvalue()


@pytest.fixture
def tree(db: None) -> None:
    bring(*TREE)


@pytest.mark.parametrize(
    ("head", "name"),
    [("区划编码", "code"), ("上级编码", "parent"), ("Level", "level"), ("国标码", "gb_code"), ("备注", None)],
)
def test_a_head_is_known_by_what_people_call_it(head: str, name: str | None) -> None:
    assert column_of(head) == name


def test_an_empty_system_gets_its_tree_whatever_the_order_of_the_lines(db: None) -> None:
    found = bring(*reversed(TREE))
    assert not found.faults
    assert paths() == {
        "1": "1/", "11": "1/11/", "12": "1/12/", "111": "1/11/111/", "112": "1/11/112/", "121": "1/12/121/",
        "1111": "1/11/111/1111/",
    }  # fmt: skip
    assert Region.objects.get(pk="112").level == Level.STREET
    assert Region.objects.get(pk="1").gb_code == "440300"


def test_the_same_list_once_more_changes_nothing(tree: None) -> None:
    before = list(Region.objects.order_by("code").values())
    assert bring(*TREE).counts() == {
        "new": 0, "changed": 0, "moved": 0, "unchanged": 7, "gone": 0, "bad": 0,
    }  # fmt: skip
    assert list(Region.objects.order_by("code").values()) == before


def test_looking_writes_nothing(db: None) -> None:
    assert len(bring(*TREE, apply=False).new) == 7
    assert not Region.objects.exists()


@pytest.mark.parametrize(
    ("row", "column", "word"),
    [
        (["122", "s", "街道", "13", "", 114.05, 22.53], "parent", "is no region"),
        (["122", "s", "街道", "", "", 114.05, 22.53], "parent", "is empty"),
        (["122", "s", "街道", "1", "", 114.05, 22.53], "parent", "stands below a district"),
        (["122", "s", "社区", "11", "", 114.05, 22.53], "parent", "stands below a street"),
        (["122", "s", "前端末梢", "121", "", 114.05, 22.53], "parent", "stands below a community"),
        (["122", "s", "乡", "12", "", 114.05, 22.53], "level", "is no level"),
        (["122", "s", "", "12", "", 114.05, 22.53], "level", "a new region needs it"),
        (["122", "", "街道", "12", "", 114.05, 22.53], "name", "a new region needs it"),
        (["122", "s", "街道", "12", "", "", 22.53], "lon", "needs its centre"),
        (["122", "s", "街道", "12", "", 114.05, None], "lat", "needs its centre"),
        (["122", "s", "街道", "12", "", "east", 22.53], "lon", "is not a number"),
        (["122", "s", "街道", "12", "", 22.53, 114.05], "lon", "swapped"),
        (["122", "s", "街道", "12", "", 116.4, 39.9], "lon", "outside Guangdong"),
        (["12/2", "s", "街道", "12", "", 114.05, 22.53], "code", "letters, digits and hyphens"),
        (["", "s", "街道", "12", "", 114.05, 22.53], "code", "is empty"),
        (["122", "s", "街道", "12", "440300", 114.05, 22.53], "gb_code", "is that of 1"),
        (["2", "city 2", "市", "", "", 114.05, 22.53], "level", "of one city"),
        (["1", "city 1", "市", "11", "", 114.05, 22.53], "parent", "none above it"),
        (["12", "district 2", "街道", "11", "", 114.05, 22.53], "level", "does not fit 121"),
    ],
)
def test_a_faulty_line_says_what_to_do_and_the_good_ones_go_in(
    tree: None, row: list[Any], column: str, word: str
) -> None:
    before = paths()
    found = bring(row, ["113", "street 4", "街道", "11", "", 114.15, 22.57])
    assert [(fault.line, fault.column) for fault in found.faults] == [(2, column)]
    assert word in found.faults[0].en and found.faults[0].zh
    assert paths() == before | {"113": "1/11/113/"}


def test_what_hangs_on_a_faulty_line_waits_for_it(tree: None) -> None:
    found = bring(
        ["13", "district 3", "区", "1", "", "", ""], ["131", "street 5", "街道", "13", "", 114.0, 22.6]
    )
    assert [(fault.line, fault.column) for fault in found.faults] == [(2, "lon"), (3, "parent")]
    assert "stands in line 2" in found.faults[1].en
    assert "131" not in paths()


def test_a_faulty_line_of_a_known_region_leaves_it_and_what_is_below_it_as_they_are(tree: None) -> None:
    found = bring(
        ["12", "district 2", "区", "1", "", 22.5, 114.0], ["122", "s", "街道", "12", "", 114.0, 22.6]
    )
    assert [fault.line for fault in found.faults] == [2]
    assert paths()["122"] == "1/12/122/"


def test_a_code_that_stands_there_twice_counts_once_if_the_lines_agree(tree: None) -> None:
    row = ["113", "street 4", "街道", "11", "", 114.15, 22.57]
    assert not bring(row, row).faults
    other = ["113", "street 5", "街道", "11", "", 114.15, 22.57]
    assert [(fault.line, fault.column) for fault in bring(row, other).faults] == [(2, "code"), (3, "code")]
    assert Region.objects.get(pk="113").name == "street 4"


def test_regions_that_stand_below_each_other_are_named_as_a_ring(tree: None) -> None:
    found = bring(
        ["21", "a", "区", "211", "", 114.0, 22.6],
        ["211", "b", "街道", "21", "", 114.0, 22.6],
        ["2111", "c", "社区", "211", "", 114.0, 22.6],
    )
    assert [(fault.line, fault.column) for fault in found.faults] == [
        (2, "parent"),
        (3, "parent"),
        (4, "parent"),
    ]
    assert "21 > 211 > 21" in found.faults[0].en
    assert len(paths()) == 7


def test_an_empty_cell_and_a_missing_column_leave_what_is_known(tree: None) -> None:
    found = bring_in([Line(2, {"code": "111", "name": "street 9", "lon": None})], apply=True)
    assert found.changed == {"111": {"name": ("street 1", "street 9")}}
    assert Region.objects.get(pk="111").lon == 114.12


def test_what_a_list_leaves_out_is_told_and_kept(tree: None) -> None:
    found = bring(TREE[1], TREE[3])
    assert found.gone == ["112", "12", "121"]  # districts and streets: it speaks of no others
    assert len(paths()) == 7


def test_a_region_that_moves_takes_what_is_below_it_along(tree: None) -> None:
    Region.objects.create(
        code="11111", name="cell 1", level=Level.FRONTLINE, parent_id="1111", path="1/11/111/1111/11111/",
        lon=114.12, lat=22.55,
    )  # fmt: skip
    found = bring(["111", "street 1", "街道", "12", "", 114.12, 22.55])
    assert [tuple(move) for move in found.moved] == [("111", "1/11/111/", "1/12/111/", 2)]
    assert {code: path for code, path in paths().items() if "111" in path} == {
        "111": "1/12/111/", "1111": "1/12/111/1111/", "11111": "1/12/111/1111/11111/",
    }  # fmt: skip
    assert paths()["112"] == "1/11/112/"


def test_a_region_and_what_is_below_it_may_move_in_one_list(tree: None) -> None:
    bring(
        ["1111", "community 1", "社区", "121", "", 114.12, 22.55],
        ["121", "street 3", "街道", "11", "", 114.05, 22.53],
    )
    assert paths()["1111"] == "1/11/121/1111/"


def test_a_move_that_fails_half_way_leaves_every_path(tree: None) -> None:
    before = paths()
    with pytest.raises(RuntimeError), transaction.atomic():
        bring(["111", "street 1", "街道", "12", "", 114.12, 22.55])
        raise RuntimeError
    assert paths() == before


def test_the_command_says_what_a_move_means_for_people(tree: None, tmp_path: Path) -> None:
    make_river("Z1", "1111")
    person = roster.enrol([roster.officer_row("officer 1", "13800000001", "zh", True)])
    roster.appoint([Post(officer=person[0], duty=Duty.FLOOD, region_id="111", valid_from=NOW)])
    file = write(tmp_path / "moved.csv", [HEAD, ["111", "street 1", "街道", "12", "", 114.12, 22.55]])
    for options in ({}, {"apply": True}):
        said = run(file, **options)
        assert "1/11/111/ -> 1/12/111/：连同其下 1 个区域、1 个测站、1 个岗位" in said
        assert "moved: with 1 regions, 1 stations and 1 posts" in said
    entry = AuditEntry.objects.get(act="regions.import")
    assert entry.detail["moves"] == {"111": ["1/11/111/", "1/12/111/"]}
    assert entry.detail["moved"] == 1


def test_the_list_of_the_demo_city_goes_in_and_comes_out_the_same(db: None) -> None:
    said = run(demo.REGIONS, apply=True)
    assert "错误 bad 0" in said and "Written" in said
    with demo.REGIONS.open(encoding="utf-8") as rows:
        theirs = list(csv.DictReader(rows))
    assert Region.objects.count() == len(theirs)
    made = {row.code: row.path for row in demo._regions()}
    assert paths().items() <= made.items()
    with CaptureQueriesContext(connection) as asked:
        assert f"未变 unchanged {len(theirs)}" in run(demo.REGIONS, apply=True)
    assert not [each for each in asked if each["sql"].startswith(("INSERT", "UPDATE"))]
    assert AuditEntry.objects.count() == 1


def test_a_workbook_and_chinese_heads_are_read_too(db: None, tmp_path: Path) -> None:
    head = run(columns=True).strip().split(",")
    rows = [[int(cell) if str(cell).isdigit() else cell for cell in row] for row in TREE]
    said = run(workbook(tmp_path / "t.xlsx", {"区域": [["某市区划"], head, *rows]}), apply=True)
    assert "新增 new 7" in said
    assert paths()["1111"] == "1/11/111/1111/"


def test_without_apply_the_command_writes_nothing(db: None, tmp_path: Path) -> None:
    said = run(write(tmp_path / "t.csv", [HEAD, *TREE], encoding="gbk"))
    assert "Nothing written" in said and "新增 new 1/11/111/ street 1" in said
    assert not Region.objects.exists() and not AuditEntry.objects.exists()


def test_a_file_that_is_not_there_is_said_so(db: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        run(tmp_path / "none.csv")


def test_who_stands_in_a_moved_region_is_found_where_it_is_now(tree: None) -> None:
    make_station("G1", StationKind.RAIN, "1111")
    bring(["111", "street 1", "街道", "12", "", 114.12, 22.55])
    assert list(Station.objects.within("1/12/").values_list("code", flat=True)) == ["G1"]
