"""In which street a station of a register stands: by its named region, by ADDVCD, by the nearest centre. Reads only."""

from math import cos, hypot, radians
from typing import Any, Final

from hydrology.models import Level, Region
from hydrology.science.register_cells import BadCell
from hydrology.science.register_rows import Fields

KM_PER_DEGREE: Final = 111.2
FAR_KM: Final = 10.0  # a station further from every street is told, not refused: a reservoir in the hills


class Places:
    """The regions, and the street a station stands in."""

    def __init__(self) -> None:
        rows = list(
            Region.objects.order_by("code").values("code", "gb_code", "name", "level", "path", "lon", "lat")
        )
        self.streets = [row for row in rows if row["level"] == Level.STREET]
        self.by_code = {row["gb_code"]: row for row in rows if row["gb_code"]} | {
            row["code"]: row for row in rows
        }

    def region_of(self, stated: Fields, before: Fields | None) -> tuple[str, tuple[str, str] | None]:
        """(region, note). A region named counts; one already given stays while it lies in ADDVCD; else the nearest street.

        Raises BadCell when a region is named that is none, or none can be found.
        """
        if named := stated.get("region"):
            return self._named(str(named)), None
        area = str(stated.get("area") or "")
        within = self.by_code.get(area) or self.by_code.get(area[:6])
        if before is not None:
            now = str(before["region_id"])
            if within is None or self.by_code[now]["path"].startswith(within["path"]):
                return now, None
        lon, lat = (stated.get(name) or (before or {}).get(name) for name in ("lon", "lat"))
        if within and within["level"] not in (Level.CITY, Level.DISTRICT):
            return within["code"], None
        streets = [each for each in self.streets if not within or each["path"].startswith(within["path"])]
        if not streets or not isinstance(lon, float) or not isinstance(lat, float):
            raise BadCell(
                "找不到所属街道，请填写 REGION（街道编码或名称）",
                "no street can be found: give its code as REGION",
            )
        km, nearest = min((_km(lon, lat, each), n) for n, each in enumerate(streets))
        street = streets[nearest]["code"]
        if km > FAR_KM:
            zh, en = (
                f"距最近的街道 {street} 有 {km:.0f} 公里，请核对坐标",
                f"is {km:.0f} km from {street}, its nearest street",
            )
            return street, (zh, en)
        if area and within is None:
            return street, (
                f"ADDVCD {area} 未登记，按坐标归入 {street}",
                f"ADDVCD {area} is unknown: put into {street}",
            )
        return street, None

    def _named(self, name: str) -> str:
        if name in self.by_code:
            return str(self.by_code[name]["code"])
        found = [
            each["code"] for each in self.streets if name in (each["name"], each["name"].removesuffix("街道"))
        ]
        if len(found) == 1:
            return str(found[0])
        raise BadCell(
            "没有唯一的同名街道，请填写编码", "is not the code or the only name of a region: give its code"
        )


def _km(lon: float, lat: float, place: dict[str, Any]) -> float:
    east, north = (lon - place["lon"]) * cos(radians(lat)), lat - place["lat"]
    return KM_PER_DEGREE * hypot(east, north)
