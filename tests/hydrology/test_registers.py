"""Registers of stations and limits: from CSV, XLSX and a database, compared, told, written once."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from hydrology.models import (
    Feed,
    Region,
    Reservoir,
    River,
    SeasonLimit,
    Source,
    SourceKind,
    Station,
    StationKind,
)
from hydrology.science.register_rows import (
    Line,
    Register,
    column_of,
    columns,
    level_faults,
    read_line,
    registers_in,
    season_notes,
)
from hydrology.science.sl323_mapping import StationCodes
from officers.models import AuditEntry, Post
from replay import city
from tests.hydrology.factories import NOW
from tests.hydrology.test_sl323_polls import Theirs, theirs

__all__ = ["theirs"]  # a fixture
HEAD = ["STCD", "STNM", "STTP", "LGTD", "LTTD", "ADDVCD", "DTMNM"]
LAKE = ["81001", "东湖水库", "RR", "114.13", "22.56", "440303", "珠基"]
LEVELS_HEAD = ["测站编码", "坝顶高程(m)", "校核洪水位(m)", "设计洪水位(m)", "正常高水位(m)", "死水位(m)"]
LEVELS = ["81001", "34", "33", "32", "30", "20"]


def write(file: Path, rows: list[list[Any]], encoding: str = "utf-8-sig") -> Path:
    with file.open("w", encoding=encoding, newline="") as lines:
        csv.writer(lines).writerows(rows)
    return file


def workbook(file: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    """The least that is an XLSX: numbers stay numbers, as spreadsheets keep them."""

    def cell(value: Any) -> str:
        if value is None:
            return "<c/>"
        if isinstance(value, int | float):
            return f"<c><v>{value + 0}</v></c>"
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'

    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    numbered = list(enumerate(sheets.items(), start=1))
    with zipfile.ZipFile(file, "w") as parts:
        parts.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            "</Types>",
        )
        parts.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r" Type="{office}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        names = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, (name, _) in numbered)
        parts.writestr(
            "xl/workbook.xml", f'<workbook {main} xmlns:r="{office}"><sheets>{names}</sheets></workbook>'
        )
        links = "".join(
            f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/s{n}.xml"/>'
            for n, _ in numbered
        )
        parts.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships">{links}</Relationships>',
        )
        for n, (_, rows) in numbered:
            body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            parts.writestr(
                f"xl/worksheets/s{n}.xml", f"<worksheet {main}><sheetData>{body}</sheetData></worksheet>"
            )
    return file


def run(*given: Any, **options: Any) -> str:
    said = io.StringIO()
    call_command("import_register", *map(str, given), stdout=said, **options)
    return said.getvalue()


def test_without_apply_nothing_is_written(city_of: Any, tmp_path: Path) -> None:
    said = run(write(tmp_path / "s.csv", [HEAD, LAKE]))
    assert "新增 new 1" in said and "Nothing written" in said and "东湖水库" in said
    assert not Station.objects.filter(pk="81001").exists() and not AuditEntry.objects.exists()


@pytest.fixture
def city_of(city: dict[str, Region]) -> dict[str, Region]:
    """The small city; 440303001 and 440303002 lie in 440303."""
    return city


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "gbk", "utf-16"])
def test_a_station_goes_in_with_its_datum_and_nearest_street(
    city_of: Any, tmp_path: Path, encoding: str
) -> None:
    run(write(tmp_path / "s.csv", [HEAD, LAKE], encoding), apply=True)
    station = Station.objects.get(pk="81001")
    assert (station.name, station.kind, station.datum) == ("东湖水库", StationKind.RESERVOIR, "珠基")
    assert station.region_id == "440303001" and not station.synthetic


def test_the_same_file_twice_changes_nothing(city_of: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "s.csv", [HEAD, LAKE])
    run(file, apply=True)
    assert "新增 new 0, 变更 changed 0, 未变 unchanged 1" in run(file, apply=True)


def test_who_imported_what_is_in_the_audit_log(city_of: Any, tmp_path: Path) -> None:
    run(write(tmp_path / "s.csv", [HEAD, LAKE, [*LAKE[:1], ""]]), apply=True)
    entry = AuditEntry.objects.get()
    assert entry.act == "register.import" and entry.detail["from"] == "s.csv"
    assert len(entry.detail["sha256"]) == 64 and entry.detail["registers"][0]["new"] == 1


def test_a_workbook_of_all_registers_goes_in_at_once(city_of: Any, tmp_path: Path) -> None:
    file = workbook(
        tmp_path / "all.xlsx",
        {
            "汛限": [
                ["测站编码", "开始月日", "结束月日", "汛限水位"],
                [81001, 415, "0630", 27.5],
                [81001, "7-1", None, 28],
            ],
            "水库": [["水库防洪指标一览表"], [], LEVELS_HEAD, [81001, 34, 33, 32, 30, 20]],
            "河道": [["STCD", "WRZ", "GRZ", "OBHTZ"], [81002, 5, 6, None]],
            "测站": [HEAD, [81001, *LAKE[1:]], [81002, "梧桐河", "ZQ", 114.18, 22.59, None, ""]],
            "说明": [["请勿修改"]],
        },
    )
    run(file, apply=True)
    lake, river = Reservoir.objects.get(pk="81001"), River.objects.get(pk="81002")
    assert (lake.dead_m, lake.normal_m, lake.crest_m, lake.gated) == (20, 30, 34, None)
    assert (river.warning_m, river.guarantee_m, river.highest_m, river.bed_m) == (5, 6, None, None)
    seasons = list(SeasonLimit.objects.filter(reservoir="81001").order_by("begin_mmdd"))
    assert [(s.begin_mmdd, s.end_mmdd, s.limit_m) for s in seasons] == [
        ("0415", "0630", 27.5),
        ("0701", "", 28.0),
    ]
    assert run(file).count("变更 changed 0, 未变 unchanged") == 4


def test_a_change_is_told_field_by_field_and_written(city_of: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "r.csv", [["STCD", "NORMZ", "DSFLZ"], ["gated", "30.5", "32"]])
    assert "normal_m (NORMZ) 30.0 -> 30.5" in run(file)
    run(file, apply=True)
    assert Reservoir.objects.get(pk="gated").normal_m == 30.5
    assert Reservoir.objects.get(pk="gated").gated is True  # the file has no such column


def test_a_changed_datum_is_told_before_everything_else(city_of: Any, tmp_path: Path) -> None:
    row = ["gated", "station gated", "RR", "114.12", "22.55", "", "黄海"]
    said = run(write(tmp_path / "s.csv", [HEAD, row]))
    assert said.splitlines()[1].strip().startswith("注意 !! gated datum")
    assert "cannot be compared" in said
    blank = run(write(tmp_path / "b.csv", [HEAD, [*row[:6], ""]]))
    assert "datum" not in blank  # an empty cell does not take a datum away


def test_a_changed_season_replaces_the_reservoirs_old_ones(city_of: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", [["STCD", "BGMD", "EDMD", "FSLTDZ"], ["gated", "0401", "1015", "27.5"]])
    said = run(file, apply=True)
    assert "0415-1015:28 -> 0401-1015:27.5" in said and "gone (kept) ungated" in said
    assert list(SeasonLimit.objects.filter(reservoir="gated").values_list("begin_mmdd", flat=True)) == [
        "0401"
    ]
    assert SeasonLimit.objects.filter(reservoir="ungated").exists()


def test_what_the_register_no_longer_names_is_told_and_kept(city_of: Any, tmp_path: Path) -> None:
    said = run(write(tmp_path / "r.csv", [["STCD", "NORMZ"], ["gated", "30"]]), apply=True)
    assert "gone (kept) ungated" in said and Reservoir.objects.filter(pk="ungated").exists()


def test_a_list_of_gauges_does_not_call_the_reservoirs_gone(city_of: Any, tmp_path: Path) -> None:
    row = ["rain-1", "station rain-1", "PP", "114.12", "22.55", "", ""]
    said = run(write(tmp_path / "s.csv", [HEAD, row]))
    assert "gone (kept) rain-2" in said and "gone (kept) gated" not in said


@pytest.mark.parametrize(
    ("change", "column", "words"),
    [
        ({"STCD": ""}, "STCD", "is no code"),
        ({"STTP": "DD"}, "STTP", "map it under kinds"),
        ({"LGTD": "22.56", "LTTD": "114.13"}, "LGTD", "swapped"),
        ({"LGTD": "116.4", "LTTD": "39.9"}, "LGTD", "outside Guangdong"),
        ({"LGTD": "114°07′"}, "LGTD", "not a number"),
        ({"LGTD": ""}, "LGTD", "a new station needs it"),
        ({"DTMNM": "x" * 17}, "DTMNM", "more than 16"),
    ],
)
def test_a_bad_station_is_told_by_line_column_reason_and_remedy(
    city_of: Any, tmp_path: Path, change: dict[str, str], column: str, words: str
) -> None:
    bad = [change.get(name, value) for name, value in zip(HEAD, LAKE, strict=True)]
    good = ["81009", *LAKE[1:]]
    said = run(write(tmp_path / "s.csv", [HEAD, bad, good]), apply=True)
    assert f"line 2 {column}" in said and words in said and "错误 bad 第 2 行" in said
    assert Station.objects.filter(pk="81009").exists() and not Station.objects.filter(pk="81001").exists()


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (["gated", "34", "33", "32", "33", "20"], "NORMZ 33 must lie below DSFLZ 32"),
        (["gated", "33", "33", "32", "30", "20"], "CKFLZ 33 must lie below DAMEL 33"),
        (["gated", "34", "33", "32", "30", "31"], "DDZ 31 must lie below NORMZ 30"),
        (["gated", "34", "3300", "32", "30", "20"], "between -50 and 1000 m"),
        (["rain-1", "34", "33", "32", "30", "20"], "of kind PP"),
        (["nowhere", "34", "33", "32", "30", "20"], "no such station"),
    ],
)
def test_levels_in_the_wrong_order_or_of_the_wrong_object_are_refused(
    city_of: Any, tmp_path: Path, levels: list[str], words: str
) -> None:
    said = run(write(tmp_path / "r.csv", [LEVELS_HEAD, levels]), apply=True)
    assert words in said and "line 2" in said and Reservoir.objects.get(pk="gated").normal_m == 30.0


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["gated", "0230", "1015", "27"]], "no month and day"),
        ([["gated", "0415", "1015", "30.1"]], "FSLTDZ 30.1 must lie below NORMZ 30"),
        ([["gated", "0415", "1015", "20"]], "DDZ 20 must lie below FSLTDZ 20"),
        ([["gated", "", "1015", "27"]], "is empty"),
        ([["gated", "0415", "1015", ""]], "has no limit"),
        ([["gated", "0415", "0630", "27"], ["gated", "0415", "1015", "28"]], "begins twice"),
        (
            [["gated", "0415", "0630", "27"], ["gated", "1315", "1015", "28"]],
            "line 3 of the same reservoir is bad",
        ),
    ],
)
def test_bad_seasons_leave_the_reservoir_as_it_was(
    city_of: Any, tmp_path: Path, rows: list[list[str]], words: str
) -> None:
    said = run(write(tmp_path / "f.csv", [["STCD", "BGMD", "EDMD", "FSLTDZ"], *rows]), apply=True)
    assert words in said
    assert SeasonLimit.objects.get(reservoir="gated").limit_m == 28.0


def test_seasons_may_leave_gaps_and_wrap_the_year(city_of: Any, tmp_path: Path) -> None:
    rows = [["gated", "0415", "0630", "27"], ["gated", "1101", "0228", "29"]]
    said = run(write(tmp_path / "f.csv", [["STCD", "BGMD", "EDMD", "FSLTDZ"], *rows]), apply=True)
    assert "note" not in said and SeasonLimit.objects.filter(reservoir="gated").count() == 2
    assert list(season_notes([("1101", "0228", 29.0), ("0201", "0401", 27.0)]))
    assert not list(season_notes([("1101", "0228", 29.0), ("0301", "", 27.0)]))


def test_one_code_twice_is_refused_unless_it_says_the_same_or_has_a_level_kind(
    city_of: Any, tmp_path: Path
) -> None:
    rain = [*LAKE[:2], "PP", *LAKE[3:]]  # a primary key of STCD and STTP
    said = run(write(tmp_path / "s.csv", [HEAD, rain, LAKE, LAKE]), apply=True)
    assert Station.objects.get(pk="81001").kind == StationKind.RESERVOIR and "several kinds" in said
    other = ["81003", *LAKE[1:]]
    said = run(write(tmp_path / "d.csv", [HEAD, other, [*other[:1], "另一站", *other[2:]]]), apply=True)
    assert "line 2" in said and "line 3" in said and "keep one" in said
    assert not Station.objects.filter(pk="81003").exists()


def test_a_mapping_file_renames_columns_kinds_and_codes(city_of: Any, tmp_path: Path) -> None:
    mapping = tmp_path / "m.json"
    mapping.write_text(json.dumps({
        "columns": {"STCD": "站点", "LGTD": "LTTD", "LTTD": "LGTD"}, "kinds": {"DD": "ZZ"},
        "station": {"prefix": "SZ"},
    }))  # fmt: skip
    rows = [["站点", *HEAD[1:]], ["1", "水闸", "DD", "22.56", "114.13", "440303", ""]]
    run(write(tmp_path / "s.csv", rows), apply=True, mapping=mapping)
    station = Station.objects.get(pk="SZ1")
    assert (station.kind, station.lon, station.lat) == (StationKind.RIVER, 114.13, 22.56)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,2\n", "no head line"),
        (b"\xff\x00\x81\x30", "neither UTF-8 nor GBK"),
        ("STCD,备注\n1,x\n".encode(), "--kind"),
    ],
)
def test_a_file_that_is_no_register_is_refused(
    city_of: Any, tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(CommandError, match=words):
        run(tmp_path / "x.csv")


def test_a_broken_workbook_a_missing_file_and_an_unknown_source_are_refused(
    city_of: Any, tmp_path: Path
) -> None:
    (tmp_path / "x.xlsx").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(CommandError, match="no readable XLSX"):
        run(tmp_path / "x.xlsx")
    with pytest.raises(CommandError, match="cannot be read"):
        run(tmp_path / "nowhere.csv")
    with pytest.raises(CommandError, match="no source 'bureau'"):
        run("bureau")


REGISTERS = """
CREATE TABLE {s}.st_stbprp_b (stcd char(18), stnm varchar(30), sttp char(2), lgtd numeric(10,6), lttd numeric(10,6),
    addvcd char(6), dtmnm varchar(16), dtmel numeric(7,3));
CREATE TABLE {s}.st_rsvrfsr_b (stcd char(18), bgmd char(4), edmd char(4), fsltdz numeric(7,3));
INSERT INTO {s}.st_stbprp_b VALUES ('81001', '东湖水库', 'RR', 114.13, 22.56, '440303', '珠基', 0.5);
INSERT INTO {s}.st_rsvrfsr_b VALUES ('gated', '0415', NULL, 27.5);
"""


def test_the_registers_of_a_database_source_are_imported(theirs: Theirs, feed: Feed) -> None:  # noqa: F811
    for statement in REGISTERS.split(";\n"):
        if statement.strip():
            theirs.say(statement)
    mapping = {
        "names": "lower", "schema": theirs.schema,
        "registers": {"ST_RSVRFSR_B": {}, "ST_STBPRP_B": {"columns": {"DTPR": None}}},
    }  # fmt: skip
    Source.objects.create(
        key="bureau", feed=feed, kind=SourceKind.DATABASE, address=theirs.address, secret_env="SOURCE_PASSWORD",
        mapping=mapping, due_at=NOW,
    )  # fmt: skip
    run("bureau", apply=True)
    station = Station.objects.get(pk="81001")
    assert (station.name, station.datum, station.datum_elevation_m) == ("东湖水库", "珠基", 0.5)
    assert SeasonLimit.objects.get(reservoir="gated").end_mmdd == ""
    assert run("bureau").count("变更 changed 0, 未变 unchanged 1") == 2


@pytest.mark.django_db
def test_the_demo_city_goes_out_and_comes_back_whole(tmp_path: Path) -> None:
    city.build(NOW, say=lambda _: None, officers=0)
    file = export(tmp_path / "city.xlsx")
    before = snapshot()
    assert all(len(rows) > 100 for rows in before.values())
    Post.objects.exclude(station=None).delete()  # nobody answers for a station that is about to go
    for model in (SeasonLimit, Reservoir, River, Station):
        model.objects.all().delete()
    run(file, apply=True)
    assert snapshot() == before
    assert run(file).count("新增 new 0, 变更 changed 0") == 4


def export(file: Path) -> Path:
    names = {
        "stations": "code name kind lon lat region_id datum datum_elevation_m datum_correction_m",
        "reservoirs": "pk gated dead_m normal_m design_m check_m crest_m",
        "rivers": "pk bed_m warning_m guarantee_m highest_m",
        "seasons": "reservoir begin_mmdd end_mmdd limit_m",
    }
    heads = {
        "stations": "STCD STNM STTP LGTD LTTD REGION DTMNM DTMEL DTPR",
        "reservoirs": "STCD GATED DDZ NORMZ DSFLZ CKFLZ DAMEL",
        "rivers": "STCD BED WRZ GRZ OBHTZ",
        "seasons": "STCD BGMD EDMD FSLTDZ",
    }
    models: dict[str, Any] = {
        "stations": Station,
        "reservoirs": Reservoir,
        "rivers": River,
        "seasons": SeasonLimit,
    }
    return workbook(
        file,
        {
            key: [
                heads[key].split(),
                *map(list, model.objects.order_by("pk").values_list(*names[key].split())),
            ]
            for key, model in models.items()
        },
    )


def snapshot() -> dict[str, list[Any]]:
    drop = {"synthetic", "id"}
    return {
        key: [{name: v for name, v in row.items() if name not in drop} for row in model.objects.order_by(*order).values()]
        for key, model, order in (
            ("stations", Station, ["pk"]), ("reservoirs", Reservoir, ["pk"]), ("rivers", River, ["pk"]),
            ("seasons", SeasonLimit, ["reservoir", "begin_mmdd"]),
        )
    }  # fmt: skip


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("STCD", "STCD"), ("stcd ", "STCD"), ("测站编码(STCD)", "STCD"), ("汛限水位（m）", "FSLTDZ"),
        ("正常蓄水位", "NORMZ"), ("FSLTDZ 汛限水位", None), ("备注", None), ("", None),
    ],
)  # fmt: skip
def test_a_head_is_known_by_its_standard_or_chinese_name(head: str, name: str | None) -> None:
    assert column_of(head) == name


def test_a_flat_table_may_hold_several_registers() -> None:
    flat = {*columns(Register.STATIONS), "DAMEL", "WRZ"}
    assert registers_in(flat) == [Register.STATIONS, Register.RESERVOIRS, Register.RIVERS]
    assert registers_in({"DAMEL"}) == []


@given(st.lists(st.floats(-50, 1000), min_size=6, max_size=6, unique=True))
def test_levels_in_order_are_never_blamed_and_a_swap_always_is(levels: list[float]) -> None:
    order = ["DDZ", "FSLTDZ", "NORMZ", "DSFLZ", "CKFLZ", "DAMEL"]
    rising = dict(zip(order, sorted(levels), strict=True))
    assert not list(level_faults(rising))
    assert list(level_faults(rising | {"NORMZ": rising["DSFLZ"], "DSFLZ": rising["NORMZ"]}))


cells = st.one_of(st.none(), st.text(), st.floats(), st.integers(), st.dates(), st.booleans())


@given(
    st.sampled_from(Register),
    st.dictionaries(st.sampled_from(sorted({n for r in Register for n in columns(r)})), cells),
)
def test_no_row_crashes_the_reader(register: Register, row: dict[str, Any]) -> None:
    record, faults = read_line(register, Line(1, row), StationCodes(), {})
    assert record is None or not faults
    assert all(fault.zh and fault.en and fault.line == 1 for fault in faults)
