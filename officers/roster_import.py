"""Writing a roster into ours, and undoing it: all good lines in one transaction with the audit entry.

Owns RosterImport. The same roster twice changes nothing. Whom it no longer names loses his posts only when the caller
says how many those are. A term that ends stays as a row, as does a person who has left.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import CharField, Value
from django.db.models.functions import Cast, Concat

from foundation.errors import Refusal
from hydrology.models import Region
from hydrology.science.register_rows import Line
from officers import audit, devices, roster
from officers.models import Officer, Post, RosterImport
from officers.roster_comparison import PERSON, Change, Difference, Person, compare, held

_LOCK: Final = 0x0FF1_0001
_WRITTEN: Final = (*PERSON, "sealed_phone")
_ANALYZE_FROM: Final = 1000  # changed rows; below it PostgreSQL notices by itself


@transaction.atomic
def bring_in(
    lines: Sequence[Line],
    within: Region,
    *,
    file: tuple[str, str],
    gone: int | None,
    actor: int | None,
    now: datetime,
) -> tuple[Difference, RosterImport | None]:
    """Write the good lines; `file` is (name, sha256). Returns no import when nothing changed.

    `gone`: how many posts the roster no longer names; they end. None: they stay. Raises Refusal `faults_first` or
    `gone_differs`: nothing was written.
    """
    _one_at_a_time()
    found = compare(lines, within, now)
    if gone is not None:
        _agreed(found, gone)
    ended = found.gone if gone is not None else []
    if not (found.people or found.new or found.changed or ended):
        return found, None
    written = _Writing(now)
    written.people(found)
    written.end([*ended, *(change for _, change in found.changed)])
    written.appoint([*found.new, *found.changed])
    written.dismiss(ended)
    done = RosterImport.objects.create(
        at=now, actor_id=actor, name=file[0][:128], sha256=file[1], within=within,
        counts=found.counts() | {"ended": len(ended)}, made=written.made, before=written.before,
    )  # fmt: skip
    granted = Counter(change.place.duty for _, change in found.new)
    detail = {"within": within.code, "sha256": file[1], **done.counts, "granted": dict(granted)}
    audit.record(actor, "roster.import", f"roster:{done.pk}", detail, now)
    if written.rows >= _ANALYZE_FROM:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE officers_officer, officers_post")
    return found, done


@transaction.atomic
def undo(number: int, *, actor: int | None, now: datetime) -> RosterImport:
    """What it made ends, what it changed is as before. Only the last one can be undone. Raises Refusal `not_the_last`."""
    _one_at_a_time()
    last = RosterImport.objects.filter(undone_at=None).order_by("-pk").first()
    if last is None or last.pk != number:
        raise Refusal(
            "not_the_last",
            zh=f"只能撤销最近一次导入（{last.pk if last else '无'}）。",
            en=f"Only the last import can be undone ({last.pk if last else 'there is none'}).",
            status=409,
        )
    Post.objects.filter(held(now), pk__in=last.made["posts"]).update(valid_to=now)
    posts = Post.objects.in_bulk([int(pk) for pk in last.before["posts"]])
    for pk, valid_to in last.before["posts"].items():
        posts[int(pk)].valid_to = datetime.fromisoformat(valid_to) if valid_to else None
    Post.objects.bulk_update(posts.values(), ["valid_to"], batch_size=1000)
    people = Officer.objects.in_bulk([int(pk) for pk in last.before["officers"]])
    for pk, fields in last.before["officers"].items():
        for name, value in fields.items():
            setattr(people[int(pk)], name, bytes.fromhex(value) if name == "sealed_phone" else value)
    _leave(last.made["officers"], now)
    # numbers and codes may go back to who had them: until then they are nobody's
    _release([*last.made["officers"], *people])
    Officer.objects.bulk_update(people.values(), _WRITTEN, batch_size=1000)
    devices.revive_of([pk for pk, person in people.items() if person.is_active])
    last.undone_at = now
    last.save(update_fields=["undone_at"])
    audit.record(actor, "roster.undo", f"roster:{last.pk}", {"within": last.within_id}, now)
    return last


class _Writing:
    """What is written, and how it was before."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.new: dict[int, int] = {}  # officers by the first line of theirs
        self.made: dict[str, list[int]] = {"officers": [], "posts": []}
        self.before: dict[str, dict[int, Any]] = {"officers": {}, "posts": {}}

    @property
    def rows(self) -> int:
        return sum(map(len, (*self.made.values(), *self.before.values())))

    def people(self, found: Difference) -> None:
        changed = {person.id: person for person in found.people if person.id is not None}
        rows = self._kept([*changed, *found.released])
        _release([*found.released, *(pk for pk, one in changed.items() if "phone_digest" in one.changes)])
        for pk, person in changed.items():
            for name, (_, new) in person.changes.items():
                setattr(rows[pk], name, new)
            if "phone_digest" in person.changes:
                renewed = roster.officer_row(person.name, person.phone)
                rows[pk].sealed_phone, rows[pk].masked_phone = renewed.sealed_phone, renewed.masked_phone
        Officer.objects.bulk_update([rows[pk] for pk in changed], _WRITTEN, batch_size=1000)
        devices.revive_of([pk for pk, person in changed.items() if "is_active" in person.changes])
        new = [person for person in found.people if person.id is None]
        made = roster.enrol(
            [
                roster.officer_row(one.name, one.phone, one.language or "zh", staff_code=one.staff_code)
                for one in new
            ]
        )
        self.new = {person.line: officer.pk for person, officer in zip(new, made, strict=True)}
        self.made["officers"] = [officer.pk for officer in made]

    def end(self, changes: Sequence[Change]) -> None:
        terms = {change.was.id: change.was for change in changes if change.was and change.was.id}
        self.before["posts"] = {
            pk: term.valid_to.isoformat() if term.valid_to else None for pk, term in terms.items()
        }
        Post.objects.filter(pk__in=terms).update(valid_to=self.now)

    def appoint(self, changes: Sequence[tuple[Person, Change]]) -> None:
        posts = [
            Post(
                officer_id=person.id or self.new[person.line], duty=change.place.duty, region_id=change.place.region,
                station_id=change.place.station, rank=change.now.rank, position=change.now.position,
                valid_to=change.now.valid_to, valid_from=change.now.valid_from or self.now,
            )
            for person, change in changes
            if change.now
        ]  # fmt: skip
        self.made["posts"] = [post.pk for post in roster.appoint(posts)]

    def dismiss(self, ended: Sequence[Change]) -> None:
        """Who has no post left is no longer active: his sessions end with that, and his phones are not rung."""
        left = Officer.objects.filter(pk__in={change.officer for change in ended}, is_active=True)
        left = left.exclude(posts__in=Post.objects.filter(held(self.now)))
        rows = self._kept(list(left.values_list("pk", flat=True)))
        _leave(rows, self.now)

    def _kept(self, officers: Sequence[int]) -> dict[int, Officer]:
        rows = Officer.objects.select_for_update().order_by("pk").in_bulk(officers)
        for pk, row in rows.items():
            fields = {name: getattr(row, name) for name in PERSON}
            self.before["officers"].setdefault(pk, fields | {"sealed_phone": bytes(row.sealed_phone).hex()})
        return rows


def _agreed(found: Difference, gone: int) -> None:
    if found.faults:
        raise Refusal(
            "faults_first",
            zh=f"名册有 {len(found.faults)} 处错误，未结束任何岗位。请先改正，或不带结束选项导入。",
            en=f"The roster has {len(found.faults)} faults: correct them before ending posts, or import without ending.",
            status=409,
        )
    if gone != len(found.gone):
        raise Refusal(
            "gone_differs",
            zh=f"名册未列的岗位为 {len(found.gone)} 个，而非 {gone} 个。请重新核对。",
            en=f"The roster leaves out {len(found.gone)} posts, not {gone}: look again.",
            status=409,
        )


def _one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _leave(people: Collection[int], now: datetime) -> None:
    Officer.objects.filter(pk__in=people).update(is_active=False)
    devices.retire_of(people, now)


def _release(officers: Sequence[int]) -> None:
    """Their numbers and codes are nobody's now: found by none."""
    Officer.objects.filter(pk__in=officers).update(
        phone_digest=Concat(Value("released "), Cast("pk", CharField())), staff_code=None
    )
