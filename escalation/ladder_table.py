"""The table of ladders as a dry value: parsed from JSON once, with an error that names the row, the reason, the remedy.

    {"night": {"factor": 0.5, "from_hour": 22, "until_hour": 7},
     "ladders": {"*": {"4": {"rungs": [{"errand": "repeat", "wait_s": 60}, …], "final_wait_s": 300, "needs": "each"}},
                 "level": {"3": {…, "needs": {"of_group": 1}}}}}

A class is a bulletin's kind, `*` every other; an urgency is 0 to 4. A rung: whom it asks (`errand`), how (`channel`:
app, sms or voice, default "app"; the desk calls in person), and how long after the rung before. What a group is says
ladder.py. Hours are Shenzhen's. Owns no rows.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NoReturn

from escalation.ladder import APP, CHANNELS, DESK, ERRANDS, PERSON, REPEAT, SMS, VOICE, Ladder, Reach

ANY: Final = "*"
KINDS: Final = (ANY, "warning", "order", "level", "message")
ALWAYS_CHASED: Final = (3, 4)  # the two highest urgencies: no table may leave them out
LONGEST_WAIT_S: Final = 3600
MOST_RUNGS: Final = 12


class BadTable(ValueError):
    """`where`: the path of the faulty value; the text says why and what would be right."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where


@dataclass(frozen=True, slots=True)
class Table:
    """Ladders by (class, urgency), by day; at night every wait is shortened by the factor."""

    ladders: Mapping[tuple[str, int], Ladder]
    night_factor: float
    night_hours: frozenset[int]

    @property
    def chased_from(self) -> int:
        """The lowest urgency for which there is a ladder of any class."""
        return min(urgency for _, urgency in self.ladders)

    def ladder_for(
        self,
        kind: str,
        urgency: int,
        sent_at_local: datetime,
        *,
        reach: Reach = Reach.RINGS,
        configured: Set[str] = frozenset(),
    ) -> Ladder | None:
        """The ladder of a message for one whom it reaches so; None when it is not chased.

        configured: the channels that are there besides the app and the desk's own telephone.
        """
        ladder = self.ladders.get((kind, urgency)) or self.ladders.get((ANY, urgency))
        if ladder is None:
            return None
        if sent_at_local.hour in self.night_hours:
            ladder = ladder.at_night(self.night_factor)
        return ladder.by(configured).for_one(reach)


def parse_table(rows: object) -> Table:
    """The table of these JSON rows. Raises BadTable."""
    top = _object(rows, "table", {"night", "ladders"})
    night = _object(top["night"], "night", {"factor", "from_hour", "until_hour"})
    factor = night["factor"]
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 1:
        _refuse("night.factor", factor, "a number above 0 and at most 1: night shortens, never lengthens")
    begin, end = (
        _whole(night[name], f"night.{name}", least=0, most=23) for name in ("from_hour", "until_hour")
    )
    ladders = {}
    for kind, by_urgency in _object(top["ladders"], "ladders").items():
        if kind not in KINDS:
            _refuse(f"ladders.{kind}", kind, f"one of {', '.join(KINDS)}")
        for urgency, row in _object(by_urgency, f"ladders.{kind}").items():
            where = f"ladders.{kind}.{urgency}"
            if urgency not in {"0", "1", "2", "3", "4"}:
                _refuse(where, urgency, 'an urgency "0" to "4"')
            ladders[kind, int(urgency)] = _ladder(row, where)
    for grave in ALWAYS_CHASED:
        if (ANY, grave) not in ladders:
            raise BadTable(
                f"ladders.{ANY}.{grave}", "is missing; the two highest urgencies are always chased"
            )
    return Table(ladders, float(factor), frozenset((begin + n) % 24 for n in range((end - begin) % 24)))


def _ladder(row: object, where: str) -> Ladder:
    given = _object(row, where, {"rungs", "final_wait_s"}, {"needs"})
    rungs = given["rungs"]
    if not isinstance(rungs, list) or not 0 < len(rungs) <= MOST_RUNGS:
        _refuse(f"{where}.rungs", rungs, f"a list of 1 to {MOST_RUNGS} rungs")
    steps = [_rung(rung, f"{where}.rungs[{n}]") for n, rung in enumerate(rungs)]
    errands = tuple(errand for errand, _, _ in steps)
    if all(errand == REPEAT for errand in errands):
        raise BadTable(f"{where}.rungs", "asks only the silent person again; add a deputy, superior or desk")
    if errands.count(DESK) > 1:
        raise BadTable(f"{where}.rungs", "asks the call-out desk twice; its call stays open until it is done")
    final_s = _whole(given["final_wait_s"], f"{where}.final_wait_s", least=1, most=LONGEST_WAIT_S)
    return Ladder(
        errands,
        (*(wait_s for _, _, wait_s in steps), final_s),
        tuple(channel for _, channel, _ in steps),
        of_group=_needs(given.get("needs", "each"), f"{where}.needs"),
    )


def _rung(rung: object, where: str) -> tuple[str, str, int]:
    """(errand, channel, wait_s)"""
    given = _object(rung, where, {"errand", "wait_s"}, {"channel"})
    errand = given["errand"]
    if not isinstance(errand, str) or errand not in ERRANDS:
        _refuse(f"{where}.errand", errand, f"one of {', '.join(ERRANDS)}")
    channel = given.get("channel", PERSON if errand == DESK else APP)
    if not isinstance(channel, str) or channel not in CHANNELS:
        _refuse(f"{where}.channel", channel, f"one of {', '.join(CHANNELS)}")
    if (channel == PERSON) != (errand == DESK):
        raise BadTable(
            f"{where}.channel", f"the desk calls in person, the others by app, sms or voice; not {channel}"
        )
    return errand, channel, _whole(given["wait_s"], f"{where}.wait_s", least=0, most=LONGEST_WAIT_S)


def _needs(needs: object, where: str) -> int | None:
    if needs == "each":
        return None
    if not isinstance(needs, dict):
        _refuse(where, needs, '"each" or {"of_group": how many answers of his group do}')
    return _whole(_object(needs, where, {"of_group"})["of_group"], f"{where}.of_group", least=1, most=100)


def _object(
    given: object, where: str, needed: Set[str] = frozenset(), may: Set[str] = frozenset()
) -> dict[str, object]:
    """A JSON object; with `needed`, one that has these names and no others but `may`."""
    if not isinstance(given, dict):
        _refuse(where, given, "an object")
    if needed:
        if missing := needed - set(given):
            raise BadTable(where, f"has no {', '.join(sorted(missing))}")
        if unknown := set(given) - needed - may:
            raise BadTable(where, f"unknown name {', '.join(sorted(map(str, unknown)))}")
    return given


def _whole(given: object, where: str, *, least: int, most: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        _refuse(where, given, f"a whole number from {least} to {most}")
    return given


def _refuse(where: str, given: object, wanted: str) -> NoReturn:
    raise BadTable(where, f"{given!r:.60} is not {wanted}")


_RUNGS: Final = (
    (REPEAT, APP), (REPEAT, SMS), (REPEAT, VOICE), ("deputy", APP), ("superior", APP), (DESK, PERSON),
)  # fmt: skip
# A call rings for most of a minute, so it is waited for longest. By day somebody else hears after 4 minutes and the
# superior's duty post at 5, by night in half of that: a person is awake within the five minutes of the rule. Without
# text messages and calls their waits fall away as well.
_GRAVEST_S, _GRAVE_S = (60, 30, 60, 90, 60, 180, 600), (180, 90, 180, 270, 180, 540, 900)


def _asks(waits_s: Sequence[int], needs: object = "each") -> dict[str, object]:
    return {
        "rungs": [
            {"errand": errand, "channel": channel, "wait_s": wait_s}
            for (errand, channel), wait_s in zip(_RUNGS, waits_s[:-1], strict=True)
        ],
        "final_wait_s": waits_s[-1],
        "needs": needs,
    }


DEFAULT_ROWS: Final[dict[str, object]] = {
    "night": {"factor": 0.5, "from_hour": 22, "until_hour": 7},
    "ladders": {
        ANY: {"4": _asks(_GRAVEST_S), "3": _asks(_GRAVE_S)},
        "level": {
            "4": _asks(_GRAVEST_S, {"of_group": 1}),
            "3": _asks(_GRAVE_S, {"of_group": 1}),
        },
    },
}
DEFAULT: Final = parse_table(DEFAULT_ROWS)
