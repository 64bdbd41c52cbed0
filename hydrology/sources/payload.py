"""Other people's JSON into rows of `POST readings`: by a mapping an engineer writes, once a source or topic.

Owns the mapping's keys and their checks (docs/sources.md). Judges no value: ingest does. What cannot be mapped goes
in as a row that says why and is rejected there, so it is kept and counted like any other bad row. Dry.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from foundation.clock import SHENZHEN
from foundation.errors import Refusal
from hydrology.science.readings import MAX_CODE_CHARS, SENTINELS, Element
from hydrology.sources.fetched import fault

Row = dict[str, Any]
_KEYS: Final = {
    "rows", "station", "stations", "element", "elements", "value", "values", "time", "time_format", "zone",
}  # fmt: skip
_UNIX: Final = {"unix": 1.0, "unix_ms": 1000.0}
_SHOWN: Final = 2000


@dataclass(frozen=True, slots=True)
class Measure:
    """What a field or code means: element, factor into its unit, seconds of accumulation (rain)."""

    element: Element
    factor: float = 1.0
    duration_s: int | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """Where the values stand in a payload. Paths are field names, nested ones with dots."""

    rows: str = ""
    station: str = ""
    stations: Mapping[str, str] = field(default_factory=dict)
    element: str = ""
    elements: Mapping[str, Measure] = field(default_factory=dict)
    value: str = ""
    values: Mapping[str, Measure] = field(default_factory=dict)
    time: str = ""
    time_format: str = ""
    zone: ZoneInfo = SHENZHEN


def shape_of(mapping: object, where: str = "payload") -> Shape:
    """The shape an engineer wrote down. Raises Refusal naming the faulty key of `where`."""
    if not isinstance(mapping, dict):
        raise _bad(where, "须为对象", "must be an object")
    if unknown := set(mapping) - _KEYS:
        raise _bad(f"{where}.{min(unknown)}", "不是已知的键", f"is not known: use {', '.join(sorted(_KEYS))}")
    texts = {
        key: mapping.get(key, "") for key in ("rows", "station", "element", "value", "time", "time_format")
    }
    for key, text in texts.items():
        if not isinstance(text, str):
            raise _bad(f"{where}.{key}", "须为文本", "must be a text")
    stations = mapping.get("stations", {})
    if not isinstance(stations, dict) or not all(isinstance(code, str) for code in stations.values()):
        raise _bad(f"{where}.stations", "须为站码对照表", "must map their codes to ours")
    elements, values = (_measures(mapping.get(key, {}), f"{where}.{key}") for key in ("elements", "values"))
    if bool(elements) == bool(values):
        raise _bad(
            f"{where}.values",
            "须写 values（字段对要素）或 elements（代码对要素）之一",
            "is needed (field to element), or elements (code to element): one of the two",
        )
    return Shape(**texts, stations=stations, elements=elements, values=values, zone=zone_of(mapping, where))


def zone_of(mapping: Mapping[str, Any], where: str) -> ZoneInfo:
    """The time zone of times without one: key `zone`, an IANA name; Shenzhen's when absent."""
    try:
        return ZoneInfo(mapping["zone"]) if "zone" in mapping else SHENZHEN
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise _bad(
            f"{where}.zone", "须为时区名，如 UTC", "must be the name of a time zone, like UTC"
        ) from error


def _measures(given: object, where: str) -> dict[str, Measure]:
    if not isinstance(given, dict):
        raise _bad(where, "须为对象", "must be an object")
    return {str(name): _measure(entry, f"{where}.{name}") for name, entry in given.items()}


def _measure(given: object, where: str) -> Measure:
    entry = {"element": given} if isinstance(given, str) else given
    if not isinstance(entry, dict) or set(entry) - {"element", "factor", "duration_s"}:
        raise _bad(where, "须含 element、factor、duration_s", "takes element, factor and duration_s")
    known = {element.value: element for element in Element}
    if entry.get("element") not in known:
        raise _bad(f"{where}.element", f"须为 {'、'.join(known)}", f"must be one of {', '.join(known)}")
    factor, duration_s = entry.get("factor", 1), entry.get("duration_s")
    if type(factor) not in (int, float) or not factor:
        raise _bad(f"{where}.factor", "须为非零数", "must be a number other than 0")
    if duration_s is not None and (type(duration_s) is not int or duration_s < 1):
        raise _bad(f"{where}.duration_s", "须为整秒", "must be whole seconds")
    return Measure(known[entry["element"]], float(factor), duration_s)


def as_posted(shape: Shape, body: bytes, name: str, received_at: datetime) -> bytes:
    """Their body as the body of `POST readings`; what is no JSON is returned as it is, for ingest to keep and refuse."""
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    return orjson.dumps({"readings": list(rows_of(shape, payload, {}, name, received_at))})


def rows_of(
    shape: Shape, payload: object, named: Mapping[str, str], name: str, received_at: datetime
) -> Iterator[Row]:
    """The rows of a decoded payload. `named`: station and element where the topic says them. Never raises."""
    entries = _at(payload, shape.rows) if shape.rows else payload
    if shape.rows and entries is None:
        yield unreadable(f"there is no {shape.rows}", name, payload)
        return
    for entry in entries if isinstance(entries, list) else [entries]:
        if not isinstance(entry, dict):
            entry = {"value": entry}  # a bare number is a value
        try:
            found = list(_entry(shape, entry, named, received_at))
        except _Unreadable as why:
            yield unreadable(str(why), name, entry)
            continue
        for row in found:
            yield {**row, "from": name}


def unreadable(why: str, name: str, payload: object) -> Row:
    """A row that ingest will reject with this reason, and keep."""
    if isinstance(payload, bytes):
        shown = payload[:_SHOWN].decode(errors="backslashreplace")
    else:
        shown = orjson.dumps(payload, default=str)[:_SHOWN].decode(errors="replace")
    return {"unreadable": f"{name}: {why}" if name else why, "payload": shown}


class _Unreadable(Exception):
    """Why an entry has no readings."""


def _entry(shape: Shape, entry: Row, named: Mapping[str, str], received_at: datetime) -> Iterator[Row]:
    station = named.get("station") or _at(entry, shape.station or "station")
    if isinstance(station, int) and not isinstance(station, bool):
        station = str(station)
    if not isinstance(station, str) or not station:
        raise _Unreadable(f"no station in {shape.station or 'station'}")
    about = {
        "station": shape.stations.get(station, station)[: MAX_CODE_CHARS + 1],
        "observed_at": _time(shape, entry, received_at).isoformat(),
    }
    if shape.values:
        found = [(measure, _at(entry, path)) for path, measure in shape.values.items() if _has(entry, path)]
        if not found:
            raise _Unreadable(f"none of {', '.join(shape.values)}")
    else:
        code = str(named.get("element") or _at(entry, shape.element or "element"))
        if code not in shape.elements:
            raise _Unreadable(f"element {code[:40]!r} is not mapped")
        found = [(shape.elements[code], _at(entry, shape.value or "value"))]
    for measure, value in found:
        row = {**about, "element": measure.element.value, "value": _scaled(value, measure.factor)}
        yield row if measure.duration_s is None else {**row, "duration_s": measure.duration_s}


def _time(shape: Shape, entry: Row, received_at: datetime) -> datetime:
    """Aware UTC. Without a time field the message says when by coming."""
    if not shape.time:
        return received_at
    given = _at(entry, shape.time)
    try:
        if shape.time_format in _UNIX:
            return datetime.fromtimestamp(float(given) / _UNIX[shape.time_format], UTC)
        if shape.time_format:
            at = datetime.strptime(str(given), shape.time_format)  # noqa: DTZ007  the zone is added below
        else:
            at = datetime.fromisoformat(str(given))
        return (at if at.tzinfo else at.replace(tzinfo=shape.zone)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        wanted = shape.time_format or "ISO 8601"
        raise _Unreadable(f"time {shape.time} {str(given)[:40]!r} is not {wanted}") from None


def _scaled(value: object, factor: float) -> object:
    """In our unit; what stands for "missing" and what is no number stay as they are, for ingest to say so."""
    if factor == 1 or isinstance(value, bool):
        return value
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return value
    scaled = round(number * factor, 6)
    return scaled if math.isfinite(scaled) and number not in SENTINELS else value


def _has(entry: Row, path: str) -> bool:
    *above, last = path.split(".")
    inner = _at(entry, ".".join(above)) if above else entry
    return isinstance(inner, dict) and last in inner


def _at(entry: object, path: str) -> Any:
    for name in path.split("."):
        entry = entry.get(name) if isinstance(entry, dict) else None
    return entry


def _bad(where: str, zh: str, en: str) -> Refusal:
    return fault(
        f"mapping.{where}", f"mapping.{where} {zh}。请更正映射。", f"mapping.{where} {en}. Correct it."
    )
