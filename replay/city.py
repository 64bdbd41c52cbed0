"""The demo city: real region names, everything else SYNTHETIC, called so in its rows, the same from one seed.

Fills regions, stations with SL 323 limits, officers with posts and devices, feeds. It is a roster import, not a
demo of results: no reading, warning, order or delivery is ever written here. Street centres are approximate;
front-line cells (网格), stations, limits, names and numbers are made up.
"""

import csv
import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from django.db import connection

from foundation.seals import seal
from hydrology.models import (
    LEVEL_KINDS,
    Feed,
    Level,
    PostKind,
    Region,
    Reservoir,
    River,
    SeasonLimit,
    Station,
    StationKind,
)
from officers import roster
from officers.models import Device, Duty, Officer, Platform, Post, Rank
from replay.storm_2023 import PINS

REGIONS = Path(__file__).with_name("regions.csv")
SEED = 4403
CELLS_A_COMMUNITY = 2
GAUGES = 206  # automatic weather stations of the city in 2019
RESERVOIRS, RIVERS = 177, 119
HAZARD_POINTS = {"WL": ("易涝点", 89), "SL": ("地灾点", 641)}  # waterlogging, slopes: as counted by the city
TIDE_STREETS = ("招商街道", "西乡街道", "盐田街道", "南澳街道")  # on the coast
# 三防责任人 by level of the chain: 45,000 together
FLOOD_OFFICERS = {
    Level.CITY: 300,
    Level.DISTRICT: 1_980,
    Level.STREET: 7_020,
    Level.COMMUNITY: 22_700,
    Level.FRONTLINE: 13_000,
}
REPORTERS, FOREST = 1_241, 2_286
DESKS = {Level.CITY: 6, Level.DISTRICT: 4, Level.STREET: 2}  # duty desk posts a region
COMMANDS = {Level.CITY: 3, Level.DISTRICT: 2}
ENGINEERS = {Level.CITY: 2}
KEEPERS = 2  # flood officers of the street who answer for each reservoir and river
DEPUTY_EVERY = 6  # every sixth flood post is a B post, of one position with the five before it
SECOND_DEVICE, NO_DEVICE = 0.08, 0.01  # shares of officers
# whose phones are rung through whom, of every twenty: made up after what the city's people carry
MIXED = (
    *("jpush", "huawei", "jpush", "apns", "jpush", "huawei", "jpush", "fcm", "jpush", "huawei"),
    *("jpush", "apns", "jpush", "huawei", "jpush", "apns", "jpush", "huawei", "apns", "huawei"),
)
FCM_ONLY = ("fcm",)
VENDORS = {  # platform; characters of a token, 0: ours
    "fcm": (Platform.ANDROID, 0),
    "jpush": (Platform.ANDROID, 19),
    "huawei": (Platform.HARMONY, 128),
    "apns": (Platform.IOS, 64),
}
FIRST_PHONE = 19_900_000_000
CENTRE_LAT, CENTRE_LON = 22.62, 114.06
SPREAD_DEG = 0.012  # how far a made-up station stands from its street's centre


@dataclass(frozen=True, slots=True)
class Keys:
    """What the replay and the first sign-in need; written to a private file, never to the repository."""

    desk_phone: str
    command_phone: str
    engineer_phone: str
    feed_key: str
    feed_secret: str
    drill_key: str
    drill_secret: str
    desk_staff_code: str = ""  # a city made before has none


def build(
    now: datetime, *, say: Callable[[str], None], officers: int | None = None, mixed: bool = False
) -> Keys:
    """Fill an empty database; `officers` scales the roster down for tests, `mixed` gives the phones several vendors.
    Call inside a transaction.
    """
    rng = np.random.default_rng(SEED)
    regions = _regions()
    Region.objects.bulk_create(regions, batch_size=2000)
    say(f"{len(regions)} regions 区域")
    streets = [region for region in regions if region.level == Level.STREET]
    _stations(streets, rng)
    say(
        f"{GAUGES} rain gauges, {RESERVOIRS} reservoirs, {RIVERS} rivers, {len(TIDE_STREETS)} tide posts, "
        f"{sum(count for _, count in HAZARD_POINTS.values())} hazard points "
        "雨量站、水库、河道、潮位站、隐患点 (synthetic 合成)"
    )
    people = _officers(regions, now, rng, officers, MIXED if mixed else FCM_ONLY, say)
    secret, drill_secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    Feed.objects.create(key="drill", name="演练 drill", sealed_secret=seal(drill_secret), drill=True)
    Feed.objects.create(
        key="replay",
        name="回放（合成） replay (synthetic)",
        sealed_secret=seal(secret),
        max_age_s=86_400,
        replayed=True,
    )
    Feed.objects.create(
        key="telemetry",
        name="遥测（SL 651） telemetry (SL 651)",
        sealed_secret=seal(secrets.token_urlsafe(32)),
        kinds=[PostKind.READINGS],
    )
    # before autovacuum comes round the planner would take 45,000 people for a handful
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE hydrology_region, officers_officer, officers_post, officers_device")
    return Keys(
        people["desk"],
        people["command"],
        people["engineer"],
        "replay",
        secret,
        "drill",
        drill_secret,
        people["desk_staff_code"],
    )


def _regions() -> list[Region]:
    """City to community from the list of regions; front-line cells under each community are made up."""
    made: dict[str, Region] = {}
    with REGIONS.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            parent = made.get(row["parent"])
            made[row["code"]] = Region(
                code=row["code"],
                name=row["name"],
                level=row["level"],
                parent=parent,
                path=f"{parent.path if parent else ''}{row['code']}/",
                gb_code=row["gb_code"] or None,
                lon=float(row["lon"] or CENTRE_LON),
                lat=float(row["lat"] or CENTRE_LAT),
            )
    for community in [region for region in made.values() if region.level == Level.COMMUNITY]:
        for number in range(1, CELLS_A_COMMUNITY + 1):
            code = f"{community.code}{number:02d}"
            made[code] = Region(
                code=code,
                name=f"{community.name}第{number}网格",
                level=Level.FRONTLINE,
                parent=community,
                path=f"{community.path}{code}/",
                lon=community.lon,
                lat=community.lat,
            )
    return list(made.values())


def _stations(streets: list[Region], rng: np.random.Generator) -> None:
    """Gauges, reservoirs and rivers around the street centres; the storm's own stations stand where it has them."""
    stations = [
        Station(
            code=pinned.code,
            name=f"{pinned.name_zh}雨量站",
            kind=StationKind.RAIN,
            region=min(streets, key=lambda s, p=pinned: (s.lon - p.lon) ** 2 + (s.lat - p.lat) ** 2),
            lon=pinned.lon,
            lat=pinned.lat,
            synthetic=True,
        )
        for pinned, _ in PINS
    ]

    def stand(kind: StationKind, prefix: str, count: int, suffix: str) -> Iterator[Station]:
        for i in range(count):
            street = streets[i % len(streets)]
            east, north = rng.normal(0.0, SPREAD_DEG / 2, 2)
            yield Station(
                code=f"{prefix}{i + 1:04d}",
                name=f"{street.name.removesuffix('街道')}{suffix}{i // len(streets) + 1}号",
                kind=kind,
                region=street,
                lon=round(street.lon + float(east), 4),
                lat=round(street.lat + float(north), 4),
                synthetic=True,
            )

    stations += stand(StationKind.RAIN, "SYG", GAUGES - len(PINS), "雨量站")
    lakes = list(stand(StationKind.RESERVOIR, "SYR", RESERVOIRS, "水库"))
    posts = list(stand(StationKind.RIVER, "SYZ", RIVERS, "河"))
    Station.objects.bulk_create([*stations, *lakes, *posts])
    dead = rng.uniform(8, 60, RESERVOIRS).round(2)
    depth = rng.uniform(6, 25, RESERVOIRS).round(2)
    Reservoir.objects.bulk_create(
        [
            Reservoir(
                station=lake,
                gated=i % 6 == 0,
                dead_m=dead[i],
                normal_m=round(dead[i] + depth[i], 2),
                design_m=round(dead[i] + depth[i] + 1.2, 2),
                check_m=round(dead[i] + depth[i] + 2.0, 2),
                crest_m=round(dead[i] + depth[i] + 3.2, 2),
            )
            for i, lake in enumerate(lakes)
        ]
    )
    SeasonLimit.objects.bulk_create(
        SeasonLimit(
            reservoir_id=lake.code,
            begin_mmdd=begin,
            end_mmdd=end,
            limit_m=round(dead[i] + depth[i] - below, 2),
        )
        for i, lake in enumerate(lakes)
        for begin, end, below in (("0415", "0630", 1.5), ("0701", "1015", 1.0))
    )
    bed = rng.uniform(1, 40, RIVERS).round(2)
    rise = rng.uniform(2.5, 6, RIVERS).round(2)
    River.objects.bulk_create(
        [
            River(
                station=post,
                bed_m=bed[i],
                warning_m=round(bed[i] + rise[i], 2),
                guarantee_m=round(bed[i] + rise[i] + 0.8, 2),
                highest_m=round(bed[i] + rise[i] + 1.5, 2),
            )
            for i, post in enumerate(posts)
        ]
    )
    for prefix, (suffix, count) in HAZARD_POINTS.items():
        Station.objects.bulk_create(stand(StationKind.HAZARD, f"SY{prefix}", count, suffix))
    _tide_posts(streets)


def _tide_posts(streets: list[Region]) -> None:
    """Four tide posts at the centres of coastal streets; the limits stand in for 警戒 and 保证潮位."""
    coast = {street.name: street for street in streets if street.name in TIDE_STREETS}
    for number, name in enumerate(TIDE_STREETS, start=1):
        post = Station.objects.create(
            code=f"SYT{number:04d}",
            name=f"{name.removesuffix('街道')}潮位1号",
            kind=StationKind.TIDE,
            region=coast[name],
            lon=coast[name].lon,
            lat=coast[name].lat,
            synthetic=True,
        )
        River.objects.create(station=post, bed_m=-4.0, warning_m=2.3, guarantee_m=2.9, highest_m=3.4)


def _officers(
    regions: list[Region],
    now: datetime,
    rng: np.random.Generator,
    wanted: int | None,
    vendors: Sequence[str],
    say: Callable[[str], None],
) -> dict[str, str]:
    """People, posts and devices, set-wise; returns the phones of three at the city, and the desk's staff code."""
    by_level = {level: [r for r in regions if r.level == level] for level in Level}
    scale = 1.0 if wanted is None else wanted / sum(FLOOD_OFFICERS.values())
    places: list[tuple[Duty, Region, Rank, str]] = []
    for level, count in FLOOD_OFFICERS.items():
        where = by_level[level]
        flood = range(max(len(where) * len(_seats(level)), round(count * scale)))
        for i in flood:
            turn, n = divmod(i, len(where))
            places.append((Duty.FLOOD, where[n], *_held(turn, len(flood[n :: len(where)]))))
    homes = by_level[Level.COMMUNITY]
    for duty, count in ((Duty.REPORTER, REPORTERS), (Duty.FOREST, FOREST)):
        places += [(duty, homes[i % len(homes)], Rank.A, "") for i in range(round(count * scale))]
    people = roster.enrol(
        [
            roster.officer_row(
                f"演示{duty.label}{i + 1:05d}",
                str(FIRST_PHONE + i),
                "en" if i % 200 == 199 else "zh",
                True,
                staff_code=f"SYN{i + 1:05d}",
            )
            for i, (duty, *_) in enumerate(places)
        ]
    )
    say(f"{len(people)} officers 责任人 (synthetic 合成)")
    posts = [
        Post(officer=officer, duty=duty, region=region, rank=rank, position=position, valid_from=now)
        for officer, (duty, region, rank, position) in zip(people, places, strict=True)
    ]
    special = list(_special_posts(people, places, now))
    roster.appoint([*posts, *special])
    lots = rng.random((len(people), 2))
    devices = [
        _phone(officer, i, number, vendors[(i + 7 * number) % len(vendors)], now)
        for i, officer in enumerate(people)
        for number in range(0 if lots[i, 0] < NO_DEVICE else 2 if lots[i, 1] < SECOND_DEVICE else 1)
    ]
    Device.objects.bulk_create(devices, batch_size=2000)
    _canaries(by_level[Level.CITY][0], len(people), sorted(set(vendors)), now)
    say(f"{len(posts) + len(special)} posts 岗位, {len(devices)} devices 设备 (synthetic 合成)")
    numbers = {person.pk: i for i, person in enumerate(people)}
    city = {post.duty: numbers[post.officer_id] for post in special if post.region.level == Level.CITY}
    phones = {duty.value: str(FIRST_PHONE + city[duty]) for duty in (Duty.DESK, Duty.COMMAND, Duty.ENGINEER)}
    return phones | {"desk_staff_code": people[city[Duty.DESK]].staff_code or ""}


def _held(turn: int, holders: int) -> tuple[Rank, str]:
    """Rank and position of one of a region's flood posts. The last ones, of whom there is no B, are of the first position."""
    rank = Rank.B if turn % DEPUTY_EVERY == DEPUTY_EVERY - 1 else Rank.A
    positions = holders // DEPUTY_EVERY
    return rank, str(turn // DEPUTY_EVERY % positions + 1) if positions else ""


def _phone(officer: Officer, i: int, number: int, vendor: str, now: datetime) -> Device:
    """The vendors' tokens are as long as real ones and always the same; the stand-ins know no others."""
    platform, length = VENDORS[vendor]
    secret = hashlib.sha512(f"{SEED} {i} {number}".encode()).hexdigest()
    return Device(
        officer=officer,
        platform=platform,
        name="演示手机",
        provider=vendor,
        token=secret[:length] if length else f"demo-{i:05d}-{number}:{secret}",
        registered_at=now,
    )


def _canaries(city: Region, first: int, vendors: Sequence[str], now: datetime) -> None:
    """The phones on the shelf, one a vendor, that prove the way to the local vendors and back."""
    rows = [
        roster.officer_row(f"演示探测手机 {vendor}", str(FIRST_PHONE + first + i), "zh", True)
        for i, vendor in enumerate(vendors)
    ]
    officers = roster.enrol(rows)
    roster.appoint([Post(officer=one, duty=Duty.CANARY, region=city, valid_from=now) for one in officers])
    Device.objects.bulk_create(
        _phone(officer, first + i, 0, vendor, now)
        for i, (officer, vendor) in enumerate(zip(officers, vendors, strict=True))
    )


def _special_posts(
    people: list[Officer], places: list[tuple[Duty, Region, Rank, str]], now: datetime
) -> Iterator[Post]:
    """Desks, commands and engineers are staffed from a region's own flood officers, desks first; the reservoirs and
    rivers of a street have keepers among its officers."""
    taken: dict[str, int] = {}
    of_street: dict[str, list[Officer]] = {}
    for officer, (duty, region, *_) in zip(people, places, strict=True):
        if duty is not Duty.FLOOD:
            continue
        if region.level == Level.STREET:
            of_street.setdefault(region.code, []).append(officer)
        seats = _seats(Level(region.level))
        i = taken.get(region.code, 0)
        if i < len(seats):
            taken[region.code] = i + 1
            yield Post(officer=officer, duty=seats[i], region=region, rank=Rank.A, valid_from=now)
    for n, station in enumerate(
        Station.objects.filter(kind__in=[*LEVEL_KINDS, StationKind.HAZARD]).order_by("code")
    ):
        keepers = of_street[station.region_id]
        for rank, i in zip((Rank.A, Rank.B), range(min(KEEPERS, len(keepers))), strict=False):
            yield Post(
                officer=keepers[(KEEPERS * n + i) % len(keepers)],
                duty=Duty.FLOOD,
                region_id=station.region_id,
                station=station,
                rank=rank,
                valid_from=now,
            )


def _seats(level: Level) -> list[Duty]:
    """What a region of this level has besides its flood officers."""
    return (
        [Duty.DESK] * DESKS.get(level, 0)
        + [Duty.COMMAND] * COMMANDS.get(level, 0)
        + [Duty.ENGINEER] * ENGINEERS.get(level, 0)
    )
