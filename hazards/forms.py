"""The feedback form (反馈表) as the phone sends it: its fields, its counts, what is wrong with one. Dry, no rows.

Counted is what the bureaus' own reports count (project domain notes, receipts seen in practice): people and vehicles
sent out, objects inspected by kind, people moved, waterlogged spots, incidents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from foundation.clock import SHENZHEN
from foundation.errors import Refusal
from foundation.texts import UNKEEPABLE, storable

COUNTS: Final[Mapping[str, str]] = {
    "people": "投入人员（人次）",
    "vehicles": "投入车辆（台次）",
    "evacuees": "转移人员（人）",
    "waterlogging": "积水内涝（处）",
    "incidents": "险情事故（起）",
}
INSPECTED: Final[Mapping[str, str]] = {
    "reservoir": "水库",
    "pond": "山塘",
    "river": "河道",
    "levee": "险工险段",
    "waterlogging_spot": "易涝点",
    "slope": "危险边坡",
    "geohazard": "地质灾害隐患点",
    "construction_site": "在建工地",
    "underground": "地下空间",
    "underpass": "下穿通道",
    "dangerous_house": "危房",
    "billboard": "户外广告牌",
    "shelter": "避难场所",
}
MOST: Final = 1_000_000
NOTE_CHARS: Final = 500
CODE_CHARS: Final = 32

_FIELDS = frozenset({"region", "at", "zero", "figures", "note"})
_UNKNOWN = "未知字段 / unknown field"
_NUMBER = f"须为 0 到 {MOST} 的整数 / must be a whole number from 0 to {MOST}"
_OBJECT = "须为对象 / must be an object"

Figures = dict[str, int | dict[str, int]]


@dataclass(frozen=True, slots=True)
class Form:
    """One form; region and at are None where it does not say them. All COUNTS are in `figures`."""

    region: str | None
    at: datetime | None
    zero: bool
    figures: Figures
    note: str


def read_form(raw: object) -> Form:
    """The form of a JSON value; raises Refusal `form` that names every faulty field with its reason."""
    if not isinstance(raw, Mapping):
        raise _refused({"form": _OBJECT})
    faults = {str(key)[:64]: _UNKNOWN for key in raw if key not in _FIELDS}
    region, note, zero = raw.get("region"), raw.get("note", ""), raw.get("zero", False)
    if region is not None and not (isinstance(region, str) and 0 < len(region) <= CODE_CHARS):
        faults["region"] = "须为区域编码 / must be the code of a region"
    elif isinstance(region, str) and not storable(region):
        faults["region"] = UNKEEPABLE
    if not isinstance(note, str) or len(note) > NOTE_CHARS:
        faults["note"] = (
            f"须为不超过 {NOTE_CHARS} 字的文字 / must be a text of at most {NOTE_CHARS} characters"
        )
    elif not storable(note):
        faults["note"] = UNKEEPABLE
    if not isinstance(zero, bool):
        faults["zero"] = "须为 true 或 false / must be true or false"
    at = instant(raw.get("at"), faults)
    figures = _figures(raw.get("figures"), zero is True, faults)
    if faults:
        raise _refused(faults)
    return Form(region, at, zero is True, figures, str(note))


def none_of_it() -> Figures:
    """The figures of a region that has nothing to report."""
    return {**dict.fromkeys(COUNTS, 0), "inspected": {}}


def _figures(raw: object, zero: bool, faults: dict[str, str]) -> Figures:
    if raw is None and zero:
        return none_of_it()
    if not isinstance(raw, Mapping):
        faults["figures"] = "须填写 / must be given" if raw is None else _OBJECT
        return {}
    inspected = raw.get("inspected", {})
    if not isinstance(inspected, Mapping):
        faults["figures.inspected"] = _OBJECT
        inspected = {}
    counts = {key: count for key, count in raw.items() if key != "inspected"}
    for prefix, given, known in (("", counts, COUNTS), ("inspected.", inspected, INSPECTED)):
        for key, count in given.items():
            if key not in known:
                faults[f"figures.{prefix}{str(key)[:64]}"] = _UNKNOWN
            elif isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST:
                faults[f"figures.{prefix}{key}"] = _NUMBER
            elif zero and count:
                faults[f"figures.{prefix}{key}"] = "零报告各项须为 0 / a zero report counts nothing"
    return {**{key: counts.get(key, 0) for key in COUNTS}, "inspected": dict(inspected)}


def instant(raw: object, faults: dict[str, str]) -> datetime | None:
    """An ISO 8601 instant; without an offset it is Shenzhen's."""
    if raw is None:
        return None
    try:
        at = datetime.fromisoformat(raw) if isinstance(raw, str) else None
        if at is not None:
            return (at if at.tzinfo else at.replace(tzinfo=SHENZHEN)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    faults["at"] = "须为 ISO 8601 时间 / must be an ISO 8601 instant"
    return None


def _refused(faults: dict[str, str]) -> Refusal:
    named = "、".join(sorted(faults))
    # half a surrogate pair, which JSON lets in, cannot be sent out
    fields = {_sayable(name): reason for name, reason in faults.items()}
    return Refusal(
        "form",
        zh=f"反馈表有误：{_sayable(named)[:200]}。请按字段提示修改后重新提交。",
        en=f"The form is wrong: {_sayable(named)[:200]}. Mend the named fields and send it again.",
        fields=fields,
    )


def _sayable(text: str) -> str:
    return text.replace("\x00", "?").encode(errors="replace").decode()
