"""The watch over water levels: every good reading once, in order; what changes becomes a notice (notices.py).

Owns the marks of the hazards reservoir, river and tide. Woken by a nudge after stages came in and by a sweep.
Driven by the readings' own instants: however they are grouped into posts, and however
often this runs or is killed, the same readings in the same order give the same notices. A reading older than STALE by
the water's clock, or older than one already read of the station, is history. A doubted reading raises nothing and
lifts nothing. A station that falls silent keeps its notice and says so, once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Self

from django.db import transaction

from alerts.assessment import lifecycle, stages
from alerts.assessment.stages import ObjectClass
from alerts.models import Hazard, RuleTable, WatchMark
from alerts.notices import Move, expire, move_notice, tell_silence
from foundation.clock import local
from hydrology.course import LOOK_BACK, RATE_LEAST, Course, courses_over
from hydrology.feeds.clock import water_clock
from hydrology.known import Known, known_now
from hydrology.models import SeasonLimit, Station, StationKind
from hydrology.nearby import Surroundings
from hydrology.science.quality import Quality
from hydrology.science.rainfall import SLOT, slot_end
from hydrology.science.readings import Element
from hydrology.science.stages import STALE, Season
from hydrology.standing import Item, limits_of, seasons_in_force

HAZARDS = {
    Hazard.RESERVOIR: StationKind.RESERVOIR,
    Hazard.RIVER: StationKind.RIVER,
    Hazard.TIDE: StationKind.TIDE,
}
CLASSES = {  # whose marks a hazard's rule table holds
    Hazard.RESERVOIR: (ObjectClass.GATED, ObjectClass.UNGATED),
    Hazard.RIVER: (ObjectClass.RIVER,),
    Hazard.TIDE: (ObjectClass.TIDE,),
}
BUILT_IN = "levels-1"  # the version of the table before the first row
HALF_HOUR = timedelta(minutes=30)
POLICY = lifecycle.Policy(
    confirm_slots=2, lower_after_s=1800, lower_slots=3, hold_s=3600, lapse_s=int(STALE.total_seconds())
)

RainAt = Callable[[str, datetime], float | None]


@dataclass(slots=True)
class Watched:
    """A station in its mark: where it stands, the newest instant read, whether its silence has been told."""

    state: lifecycle.PlaceState
    read_at: datetime | None = None
    silent: bool = False

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        read_at = stored.get("read_at")
        return cls(
            lifecycle.PlaceState.from_json(stored),
            datetime.fromisoformat(read_at) if read_at else None,
            bool(stored.get("silent")),
        )

    def lapses(self, as_of: datetime) -> bool:
        """Whether a person's word is over that no rule stood behind, and no reading came to say what holds now."""
        until = self.state.hand_until
        return until is not None and not self.state.level and as_of - until > STALE

    def to_json(self) -> dict[str, Any]:
        """Only what is set: most stations stand still, and every pass writes them all."""
        kept = {
            **self.state.to_json(),
            "read_at": self.read_at and self.read_at.isoformat(),
            "silent": self.silent,
        }
        return {name: value for name, value in kept.items() if value}


def assess_levels(*, now: datetime) -> int:
    """Read every new stage of every station; returns how many notices moved. One assessor a hazard at a time."""
    as_of = water_clock(now)
    return sum(_assess(hazard, as_of, now) for hazard in HAZARDS)


@transaction.atomic
def _assess(hazard: Hazard, as_of: datetime, now: datetime) -> int:
    WatchMark.objects.get_or_create(hazard=hazard)
    mark = WatchMark.objects.select_for_update().get(hazard=hazard)
    posts = {post["code"]: post for post in Station.objects.level_posts().filter(kind=HAZARDS[hazard])}
    watched = {code: Watched.from_json(stored) for code, stored in mark.states.items() if code in posts}
    unread = {
        code: post
        for code, post in posts.items()
        if (newest_at := post["stage__observed_at"]) is not None
        and as_of - newest_at <= STALE
        and (code not in watched or (watched[code].read_at or newest_at - STALE) < newest_at)
    }
    moved = 0
    if unread:
        moved += _read(hazard, unread, watched, as_of, now)
        mark.slot_at = max(post["stage__observed_at"] for post in unread.values())
    silenced = [
        code for code, one in watched.items()
        if one.state.in_force and not one.silent and (heard_at := posts[code]["stage__observed_at"])
        and as_of - heard_at > STALE
    ]  # fmt: skip
    for code in silenced:
        tell_silence(hazard, posts[code], now)
        watched[code].silent = True
    over = [code for code, one in watched.items() if one.lapses(as_of)]
    for code in over:
        expire(hazard, posts[code], as_of, now)
        watched[code] = Watched(lifecycle.PlaceState(), watched[code].read_at, watched[code].silent)
    if unread or silenced or over:
        mark.states = {code: one.to_json() for code, one in sorted(watched.items())}
        mark.save()
    return moved + len(silenced) + len(over)


def _read(
    hazard: Hazard, unread: dict[str, Item], watched: dict[str, Watched], as_of: datetime, now: datetime
) -> int:
    """Every unread reading of these stations, station by station; returns how many notices moved."""
    since = {
        code: max(as_of - STALE, watched[code].read_at or as_of - STALE) if code in watched else as_of - STALE
        for code in unread
    }
    posts = known_now()
    spans = [
        (code, Element.STAGE, since[code] - LOOK_BACK, post["stage__observed_at"])
        for code, post in unread.items()
    ]
    courses = courses_over(spans, posts)
    tables, seasons, rain = _tables(hazard), _seasons(hazard, unread), rain_around(list(unread), posts)
    moved = 0
    for code, post in unread.items():
        one = watched.setdefault(code, Watched(lifecycle.PlaceState()))
        course = courses[code, Element.STAGE]
        for at in [at for at in course.times if at > since[code]]:
            season = seasons(local(at).date()).get(code)
            one.state, move = take_step(post, one.state, course, at, tables(at), season, rain, posts)
            if move is not None:
                moved += move_notice(hazard, post, move, now)
        one.read_at, one.silent = post["stage__observed_at"], False
    return moved


def take_step(
    post: Item,
    state: lifecycle.PlaceState,
    course: Course,
    at: datetime,
    table: stages.Table,
    season: Season | None,
    rain: RainAt,
    posts: Known,
) -> tuple[lifecycle.PlaceState, Move | None]:
    """The station after one reading. Rain is asked for only where it could make a higher level certain."""
    row = course.rows[at]
    if row.quality != Quality.GOOD:
        return state, None
    past = course.before(at, HALF_HOUR, Quality.GOOD)
    figures = stages.Figures(
        station=post["code"],
        object_class=_class_of(post),
        level_m=row.value,
        limits=limits_of(post, season.limit_m if season else None),
        rate_m_per_h=course.rate_m_per_h(at),
        rise_30min_m=round(row.value - past[0][1], 4) if past and at - past[0][0] >= RATE_LEAST else None,
    )
    found = stages.assess(figures, table)
    if found.level > state.level:
        figures = replace(figures, rain_3h_mm=rain(post["code"], at))
        found = stages.assess(figures, table)
    before = state
    state, change = lifecycle.advance(before, found, stages.low_water(figures, table), at, POLICY)
    if change is None:
        return state, None
    told = [
        [time.isoformat(), course.rows[time].value, Quality(course.rows[time].quality).name.lower()]
        for time in course.times
        if at - LOOK_BACK < time <= at
    ]
    return state, Move(change, at, figures, found, table, season, told, before, posts)


def _class_of(post: Item) -> ObjectClass:
    """A reservoir of which nobody knows whether it has gates is taken to have some: the safe side."""
    match post["kind"]:
        case StationKind.RIVER:
            return ObjectClass.RIVER
        case StationKind.TIDE:
            return ObjectClass.TIDE
    return ObjectClass.UNGATED if post["reservoir__gated"] is False else ObjectClass.GATED


def _tables(hazard: Hazard) -> Callable[[datetime], stages.Table]:
    """The table in force at an instant: the hazard's newest valid row, the built-in marks before the first."""
    rows = list(RuleTable.objects.filter(hazard=hazard).order_by("-valid_from", "version"))

    def in_force(at: datetime) -> stages.Table:
        return table_of(hazard, next((row for row in rows if row.valid_from <= at), None))

    return lru_cache(maxsize=64)(in_force)


def _seasons(hazard: Hazard, unread: dict[str, Item]) -> Callable[[date], dict[str, Season]]:
    """汛限 by station on a local day; only reservoirs have any."""
    rows = list(SeasonLimit.objects.filter(reservoir__in=list(unread))) if hazard is Hazard.RESERVOIR else []
    return lru_cache(maxsize=4)(lambda day: seasons_in_force(rows, day))


def table_of(hazard: Hazard, row: RuleTable | None) -> stages.Table:
    if row is not None:
        return stages.Table.from_json(row.version, row.rows)
    return stages.Table.from_json(
        BUILT_IN, {name.value: stages.DEFAULT_ROWS[name] for name in CLASSES[hazard]}
    )


def rain_around(codes: list[str], posts: Known) -> RainAt:
    """Middle 3-hour rain (mm) of the gauges around a station, up to the last whole slot; None: too few gauges."""
    places = lru_cache(maxsize=1)(
        lambda: {
            s.code: (s.lat, s.lon) for s in Station.objects.filter(pk__in=codes).only("code", "lat", "lon")
        }
    )
    around = lru_cache(maxsize=8)(lambda slot_at: Surroundings(slot_at, (), {}, posts))

    def rain(code: str, at: datetime) -> float | None:
        slot_at = slot_end(at) if slot_end(at) == at else slot_end(at) - SLOT
        return around(slot_at).rain_mm(code, Element.STAGE, *places()[code])

    return rain
