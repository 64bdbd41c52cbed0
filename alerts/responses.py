"""What is in force now, of real orders: response levels, and what is stopped where (五停). Reads only.

A region concerns a caller when it lies in one of his regions or holds one: what the city ordered holds in his street.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from alerts.models import OrderMeasure, ResponseLevel, ResponseOrder
from foundation.clock import iso
from hydrology.models import Region

Row = dict[str, Any]


def responses(paths: tuple[str, ...], *, now: datetime) -> Row:
    """`{as_of, items: [{authority, hazard, level, since, order, areas}]}`, the highest authority first. Two queries."""
    orders = ResponseOrder.objects.in_force().filter(drill=False).select_related("authority")
    rows = list(orders.order_by("authority__path", "hazard", "-level", "id"))
    places = _places(code for order in rows for code in order.areas)
    items = [
        {
            "authority": _named(order.authority),
            "hazard": order.hazard,
            "level": ResponseLevel(order.level).code,
            "since": iso(order.released_at),
            "order": order.pk,
            "areas": [_named(places[code]) for code in order.areas if code in places],
        }
        for order in rows
        if _concerns(order.areas, places, paths)
    ]
    return {"as_of": iso(now), "items": items}


def measures(paths: tuple[str, ...], *, now: datetime, region: Region | None = None) -> Row:
    """`{as_of, items: [{sector, sector_name, areas, starts_at, ends_at, order, authority}]}`, by sector. Two queries.

    `region`: only what holds in it, wholly or in part; of several areas only those.
    """
    in_force = OrderMeasure.objects.filter(order__in=ResponseOrder.objects.in_force().filter(drill=False))
    rows = list(
        in_force.select_related("order__authority").order_by("sector", "order__authority__path", "id")
    )
    places = _places(code for row in rows for code in row.areas)
    wanted = (region.path,) if region else paths
    items = []
    for row in rows:
        areas = [code for code in row.areas if _concerns([code], places, wanted)]
        if areas and row.in_force_at(now):
            items.append(
                {
                    "sector": row.sector,
                    "sector_name": row.get_sector_display(),
                    "areas": [_named(places[code]) for code in areas],
                    "starts_at": iso(row.starts_at or row.order.released_at),
                    "ends_at": iso(row.ends_at),
                    "order": row.order_id,
                    "authority": _named(row.order.authority),
                }
            )
    return {"as_of": iso(now), "items": items}


def _places(codes: Iterable[str]) -> dict[str, Region]:
    return Region.objects.in_bulk(set(codes))


def _concerns(codes: Iterable[str], places: Mapping[str, Region], paths: tuple[str, ...]) -> bool:
    areas = [places[code].path for code in codes if code in places]
    return any(area.startswith(path) or path.startswith(area) for area in areas for path in paths)


def _named(region: Region) -> dict[str, str]:
    return {"code": region.pk, "name": region.name}
