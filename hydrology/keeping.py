"""How long what we were told is kept. Dry: a table and its reading from the environment; the tidy job does the rest.

Days count from when a thing was observed and from when it was received, whichever is later, so that an old storm
played today stays as long as today's. 0 keeps for ever. Why these figures: ADR 10.
"""

from collections.abc import Mapping
from typing import Final

KEEP_DAYS: Final[Mapping[str, int]] = {
    "observations": 1860,  # readings: five years and a month, in whole months; then out of reach, still on disk
    "ledger": 1860,  # deliveries and receipts: likewise (notifications/months.py, ADR 16)
    "archive": 90,  # so long after that a month may be dumped or brought back; then it is dropped
    "observed": 1860,  # observed fields: 2 KB a wet one, the dry ones are all the same
    "nowcast": 90,  # nowcast runs: 45 KB a wet one; those a stored warning names stay
    "radar": 90,  # radar pictures
    "drills": 90,  # fields of drills' own storms, from the drill's end
    "raw": 30,  # bodies of posts as they came; digest and answer stay as long as what they brought
    "telegrams": 30,  # SL 651 frames as they came
    "canaries": 1,  # pushes to the canary phones; how each round went stays with the samples
    "samples": 35,  # one row a minute, a round of canaries and a message: what the page 运行 is drawn from
    "photos": 0,  # of reports from the ground, from the day the report was closed: evidence, kept until somebody says how long
    "reports": 200,  # what gateways said of text messages and calls: six months at least, as any log of who was reached
}
MOST_DAYS: Final = 36_500


def keep_days(text: str, defaults: Mapping[str, int] = KEEP_DAYS) -> tuple[dict[str, int], list[str]]:
    """`nowcast=90,radar=30` over the defaults: (days by name, what is wrong with the text)."""
    days, faults, seen = dict(defaults), [], set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = (word.strip() for word in part.partition("="))
        if name not in days:
            faults.append(f"KEEP_DAYS: {name!r} is not kept by days; there are {', '.join(days)}.")
        elif name in seen:
            faults.append(f"KEEP_DAYS: {name} is given twice.")
        elif not (number.isascii() and number.isdigit() and int(number[:9]) <= MOST_DAYS):
            faults.append(f"KEEP_DAYS: {name}={number!r} is not a number of days; 0 keeps for ever.")
        else:
            days[name] = int(number)
        seen.add(name)
    return days, faults
