"""What somebody's roster means for ours: who is new, changed, gone or wrong. Reads only.

A person is who has the staff code, else the number. What a roster does not name inside its region is gone; whether that
ends anything is decided elsewhere (roster_import.py). Cells are read in roster_rows.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db.models import Q

from hydrology.models import Region, Station
from hydrology.science.register_cells import BadCell
from hydrology.science.register_rows import Fault, Line
from officers import roster
from officers.models import Duty, Officer, Post
from officers.roster_rows import TABLE, Seat, read_line

PERSON: Final = ("name", "staff_code", "phone_digest", "masked_phone", "language", "is_active")


class Place(NamedTuple):
    """What a post is for and where; one person holds one post of each."""

    duty: str
    region: str
    station: str | None


class Term(NamedTuple):
    """How a post is held; `id` None: not yet."""

    rank: str
    position: str
    valid_to: datetime | None
    valid_from: datetime | None
    id: int | None = None


@dataclass(slots=True)
class Person:
    """Somebody the roster names: `id` None when he is new. `changes`: our field to (old, new)."""

    id: int | None
    name: str
    phone: str
    staff_code: str | None
    language: str | None
    line: int
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    posts: dict[Place, tuple[Term, int]] = field(default_factory=dict)  # with the line that said so


class Change(NamedTuple):
    """One post of one person; `was` None: new; `now` None: gone."""

    person: str  # his name
    officer: int | None
    phone: str  # masked
    place: Place
    was: Term | None
    now: Term | None


@dataclass(slots=True)
class Difference:
    """What a roster means for ours."""

    within: Region
    people: list[Person] = field(default_factory=list)  # new or changed
    new: list[tuple[Person, Change]] = field(default_factory=list)
    changed: list[tuple[Person, Change]] = field(default_factory=list)
    gone: list[Change] = field(default_factory=list)
    unchanged: int = 0
    released: list[int] = field(default_factory=list)  # who have left, and whose number somebody else has now
    faults: list[Fault] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """For the audit log and the last line of the report."""
        return {
            "new_people": sum(person.id is None for person in self.people),
            "changed_people": sum(bool(person.changes) for person in self.people),
            "new": len(self.new), "changed": len(self.changed), "unchanged": self.unchanged, "gone": len(self.gone),
            "bad": len(self.faults),
        }  # fmt: skip


def compare(lines: Sequence[Line], within: Region, now: datetime) -> Difference:
    """What these lines would change. Reads only; raises nothing: what cannot be taken is a fault."""
    return _Comparison(within, now).of(lines)


def held(now: datetime) -> Q:
    """Terms that have not ended, begun or not."""
    return Q(valid_to=None) | Q(valid_to__gt=now)


class _Comparison:
    """Our roster as it is, against lines."""

    def __init__(self, within: Region, now: datetime) -> None:
        self.now, self.found = now, Difference(within)
        people = list(Officer.objects.values("id", *PERSON))
        self.by_code = {row["staff_code"]: row for row in people if row["staff_code"]}
        self.by_digest = {row["phone_digest"]: row for row in people}
        self.people = {row["id"]: row for row in people}
        self.regions = _Regions()
        self.stations = dict(Station.objects.values_list("code", "region__path"))
        posts = Post.objects.filter(held(now), region__path__startswith=within.path)
        self.held = {
            (post.officer_id, Place(post.duty, post.region_id, post.station_id)): Term(
                post.rank, post.position, post.valid_to, post.valid_from, post.pk
            )
            for post in posts.exclude(duty=Duty.CANARY).order_by("valid_from", "pk")
        }

    def of(self, lines: Sequence[Line]) -> Difference:
        self.unsaid = {"rank", "position", "valid_to"}.difference(*(line.cells for line in lines))
        seats = []
        for line in lines:
            seat, faults = read_line(line)
            self.found.faults += faults
            if seat:
                seats.append(seat)
        for person in self._named(seats):
            if self._known(person):
                self._compare(person)
        for (officer, place), was in self.held.items():
            row = self.people[officer]
            self.found.gone.append(Change(row["name"], officer, row["masked_phone"], place, was, None))
        self.found.faults.sort(key=lambda fault: fault.line)
        return self.found

    def _blame(self, line: int, column: str, shown: str, zh: str, en: str) -> None:
        self.found.faults.append(Fault(TABLE, line, column, shown[:40], zh, en))

    def _named(self, seats: Sequence[Seat]) -> list[Person]:
        """The people of these lines with their posts; lines that contradict an earlier one of his are faults."""
        codes: dict[str, str] = {}
        for seat in seats:
            if seat.staff_code:
                codes.setdefault(seat.phone, seat.staff_code)
        people: dict[str, Person] = {}
        for seat in seats:
            code = codes.get(seat.phone)
            if seat.staff_code and seat.staff_code != code:
                self._blame(seat.line, "phone", roster.mask(seat.phone), f"同一号码另有工号 {code}，请核对",
                            f"stands with the staff code {code} as well: check both")  # fmt: skip
                continue
            person = people.setdefault(
                code or seat.phone, Person(None, seat.name, seat.phone, code, seat.language, seat.line)
            )
            if (person.name, person.phone) != (seat.name, seat.phone):
                column = "name" if person.name != seat.name else "phone"
                self._blame(seat.line, column, "", f"与第 {person.line} 行的同一人不一致，请核对",
                            f"differs from line {person.line} of the same person: check both")  # fmt: skip
                continue
            person.language = person.language or seat.language
            self._seat(person, seat)
        return list(people.values())

    def _seat(self, person: Person, seat: Seat) -> None:
        try:
            region, path = self.regions.find(seat.place, self.found.within)
        except BadCell as bad:
            return self._blame(seat.line, "region", "/".join(seat.place), *bad.args)
        if seat.station and not self.stations.get(seat.station, "").startswith(path):
            return self._blame(seat.line, "station", seat.station, "没有此测站，或不在该区域内，请核对编码",
                               "is no station of that region: check its code")  # fmt: skip
        if seat.valid_to and seat.valid_to <= self.now:
            return self._blame(seat.line, "valid_to", f"{seat.valid_to:%Y-%m-%d}", "任期已过，请删去该行或更正",
                               "is over: leave the line out, or correct it")  # fmt: skip
        place = Place(seat.duty, region, seat.station)
        term = Term(seat.rank, seat.position or "", seat.valid_to, seat.valid_from)
        there, line = person.posts.setdefault(place, (term, seat.line))
        if there != term:
            self._blame(seat.line, "duty", seat.duty, f"与第 {line} 行为同一岗位而内容不同，请只保留一行",
                        f"is the post of line {line} with something else: keep one")  # fmt: skip
        return None

    def _known(self, person: Person) -> bool:
        """Whether it is clear who he is; then `id` and `changes` say it."""
        digest = roster.digest(person.phone)
        mine = self.by_code.get(person.staff_code) if person.staff_code else None
        theirs = self.by_digest.get(digest)
        if mine is None and theirs and _same(person, theirs):
            mine = theirs
        if theirs and theirs is not mine:
            if theirs["is_active"]:
                for _, line in person.posts.values():
                    self._blame(line, "phone", roster.mask(person.phone), "号码现属名册上另一人；同一人改名请填工号，"
                                "号码易主请先让原持有人退出名册", "is somebody else's number on our roster: the same person "
                                "under a new name needs his staff code; of two people the first has to leave first")  # fmt: skip
                return False
            self.found.released.append(theirs["id"])
        if mine:
            person.id = mine["id"]
            wanted = {
                "name": person.name, "staff_code": person.staff_code or mine["staff_code"], "phone_digest": digest,
                "language": person.language or mine["language"], "is_active": True,
            }  # fmt: skip
            person.changes = {name: (mine[name], new) for name, new in wanted.items() if mine[name] != new}
        return True

    def _compare(self, person: Person) -> None:
        if not person.posts:
            return  # all of his lines are faulty
        if person.id is None or person.changes:
            self.found.people.append(person)
        for place, (term, _) in person.posts.items():
            was = self.held.pop((person.id, place), None) if person.id else None
            if was:  # what the file has no column for stays as it is
                term = term._replace(**{name: getattr(was, name) for name in self.unsaid})
            change = Change(person.name, person.id, roster.mask(person.phone), place, was, term)
            if was is None:
                self.found.new.append((person, change))
            elif (was.rank, was.position, was.valid_to) != (term.rank, term.position, term.valid_to):
                self.found.changed.append((person, change))
            else:
                self.found.unchanged += 1


class _Regions:
    """Regions by code, or by name below the names above them."""

    def __init__(self) -> None:
        self.by_code: dict[str, tuple[str, str]] = {}
        self.by_name: dict[str, list[tuple[str, str]]] = {}
        names: dict[str, str] = {}
        for code, gb_code, name, path in Region.objects.order_by("path").values_list(
            "code", "gb_code", "name", "path"
        ):
            names[path] = name
            for each in filter(None, (gb_code, code)):
                self.by_code[each] = (code, path)
            for each in {name, name.removesuffix("街道"), name.removesuffix("社区")}:
                self.by_name.setdefault(each, []).append((code, path))
        self.names = names

    def find(self, place: Sequence[str], within: Region) -> tuple[str, str]:
        """(code, path). Raises BadCell."""
        found = [self.by_code[place[0]]] if len(place) == 1 and place[0] in self.by_code else []
        found = found or [
            each for each in self.by_name.get(place[-1], []) if self._below(each[1], place[:-1])
        ]
        inside = [each for each in found if each[1].startswith(within.path)]
        if len(inside) == 1:
            return inside[0]
        if found and not inside:
            raise BadCell(
                f"不在 {within.name} 内，本次导入只涉及该区域",
                f"lies outside {within.code}: this import speaks of nothing else",
            )
        raise BadCell(
            "没有唯一的同名区域，请填区划编码", "is not the code or the only name of a region: give its code"
        )

    def _below(self, path: str, names: Sequence[str]) -> bool:
        """Whether these names, from the top down, are among those above the region."""
        codes = path.split("/")[:-2]
        above = iter(self.names["/".join(codes[:n]) + "/"] for n in range(1, len(codes) + 1))
        return all(any(name in (each, each.removesuffix("街道")) for each in above) for name in names)


def _same(person: Person, row: dict[str, Any]) -> bool:
    """Whether who has his number is he: the same name, and no two staff codes."""
    return row["name"] == person.name and (
        not person.staff_code or row["staff_code"] in (None, person.staff_code)
    )
