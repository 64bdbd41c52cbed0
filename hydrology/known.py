"""Which posts had been taken at an instant: so that what an assessment saw can be read again, whatever came since.

Posts get their numbers when they come and become visible when they are stored, so the newest number alone does not say
which were there: those still under way are named as well. What is read is limited by the same words both times, then
and now, and is the same to the row. Writes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from django.db import connection
from django.db.models import Q

UNDER_WAY = 1000  # no post is still under way when so many have come after it


@dataclass(frozen=True, slots=True)
class Known:
    """Posts numbered up to `until` without those `unseen`; or, of assessments that did not note it, by their receipt."""

    until: int | None = None
    unseen: tuple[int, ...] = field(default=())
    received_by: datetime | None = None

    @property
    def rows(self) -> Q:
        """The observations these posts brought."""
        if self.until is None:
            return Q(received_at__lte=self.received_by) if self.received_by else Q()
        return Q(post_id__lte=self.until) & ~Q(post_id__in=self.unseen)

    @property
    def sql(self) -> str:
        """The same as a condition on hydrology_observation; `parameters` belong to it."""
        if self.until is None:
            return "received_at <= %(known_by)s" if self.received_by else "true"
        return "post_id <= %(known_until)s AND post_id <> ALL(%(unseen)s::bigint[])"

    @property
    def parameters(self) -> dict[str, object]:
        return {"known_until": self.until, "unseen": list(self.unseen), "known_by": self.received_by}

    def to_json(self) -> dict[str, Any]:
        return {"until": self.until, "unseen": list(self.unseen)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None, otherwise: datetime) -> Self:
        """As noted; without a note what had been received by `otherwise`."""
        if not stored or stored.get("until") is None:
            return cls(received_by=otherwise)
        return cls(stored["until"], tuple(stored["unseen"]))


EVERYTHING = Known()


def known_now() -> Known:
    """The posts that can be seen at this moment. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, [UNDER_WAY])
        until, unseen = cursor.fetchone()
    return Known(until, tuple(unseen))


_KNOWN = """
WITH newest AS (SELECT coalesce(max(id), 0) AS id FROM hydrology_feedpost)
SELECT newest.id, ARRAY(
    SELECT number FROM generate_series(greatest(newest.id - %s, 1), newest.id) AS number
    WHERE NOT EXISTS (SELECT 1 FROM hydrology_feedpost p WHERE p.id = number) ORDER BY number)
FROM newest
"""
