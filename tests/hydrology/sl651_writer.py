"""A station's side of SL 651-2014: texts written from reports, HEX and BCD, for tests and measurements."""

from hydrology.science.sl651_elements import CATEGORIES, CODES, SLOT_S, Report
from hydrology.science.sl651_fields import digits_of

_LEADS = {code: bytes([lead]) for lead, code in CODES.items()} | {
    "RGZS": b"\xf2",
    "PIC": b"\xf3",
    "DATA": b"\xfd",
}
_CLASSES = {code: bytes([number]) for number, code in CATEGORIES.items()}


def encode_text(report: Report) -> bytes:
    """The text of a report, from the `raw` data of its measures; a code outside the table is its lead in hex."""
    parts = [report.serial.to_bytes(2, "big"), bytes.fromhex(report.sent)]
    place: tuple[str, str] | None = None
    observed_at = None
    for measure in report.measures:
        if (measure.station, measure.category) != place and (measure.category or measure.observed_at):
            place, observed_at = (measure.station, measure.category), None
            parts += [b"\xf1\xf1", bytes.fromhex(measure.station), _CLASSES.get(measure.category, b"")]
        if measure.observed_at is not None and measure.observed_at != observed_at:
            observed_at = measure.observed_at
            parts += [b"\xf0\xf0", bytes.fromhex(digits_of(observed_at)[:10])]
        lead = _LEADS.get(measure.code) or bytes.fromhex(measure.code)
        if measure.step_s and not (0xF4 <= lead[0] <= 0xFC and measure.step_s == SLOT_S):
            minutes = measure.step_s // 60
            days_hours_minutes = f"{minutes // 1440:02}{minutes // 60 % 24:02}{minutes % 60:02}"
            parts.append(bytes.fromhex(f"0418{days_hours_minutes}"))
        parts += [lead, bytes([measure.definition]), measure.raw]
    return b"".join([*parts, report.rest])
