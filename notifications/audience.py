"""From a bulletin's areas and duties to the officers who must hear it: the set-based queries, nothing else.

Alerts address posts, then collapse to persons: everyone with an addressed duty at or below an area, and the
duty desks above it. A person with several such posts is addressed by his nearest one (the deepest region).
The first dispatch's query yields (officer_id, region_id) of one bulletin. ERRANDS yields (dispatch_id, officer_id,
region_id, root_id) for many dispatches of an escalation at once. Both are made to stand in an INSERT … SELECT.
"""

from datetime import datetime

from alerts.models import Bulletin, BulletinKind
from officers.models import IN_FORCE, IN_FORCE_SINCE

Query = tuple[str, dict[str, object]]

_ACTIVE = f"""{IN_FORCE}
    AND EXISTS (SELECT 1 FROM officers_officer o WHERE o.id = p.officer_id AND o.is_active)"""

_FIRST = f"""
    SELECT DISTINCT ON (p.officer_id) p.officer_id, p.region_id
    FROM (
        SELECT r.code, r.path, 'below' AS side
        FROM hydrology_region r JOIN hydrology_region a ON starts_with(r.path, a.path)
        WHERE a.code = ANY(%(areas)s)
        UNION
        SELECT r.code, r.path, 'above'
        FROM hydrology_region r JOIN hydrology_region a ON starts_with(a.path, r.path)
        WHERE a.code = ANY(%(areas)s)
    ) r
    JOIN officers_post p ON p.region_id = r.code
    WHERE {_ACTIVE}
      AND ((r.side = 'below' AND p.duty = ANY(%(duties)s))
        OR (p.duty = 'desk' AND (r.side = 'above' OR %(desks_below)s)))
    ORDER BY p.officer_id, length(r.path) DESC, p.id
"""

# the holders of the stations' own posts, whatever the duty, and whom areas and duties address
_KEEPERS = f"""
    SELECT DISTINCT ON (a.officer_id) a.officer_id, a.region_id
    FROM (
        SELECT first.* FROM ({_FIRST}) first
        UNION ALL
        SELECT p.officer_id, p.region_id
        FROM officers_post p WHERE p.station_id = ANY(%(stations)s) AND {_ACTIVE}
    ) a JOIN hydrology_region r ON r.code = a.region_id
    ORDER BY a.officer_id, length(r.path) DESC, a.region_id
"""

# exactly these persons, each by his nearest post; without one he answers for nothing and is not addressed, nor about water
# that is not his (Scope.water_paths): he followed the station before he served elsewhere
_NAMED = f"""
    SELECT DISTINCT ON (p.officer_id) p.officer_id, p.region_id
    FROM officers_post p JOIN hydrology_region r ON r.code = p.region_id
    WHERE p.officer_id = ANY(%(officers)s) AND {_ACTIVE}
      AND (NOT %(of_water)s OR EXISTS (
          SELECT 1 FROM hydrology_region there
          WHERE there.code = ANY(%(areas)s) AND starts_with(there.path, substring(r.path FROM '^[^/]+/(?:[^/]+/)?'))))
    ORDER BY p.officer_id, length(r.path) DESC, p.id
"""

# Parameters: `dispatch` and `unanswered`, as long as each other: the dispatch and a delivery for which it speaks; `now`.
# A repeat asks the same person. The deputy of a silent keeper is the B post of his own station, where it has one; else, and
# for everybody else, that of his position (岗位编号), and where that has none all those of the region. Who is the B of his
# position himself has no other. What he has held at any time since he was told is his own. The superior is the duty desk of
# the nearest region above that has one.
# OFFSET 0: for each by index; joined, 20,000 silent people were once compared with each other for minutes.
_DEPUTIES = f"""
    posts AS NOT MATERIALIZED (
        SELECT p.* FROM officers_post p WHERE {_ACTIVE}
    ), asked AS MATERIALIZED (
        SELECT s.id AS dispatch_id, s.errand, b.duties, b.stations, d.id, d.officer_id, d.region_id, f.created_at AS told_at
        FROM unnest(%(dispatch)s::bigint[], %(unanswered)s::bigint[]) AS t(dispatch, delivery)
        JOIN notifications_dispatch s ON s.id = t.dispatch
        JOIN alerts_bulletin b ON b.id = s.bulletin_id
        JOIN notifications_delivery d ON d.id = t.delivery AND d.id = ANY(%(unanswered)s::bigint[])
        JOIN notifications_dispatch f ON f.id = d.dispatch_id
    ), of_station AS MATERIALIZED (
        SELECT a.dispatch_id, a.id, p.officer_id, a.region_id, p.id AS post
        FROM asked a
        CROSS JOIN LATERAL (
            SELECT p.station_id FROM officers_post p
            WHERE p.officer_id = a.officer_id AND p.station_id = ANY(a.stations) AND {IN_FORCE_SINCE.format(since="a.told_at")}
            OFFSET 0
        ) own
        JOIN posts p ON p.station_id = own.station_id AND p.rank = 'B' AND p.officer_id <> a.officer_id
        WHERE a.errand = 'deputy'
    ), placed AS MATERIALIZED (  -- with his own position, if it has a B
        SELECT a.*, own.duty, own.position
        FROM asked a
        LEFT JOIN LATERAL (
            SELECT p.duty, p.position FROM officers_post p
            WHERE p.officer_id = a.officer_id AND p.region_id = a.region_id AND p.station_id IS NULL
              AND p.duty = ANY(a.duties) AND p.position <> '' AND {IN_FORCE_SINCE.format(since="a.told_at")} AND EXISTS (
                  SELECT 1 FROM posts b WHERE b.region_id = p.region_id AND b.duty = p.duty AND b.rank = 'B'
                  AND b.position = p.position AND b.station_id IS NULL OFFSET 0)
            OFFSET 0
        ) own ON true
        WHERE a.errand = 'deputy' AND (a.dispatch_id, a.id) NOT IN (SELECT dispatch_id, id FROM of_station)
    ), of_region AS (
        SELECT a.dispatch_id, a.id, p.officer_id, a.region_id, p.post
        FROM placed a
        CROSS JOIN LATERAL (
            SELECT p.officer_id, p.id AS post FROM posts p
            WHERE p.region_id = a.region_id AND p.rank = 'B' AND p.station_id IS NULL AND p.duty = ANY(a.duties)
              AND p.officer_id <> a.officer_id AND (a.position IS NULL OR p.duty = a.duty AND p.position = a.position)
            OFFSET 0
        ) p
    ), deputies AS MATERIALIZED (
        SELECT *, 0 AS place FROM of_station UNION ALL SELECT *, 1 FROM of_region
    )
"""
ERRANDS = f"""
    WITH {_DEPUTIES}, desks AS MATERIALIZED (
        SELECT p.id AS post, p.officer_id, p.region_id FROM posts p WHERE p.duty = 'desk'
    ), silent AS MATERIALIZED (  -- places, not people: however many are silent in one, its desk is asked once
        SELECT DISTINCT dispatch_id, region_id FROM asked WHERE errand = 'superior'
    ), above AS MATERIALIZED (
        SELECT DISTINCT ON (s.dispatch_id, s.region_id) s.dispatch_id, up.code
        FROM silent s JOIN hydrology_region r ON r.code = s.region_id
        CROSS JOIN LATERAL unnest(string_to_array(r.path, '/')) WITH ORDINALITY AS up(code, depth)
        WHERE up.code <> s.region_id AND up.code IN (SELECT region_id FROM desks)
        ORDER BY s.dispatch_id, s.region_id, up.depth DESC
    )
    SELECT dispatch_id, officer_id, region_id, id AS root_id FROM asked WHERE errand = 'repeat'
    UNION ALL
    (SELECT DISTINCT ON (dispatch_id, officer_id) dispatch_id, officer_id, region_id, NULL::bigint
     FROM deputies
     ORDER BY dispatch_id, officer_id, place, post)
    UNION ALL
    (SELECT DISTINCT ON (a.dispatch_id, p.officer_id) a.dispatch_id, p.officer_id, p.region_id, NULL::bigint
     FROM (SELECT DISTINCT dispatch_id, code FROM above) a
     JOIN desks p ON p.region_id = a.code
     ORDER BY a.dispatch_id, p.officer_id, p.post)
"""

# With the same parameters, by dispatch and delivery: how many people were called in the stead of the one who is silent.
# %(first)s: none of their lines has a lower id.
STAND_INS = f"""
    WITH {_DEPUTIES}
    SELECT dispatch_id, id, count(DISTINCT officer_id)::int FROM deputies
    WHERE ((dispatch_id, officer_id) IN (
        SELECT dispatch_id, officer_id FROM notifications_delivery
        WHERE id >= %(first)s AND dispatch_id = ANY(%(dispatch)s))) IS TRUE
    GROUP BY dispatch_id, id
"""


def audience(bulletin: Bulletin, now: datetime) -> Query:
    """Whom the bulletin addresses: the query and its parameters."""
    query = _NAMED if bulletin.officers else _KEEPERS if bulletin.stations else _FIRST
    return query, {
        "areas": bulletin.areas,
        "duties": bulletin.duties,
        "stations": bulletin.stations,
        "officers": bulletin.officers,
        "now": now,
        "of_water": bulletin.kind == BulletinKind.LEVEL,
        # a silent feed is not every street desk's concern
        "desks_below": bulletin.kind != BulletinKind.MESSAGE,
    }


# nobody but who takes part hears of a drill (dispatch.py keeps to it as well)
_OF_DRILL = """
    SELECT a.* FROM ({audience}) a
    WHERE a.officer_id = ANY(ARRAY(SELECT unnest(officers) FROM alerts_drill WHERE id = %(drill_of)s))
"""


def preview_query(areas: list[str], duties: list[str], now: datetime, drill_of: int | None = None) -> Query:
    """The same audience for a bulletin that does not exist yet, of a drill where one is named."""
    query = _FIRST if drill_of is None else _OF_DRILL.format(audience=_FIRST)
    return query, {"areas": areas, "duties": duties, "now": now, "desks_below": True, "drill_of": drill_of}
