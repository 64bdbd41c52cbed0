"""How far bulletins have come: people per state, per district and street, and who still owes an answer.

Reads only, and only below the caller's region paths. The figures count the first dispatch (one line an officer
and bulletin); repeats ring again on the same line, and a deputy's answer covers his street without adding to its
total. A line that only renews what he has (quiet) stands where that stands and is answered when that is. Climbs stand
one room higher: escalation rungs are added by console/board.py.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    Case,
    CharField,
    Count,
    Exists,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Concat, JSONObject

from alerts.models import OWED, Bulletin, Requires, WarningLevel
from foundation.gathered import Gathered
from foundation.scope import below
from hydrology.models import Region, path_filter
from notifications import months
from notifications.models import (
    ANSWERED,
    DEAD_TOKEN,
    NO_DEVICE,
    RANK,
    UNSENT,
    Delivery,
    Errand,
    Receipt,
    State,
)
from officers.models import Post

UNANSWERED_LIMIT = 200
OVER = WarningLevel.NONE.name.lower()
PEOPLE_LIMIT = 50


def _answered(line: str = "") -> Q:
    """What the line (or the one it renews, by this prefix) asks for has been given."""
    requires, state = f"{line}dispatch__bulletin__requires", f"{line}state"
    return (
        Q(**{requires: Requires.NONE})
        | Q(**{requires: Requires.OPEN, f"{state}__in": ANSWERED})
        | Q(**{state: State.CONFIRMED})
    )


def _owes_nothing(since: int) -> Q:
    """He has given what is asked; that he cannot go answers for himself, not for his place. Of lines from `since` on."""
    refused = Receipt.objects.refusals(since).values("delivery")
    rung = Q(quiet=False) & _answered() & ~Q(pk__in=refused)
    return rung | Q(quiet=True) & _answered("root__") & ~Q(root__in=refused)


_NO_DEVICE = Q(state=State.FAILED_PERM) & (Q(reason=NO_DEVICE) | Q(reason__startswith=DEAD_TOKEN))
_STATE = Case(When(quiet=True, then=F("root__state")), default=F("state"), output_field=CharField())
"""Where he stands with what he was rung for."""
_ACTING = Q(quiet=False, acting_at__isnull=False) | Q(quiet=True, root__acting_at__isnull=False)


@dataclass(slots=True)
class Tally:
    """People of one area by state; `answered` are first-called, `covered` counts deputies' answers as well.

    `no_device`: of the first-called, who could not be rung for want of a phone that lives; `acting`: of them, who is
    there or has said how his task stands (each has confirmed).
    """

    states: Counter[str] = field(default_factory=Counter)
    no_device: int = 0
    acting: int = 0
    answered: int = 0
    covered: int = 0

    @property
    def nobody(self) -> bool:
        """People were called, and nobody has given what is asked."""
        return bool(self.states) and not self.covered

    def add(
        self, *, state: str, people: int, acting: int, answered: int, no_device: int, first: bool
    ) -> None:
        self.covered += answered
        if first:
            self.no_device += no_device
            self.states[state] += people
            self.acting += acting
            self.answered += answered


def figures(states: Mapping[str, int], acting: int) -> dict[str, int]:
    """Cumulative counts of people: pushed counts everybody the vendor accepted, however far he came since.

    `acting` stands beside the states: of the confirmed, who is there or has said how his task stands.
    """

    def reached(state: State) -> int:
        return sum(people for at, people in states.items() if RANK[State(at)] >= RANK[state])

    return {
        "total": sum(states.values()),
        "waiting": sum(states.get(state, 0) for state in UNSENT),
        "failed": states.get(State.FAILED_PERM, 0),
        "pushed": reached(State.SENT),
        "delivered": reached(State.DELIVERED),
        "shown": reached(State.SHOWN),
        "opened": reached(State.OPENED),
        "confirmed": reached(State.CONFIRMED),
        "acting": acting,
    }


def asking(kinds: Iterable[str], **about: int) -> list[int]:
    """The bulletins about this `order` or `warning` that ask for an answer, oldest first; that it is over asks for none.

    Of what only asked to be opened, such as a level notice below ALERT, all that say it stands.
    """
    said = list(
        Bulletin.objects.filter(kind__in=kinds, officers=[], **about)
        .order_by("id")
        .values_list("pk", "requires", "level")
    )
    owed = [pk for pk, requires, _ in said if requires in OWED]
    return owed or [pk for pk, _, level in said if level != OVER]


def counts_of(bulletins: Sequence[int], paths: Iterable[str]) -> dict[str, int]:
    """The counts of `reach_of` alone, of bulletins on one matter. Two queries."""
    since = months.since_of(bulletin__in=bulletins)
    return _counts(_tallies(_groups(_lines(bulletins, paths, since, once=True), since))[0])


def reach_of(
    bulletins: int | Sequence[int],
    paths: Iterable[str],
    *,
    after: int = 0,
    limit: int = UNANSWERED_LIMIT,
    once: bool = False,
) -> dict[str, Any]:
    """The reach of a bulletin, or of several together, below `paths`; `after` is the unanswered list's cursor.

    `once`: they are about one matter, and a person counts by the newest he was first told of.
    `nobody`: streets where people were called and no one has given what the bulletin requires. Four queries.
    """
    ids = [bulletins] if isinstance(bulletins, int) else bulletins
    since = months.since_of(bulletin__in=ids)
    lines = _lines(ids, paths, since, once=once)
    whole, districts, streets = _tallies(_groups(lines, since))
    names = dict(Region.objects.filter(code__in=[*districts, *streets]).values_list("code", "name"))
    street_rows = [
        {"code": code, "name": names[code], "district": district, **_row(tally)}
        for code, (district, tally) in sorted(streets.items(), key=lambda item: _worst_first(*item))
    ]
    first = lines.filter(dispatch__errand=Errand.FIRST)
    unanswered, further = _page(first.exclude(_owes_nothing(since)), since, after, limit)
    return {
        **_counts(whole),
        "states": {state.value: whole.states.get(state, 0) for state in State},
        "districts": [{"code": c, "name": names[c], **_row(t)} for c, t in sorted(districts.items())],
        "streets": street_rows,
        "nobody": [row for row in street_rows if streets[row["code"]][1].nobody],
        "unanswered": unanswered,
        "next": further,
    }


def _lines(
    bulletins: Sequence[int], paths: Iterable[str], since: int, *, once: bool = False
) -> QuerySet[Delivery]:
    lines = Delivery.objects.filter(
        path_filter("region__path", tuple(paths)), id__gte=since, dispatch__bulletin__in=bulletins
    )
    if not once or len(bulletins) == 1:
        return lines
    newer = Delivery.objects.filter(
        id__gte=since,
        id__gt=OuterRef("id"),
        officer=OuterRef("officer"),
        dispatch__bulletin__in=bulletins,
        dispatch__errand=Errand.FIRST,
    )
    return lines.exclude(Exists(newer), dispatch__errand=Errand.FIRST)


def _counts(tally: Tally) -> dict[str, int]:
    return {
        **figures(tally.states, tally.acting),
        "no_device": tally.no_device,
        "unanswered_total": tally.states.total() - tally.answered,
    }


def people_of(bulletin: int, paths: Iterable[str], *, words: str = "", after: int = 0) -> dict[str, Any]:
    """Everybody told of a bulletin below `paths`, the answered too, oldest line first: `{items, next}`.

    `words`: a part of his name or of his place's, or how his number ends. Repeats are no lines of their own.
    """
    since = months.since_of(bulletin=bulletin)
    lines = _lines([bulletin], paths, since)
    if words:
        named = Q(officer__name__icontains=words) | Q(region__name__icontains=words)
        lines = lines.filter(named | Q(officer__masked_phone__endswith=words))
    acting = Case(When(_ACTING, then=Value(True)), default=Value(False))
    people = lines.exclude(dispatch__errand=Errand.REPEAT)
    items, further = _page(people, since, after, PEOPLE_LIMIT, errand=F("dispatch__errand"), acting=acting)
    return {"items": items, "next": further}


def told_of(bulletins: Sequence[int], paths: Iterable[str]) -> dict[int, tuple[dict[str, int], list[str]]]:
    """By bulletin `figures` and `nobody` as in `reach_of`, without the rest of it. Two queries for all who ask at once.

    `paths` lead to a street or above it.
    """
    paths, found = tuple(paths), {}
    groups = _counted({(bulletin, path) for bulletin in bulletins for path in paths})
    for bulletin in bulletins:
        rows = [row for row in groups.get(bulletin, ()) if below(row["place"].rstrip("/") + "/", paths)]
        whole, _, streets = _tallies(rows)
        silent = sorted(code for code, (_, tally) in streets.items() if tally.nobody)
        found[bulletin] = figures(whole.states, whole.acting), silent
    return found


@Gathered
def _counted(wanted: set[tuple[int, str]]) -> Mapping[int, list[dict[str, Any]]]:
    """By bulletin the groups below any of the paths it is wanted for."""
    bulletins = list({bulletin for bulletin, _ in wanted})
    since = months.since_of(bulletin__in=bulletins)
    groups = defaultdict[int, list[dict[str, Any]]](list)
    for row in _groups(_lines(bulletins, {path for _, path in wanted}, since), since):
        groups[row["bulletin"]].append(row)
    return groups


def _groups(lines: QuerySet[Delivery], since: int) -> Iterable[dict[str, Any]]:
    """People by bulletin, errand, street and where they stand."""
    return (
        lines.exclude(dispatch__errand=Errand.REPEAT)
        .values(
            bulletin=F("dispatch__bulletin"),
            stands=_STATE,
            errand=F("dispatch__errand"),
            place=_place(),
        )
        .annotate(
            people=Count("id"),
            acting=Count("id", filter=_ACTING),
            answered=Count("id", filter=_owes_nothing(since)),
            dark=Count("id", filter=_NO_DEVICE),
        )
        .order_by()
    )


def _tallies(
    groups: Iterable[dict[str, Any]],
) -> tuple[Tally, dict[str, Tally], dict[str, tuple[str, Tally]]]:
    """(all, by district code, by street code with its district); posts above a level are not in its rows."""
    whole, districts = Tally(), defaultdict[str, Tally](Tally)
    streets: dict[str, tuple[str, Tally]] = {}
    for row in groups:
        _, district, street = row["place"].split("/")
        tallies = [whole]
        if district:
            tallies.append(districts[district])
        if street:
            tallies.append(streets.setdefault(street, (district, Tally()))[1])
        for tally in tallies:
            tally.add(
                state=row["stands"],
                people=row["people"],
                acting=row["acting"],
                answered=row["answered"],
                no_device=row["dark"],
                first=row["errand"] == Errand.FIRST,
            )
    return whole, districts, streets


def _page(
    lines: QuerySet[Delivery], since: int, after: int, limit: int, **more: Any
) -> tuple[list[dict[str, Any]], int | None]:
    """At most `limit` lines beyond `after`, oldest first, each a row of UnansweredOut and `more`; the next `after`."""
    duty = Post.objects.filter(officer=OuterRef("officer"), region=OuterRef("region")).order_by("rank", "id")
    # by the officer's index: there is none on the root
    rings = (
        Delivery.objects.filter(
            id__gte=since, officer=OuterRef("officer"), root=OuterRef("pk"), transport__in=["sms", "voice"]
        )
        .order_by("id")
        .values(ring=JSONObject(channel="transport", state="state", reason="reason"))
    )
    rows = (
        lines.filter(id__gt=after)
        .annotate(duty=Subquery(duty.values("duty")[:1]), street=_code_at(3), rings=ArraySubquery(rings))
        .order_by("id")
    )
    found = rows.values(
        "id",
        "dispatch",
        "officer",
        "duty",
        "region",
        "street",
        "reason",
        "rerouted",
        "rings",
        stands=_STATE,
        bulletin=F("dispatch__bulletin"),
        name=F("officer__name"),
        masked_phone=F("officer__masked_phone"),
        region_name=F("region__name"),
        **more,
    )[: limit + 1]
    page = [{"state": row.pop("stands"), **row} for row in found]
    return page[:limit], page[limit - 1]["id"] if len(page) > limit else None


def _code_at(depth: int) -> Func:
    """The region code at this depth of the path (1 city, 2 district, 3 street); empty above it."""
    return Func(F("region__path"), Value("/"), Value(depth), function="split_part", output_field=CharField())


def _place() -> Concat:
    """`city/district/street` of the path, each empty above it: one expression, of which PostgreSQL expects few."""
    return Concat(_code_at(1), Value("/"), _code_at(2), Value("/"), _code_at(3), output_field=CharField())


def _row(tally: Tally) -> dict[str, int]:
    own = {"answered": tally.answered, "covered": tally.covered, "no_device": tally.no_device}
    return {**figures(tally.states, tally.acting), **own}


def _worst_first(code: str, entry: tuple[str, Tally]) -> tuple[float, str]:
    """Sort key: the smallest share of answers first, then by code."""
    tally = entry[1]
    return tally.covered / max(1, tally.states.total()), code
