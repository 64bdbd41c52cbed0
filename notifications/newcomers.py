"""Whose post began after a message was sent that still stands and asks: he is told of it by the same dispatch.

Finds them; the lines are dispatch.py's. Woken by escalation/starts.py, in whose transaction his chase begins. Of a warning he
hears the newest that concerns him, and nothing that came before it. Nobody joins an exercise that has begun, nor those who
were addressed by name.
"""

import logging
from collections import defaultdict
from datetime import datetime

from django.db import connection
from django.db.models import Max

from alerts.models import OWED, BulletinKind
from notifications import months
from notifications.dispatch import refill, take_turn
from notifications.models import Dispatch, Errand
from notifications.threads import IN_FORCE
from officers.models import Post

log = logging.getLogger(__name__)

# by the same rules as audience.py, but from the few posts
_NEW = """
WITH asked AS MATERIALIZED (
    SELECT s.id, s.created_at, b.warning_id, b.areas, b.duties, b.stations, b.kind <> %(message)s AS desks_below
    FROM notifications_dispatch s JOIN alerts_bulletin b ON b.id = s.bulletin_id
    WHERE s.id = ANY(%(asked)s)
), began AS MATERIALIZED (
    SELECT p.*, r.path FROM officers_post p
    JOIN hydrology_region r ON r.code = p.region_id
    JOIN officers_officer o ON o.id = p.officer_id AND o.is_active
    WHERE p.valid_from > (SELECT min(created_at) FROM asked) AND p.valid_from <= %(now)s
      AND (p.valid_to IS NULL OR p.valid_to > %(now)s)
)
SELECT DISTINCT ON (p.officer_id, of) s.id, p.officer_id
FROM asked s JOIN began p ON p.valid_from > s.created_at
CROSS JOIN LATERAL (SELECT coalesce(s.warning_id, -s.id) AS of) matter
WHERE (p.station_id = ANY(s.stations) OR EXISTS (
        SELECT 1 FROM hydrology_region a WHERE a.code = ANY(s.areas)
        AND (starts_with(p.path, a.path) AND (p.duty = ANY(s.duties) OR p.duty = 'desk' AND s.desks_below)
             OR p.duty = 'desk' AND starts_with(a.path, p.path))))
  AND NOT EXISTS (  -- a few lines by his own index
      SELECT 1 FROM (
          SELECT dispatch_id FROM notifications_delivery WHERE officer_id = p.officer_id AND id >= %(open)s OFFSET 0
      ) d
      JOIN notifications_dispatch n ON n.id = d.dispatch_id AND n.errand = 'first'
      JOIN alerts_bulletin b ON b.id = n.bulletin_id
      WHERE n.id = s.id OR n.id > s.id AND b.warning_id = s.warning_id)
ORDER BY p.officer_id, of, s.id DESC
"""


def tell(*, now: datetime) -> int | None:
    """Tell them; returns an id below which none of their lines is, None when there is nobody. Call inside a transaction."""
    began_at = Post.objects.filter(valid_from__lte=now).aggregate(at=Max("valid_from"))["at"]
    asked = Dispatch.objects.filter(
        IN_FORCE,
        errand=Errand.FIRST,
        created_at__lt=began_at or now,
        expires_at__gt=now,
        bulletin__requires__in=OWED,
        bulletin__officers=[],
        bulletin__drill=False,
    )
    if began_at is None or not (dispatches := list(asked.values_list("pk", flat=True))):
        return None
    new = defaultdict[int, list[int]](list)
    with connection.cursor() as cursor:
        given = {"asked": dispatches, "now": now, "message": BulletinKind.MESSAGE}
        cursor.execute(_NEW, {**given, "open": months.open_since(now)})
        for dispatch, officer in cursor.fetchall():
            new[dispatch].append(officer)
    if not new:
        return None
    first_line = take_turn(now)
    for dispatch in sorted(new):
        refill(dispatch, now=now, only=new[dispatch])
    return first_line
