"""A database filled by earlier versions comes through today's migrations with every row, and back again."""

import psycopg
import pytest

from tests.conftest import OldCity

FILL = """
INSERT INTO hydrology_region (code, name, level, path, lon, lat) VALUES ('4403', 'city', 'city', '4403/', 114, 22.5);
INSERT INTO hydrology_station (code, name, kind, region_id, lon, lat, datum, synthetic)
SELECT 'S' || n, 'station', 'PP', '4403', 114, 22.5, '85', false FROM generate_series(1, 5) n;
INSERT INTO hydrology_feed (key, name, sealed_secret, cadence_s, max_age_s, enabled, replayed)
VALUES ('gauges', 'gauges', '', 300, 1800, true, false);
INSERT INTO hydrology_feedpost (feed_id, kind, digest, body, received_at, answer)
SELECT 'gauges', 'readings', n::text, '', now(), '{}' FROM generate_series(1, 3) n;
-- 700 instants 3 h apart: from the last days of one year over the turn of a month in the next
INSERT INTO hydrology_observation
    (station_id, element, observed_at, revision, value, duration_s, quality, why, received_at, post_id)
SELECT 'S' || s, 'rain_mm', '2025-12-30 22:00+00'::timestamptz + n * interval '3 hours', r, s + n / 8.0 + r, 300, r, '',
       now(), (SELECT min(id) FROM hydrology_feedpost) + r
FROM generate_series(1, 5) s, generate_series(0, 699) n, generate_series(0, 1) r WHERE r = 0 OR n % 50 = 0;
INSERT INTO hydrology_gridrun
    (product, issued_at, revision, steps, step_s, geometry, field, digest, missing_share, received_at, post_id)
SELECT 'observed', '2026-01-01'::timestamptz + n * interval '5 minutes', 0, 1, 300, 'g',
       decode(lpad(to_hex(n % 7), 2, '0'), 'hex'), 'field ' || n % 7, 0, now(),
       (SELECT min(id) FROM hydrology_feedpost)
FROM generate_series(0, 99) n;
"""
OBSERVATIONS = """
SELECT count(*), md5(string_agg(o::text, '|' ORDER BY o)) FROM (
    SELECT (station_id, element, observed_at, revision, value, duration_s, quality, why, received_at, post_id)::text o
    FROM hydrology_observation) rows
"""
FIELDS_BEFORE = "SELECT issued_at, field FROM hydrology_gridrun ORDER BY 1"
FIELDS = """
SELECT issued_at, content FROM hydrology_gridrun JOIN hydrology_blob ON digest = blob_id ORDER BY 1
"""
MONTHS = """
SELECT relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
WHERE inhparent = 'hydrology_observation'::regclass AND c.relkind = 'r' ORDER BY 1
"""


def test_every_row_of_an_older_version_comes_through(old_city: OldCity) -> None:
    city, migrate = old_city
    migrate("hydrology", "0003")
    city.execute(FILL)
    observations, fields = city.execute(OBSERVATIONS).fetchone(), city.execute(FIELDS_BEFORE).fetchall()
    assert observations and observations[0] == 3500 + 5 * 14
    migrate("hydrology", "0006")
    assert city.execute(OBSERVATIONS).fetchone() == observations
    assert city.execute(FIELDS).fetchall() == fields
    assert city.execute("SELECT count(*) FROM hydrology_blob").fetchone() == (7,)
    assert [month[-7:] for (month,) in city.execute(MONTHS)] == [
        "2025_12", "2026_01", "2026_02", "2026_03",
    ]  # fmt: skip
    migrate("hydrology", "0005")
    assert city.execute(OBSERVATIONS).fetchone() == observations
    migrate()
    assert city.execute(OBSERVATIONS).fetchone() == observations
    with pytest.raises(psycopg.errors.UniqueViolation):
        city.execute("INSERT INTO hydrology_observation SELECT * FROM hydrology_observation LIMIT 1")
