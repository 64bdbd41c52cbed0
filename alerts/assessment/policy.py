"""Which words about a warning go out by themselves, and which wait for a person: a dry value, parsed from JSON once.

    {"rainstorm": {"extend": {"notice": {"after_s": null}, "attention": {"after_s": 120}}}}

By hazard, by what is said (raise, extend, upgrade, downgrade, cancel) and by level ("none" of a cancel). `after_s`: 0 at
once, N by itself after so many seconds unless a person decides before, null only by a person. What is not listed goes
at once. A chased level never waits for a desk that may be asleep. Owns no rows; what a person decides himself and what
expires is no matter of this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

HAZARDS: Final = ("rainstorm", "reservoir", "river", "tide")  # flood is raised by a person, who has decided
ACTIONS: Final = ("raise", "extend", "upgrade", "downgrade", "cancel")
LEVELS: Final = ("notice", "attention", "alert", "emergency")
CHASED: Final = ("alert", "emergency")
ENDED: Final = "none"
LONGEST_S: Final = 3600
LONGEST_CHASED_S: Final = 300


class BadPolicy(ValueError):
    """`where`: the path of the faulty value; the text says why and what would be right."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds of waiting by (hazard, action, level); None: until a person decides."""

    waits_s: Mapping[tuple[str, str, str], int | None]

    def after_s(self, hazard: str, action: str, level: str) -> int | None:
        return self.waits_s.get((hazard, action, level), 0)


def parse_policy(rows: object) -> Policy:
    """The policy of these JSON rows. Raises BadPolicy."""
    waits_s: dict[tuple[str, str, str], int | None] = {}
    for hazard, actions in _named(rows, "table", HAZARDS).items():
        for action, levels in _named(actions, hazard, ACTIONS).items():
            where = f"{hazard}.{action}"
            for level, row in _named(levels, where, (ENDED,) if action == "cancel" else LEVELS).items():
                waits_s[hazard, action, level] = _after_s(row, f"{where}.{level}", level)
    return Policy(waits_s)


def _named(given: object, where: str, names: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(given, dict):
        _refuse(where, given, "an object")
    if unknown := set(given) - set(names):
        raise BadPolicy(
            where, f"unknown name {', '.join(sorted(map(str, unknown)))}; known are {', '.join(names)}"
        )
    return given


def _after_s(row: object, where: str, level: str) -> int | None:
    if not isinstance(row, dict) or set(row) != {"after_s"}:
        _refuse(where, row, 'an object {"after_s": …}')
    after_s = row["after_s"]
    most_s = LONGEST_CHASED_S if level in CHASED else LONGEST_S
    if after_s is None and level not in CHASED:
        return None
    if isinstance(after_s, bool) or not isinstance(after_s, int) or not 0 <= after_s <= most_s:
        wanted = f"a whole number of seconds from 0 to {most_s}"
        reason = (
            ": it is chased, and danger waits for nobody who may be asleep"
            if level in CHASED
            else ", or null"
        )
        _refuse(f"{where}.after_s", after_s, wanted + reason)
    return after_s


def _refuse(where: str, given: object, wanted: str) -> NoReturn:
    raise BadPolicy(where, f"{given!r:.60} is not {wanted}")


DEFAULT_ROWS: Final[dict[str, object]] = {}
DEFAULT: Final = parse_policy(DEFAULT_ROWS)
