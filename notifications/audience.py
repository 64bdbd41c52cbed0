"""From a bulletin's areas and duties to the officers who must hear it: the set-based queries, nothing else.

Alerts address posts, then collapse to persons: everyone with an addressed duty at or below an area, and the
duty desks above it. A person with several such posts is addressed by his nearest one (the deepest region).
Each query yields (officer_id, region_id, root_id) and is made to stand in an INSERT … SELECT.
"""

from datetime import datetime

from alerts.models import Bulletin, BulletinKind
from notifications.models import Errand

Query = tuple[str, dict[str, object]]

_IN_FORCE = """
    p.valid_from <= %(now)s AND (p.valid_to IS NULL OR p.valid_to > %(now)s)
    AND EXISTS (SELECT 1 FROM officers_officer o WHERE o.id = p.officer_id AND o.is_active)
"""

_FIRST = f"""
    SELECT DISTINCT ON (p.officer_id) p.officer_id, p.region_id, NULL::bigint AS root_id
    FROM (
        SELECT r.code, r.path, 'below' AS side
        FROM hydrology_region r JOIN hydrology_region a ON r.path LIKE a.path || '%%'
        WHERE a.code = ANY(%(areas)s)
        UNION
        SELECT r.code, r.path, 'above'
        FROM hydrology_region r JOIN hydrology_region a ON a.path LIKE r.path || '%%'
        WHERE a.code = ANY(%(areas)s)
    ) r
    JOIN officers_post p ON p.region_id = r.code
    WHERE {_IN_FORCE}
      AND ((r.side = 'below' AND p.duty = ANY(%(duties)s))
        OR (p.duty = 'desk' AND (r.side = 'above' OR %(desks_below)s)))
    ORDER BY p.officer_id, length(r.path) DESC, p.id
"""

# the holders of the stations' own posts, whatever the duty, and whom areas and duties address
_KEEPERS = f"""
    SELECT DISTINCT ON (a.officer_id) a.officer_id, a.region_id, a.root_id
    FROM (
        SELECT first.* FROM ({_FIRST}) first
        UNION ALL
        SELECT p.officer_id, p.region_id, NULL::bigint
        FROM officers_post p WHERE p.station_id = ANY(%(stations)s) AND {_IN_FORCE}
    ) a JOIN hydrology_region r ON r.code = a.region_id
    ORDER BY a.officer_id, length(r.path) DESC, a.region_id
"""

# exactly these persons, each by his nearest post; without one he answers for nothing and is not addressed
_NAMED = f"""
    SELECT DISTINCT ON (p.officer_id) p.officer_id, p.region_id, NULL::bigint AS root_id
    FROM officers_post p JOIN hydrology_region r ON r.code = p.region_id
    WHERE p.officer_id = ANY(%(officers)s) AND {_IN_FORCE}
    ORDER BY p.officer_id, length(r.path) DESC, p.id
"""

_REPEAT = """
    SELECT d.officer_id, d.region_id, d.id AS root_id
    FROM notifications_delivery d WHERE d.id = ANY(%(unanswered)s)
"""

_DEPUTY = f"""
    SELECT DISTINCT ON (p.officer_id) p.officer_id, p.region_id, NULL::bigint AS root_id
    FROM notifications_delivery d
    JOIN officers_post p ON p.region_id = d.region_id AND p.rank = 'B' AND p.station_id IS NULL
        AND p.duty = ANY(%(duties)s)
    WHERE d.id = ANY(%(unanswered)s) AND p.officer_id <> d.officer_id AND {_IN_FORCE}
    ORDER BY p.officer_id, p.id
"""

# for a silent keeper the B post of his own station first; for the others, and where it has none, that of the region
_KEEPERS_DEPUTY = f"""
    SELECT DISTINCT ON (p.officer_id) p.officer_id, d.region_id, NULL::bigint AS root_id
    FROM notifications_delivery d
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT 1 FROM officers_post own
            JOIN officers_post p ON p.station_id = own.station_id AND p.rank = 'B' AND p.officer_id <> d.officer_id
            WHERE own.officer_id = d.officer_id AND own.station_id = ANY(%(stations)s) AND {_IN_FORCE}
        ) AS has_deputy
    ) keeper
    JOIN officers_post p ON p.rank = 'B' AND p.officer_id <> d.officer_id AND CASE WHEN keeper.has_deputy
        THEN p.station_id = ANY(%(stations)s)
        ELSE p.station_id IS NULL AND p.region_id = d.region_id AND p.duty = ANY(%(duties)s) END
    WHERE d.id = ANY(%(unanswered)s) AND {_IN_FORCE}
    ORDER BY p.officer_id, keeper.has_deputy DESC, p.id
"""

# the duty desk of the nearest region above that has one
_SUPERIOR = f"""
    SELECT DISTINCT ON (p.officer_id) p.officer_id, p.region_id, NULL::bigint AS root_id
    FROM (
        SELECT DISTINCT ON (own.code) own.code AS own_code, r.code
        FROM notifications_delivery d
        JOIN hydrology_region own ON own.code = d.region_id
        JOIN hydrology_region r ON own.path LIKE r.path || '%%' AND r.code <> own.code
        WHERE d.id = ANY(%(unanswered)s)
          AND EXISTS (SELECT 1 FROM officers_post p WHERE p.region_id = r.code AND p.duty = 'desk' AND {_IN_FORCE})
        ORDER BY own.code, length(r.path) DESC
    ) above
    JOIN officers_post p ON p.region_id = above.code AND p.duty = 'desk'
    WHERE {_IN_FORCE}
    ORDER BY p.officer_id, p.id
"""

_BY_ERRAND = {
    Errand.FIRST: _FIRST,
    Errand.REPEAT: _REPEAT,
    Errand.DEPUTY: _DEPUTY,
    Errand.SUPERIOR: _SUPERIOR,
}


def audience(bulletin: Bulletin, errand: Errand, now: datetime, unanswered: list[int] | None = None) -> Query:
    """The query and its parameters; `unanswered` are the delivery ids an escalation errand speaks for."""
    query = _BY_ERRAND[errand]
    if errand is Errand.FIRST and bulletin.officers:
        query = _NAMED
    elif bulletin.stations:
        query = {Errand.FIRST: _KEEPERS, Errand.DEPUTY: _KEEPERS_DEPUTY}.get(errand, query)
    return query, {
        "areas": bulletin.areas,
        "duties": bulletin.duties,
        "stations": bulletin.stations,
        "officers": bulletin.officers,
        "now": now,
        "unanswered": unanswered or [],
        # a silent feed is not every street desk's concern
        "desks_below": bulletin.kind != BulletinKind.MESSAGE,
    }


def preview_query(areas: list[str], duties: list[str], now: datetime) -> Query:
    """The same audience for a bulletin that does not exist yet."""
    return _FIRST, {"areas": areas, "duties": duties, "now": now, "desks_below": True}
