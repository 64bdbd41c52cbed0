"""The shapes the water doors speak, for the OpenAPI document; answers themselves are built where they are known."""

from rest_framework import serializers

from hydrology.models import Station, StationKind
from hydrology.science.quality import Quality
from hydrology.science.readings import Element
from hydrology.science.stages import LimitKind
from hydrology.standing import KINDS, STATUSES

LIMIT_KINDS = [kind.value for kind in LimitKind]
QUALITIES = [quality.name.lower() for quality in Quality]
LEVEL_KIND_CODES = list(KINDS.values())
KIND_CODES = {**KINDS, StationKind.RAIN: "rain", StationKind.HAZARD: "hazard"}


class LevelItem(serializers.Serializer[object]):
    station = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=LEVEL_KIND_CODES)
    region = serializers.CharField()
    level_m = serializers.FloatField(allow_null=True)
    datum = serializers.CharField(help_text="the levels' zero; never compare stations of different datum")
    observed_at = serializers.DateTimeField(allow_null=True)
    age_s = serializers.IntegerField(allow_null=True, help_text="at `as_of`")
    quality = serializers.ChoiceField(choices=QUALITIES, allow_null=True)
    trend = serializers.ChoiceField(choices=["rising", "steady", "falling"], allow_null=True)
    rate_m_per_h = serializers.FloatField(allow_null=True)
    limit_kind = serializers.ChoiceField(
        choices=LIMIT_KINDS, allow_null=True,
        help_text="汛限 正常 设计 校核 坝顶下0.5m 坝顶; 警戒 保证 历史最高: the gravest limit passed, else the lowest",
    )  # fmt: skip
    limit_m = serializers.FloatField(allow_null=True)
    over_m = serializers.FloatField(allow_null=True, help_text="level above the limit; negative below it")
    next_limit_kind = serializers.ChoiceField(
        choices=LIMIT_KINDS, allow_null=True, help_text="the lowest limit not yet passed"
    )
    time_to_limit_s = serializers.IntegerField(
        allow_null=True,
        help_text="to the next limit if it goes on rising like this; at most a day; never for a tide",
    )
    status = serializers.ChoiceField(choices=list(STATUSES))
    gated = serializers.BooleanField(allow_null=True, help_text="reservoirs: false overflows by design")


class Levels(serializers.Serializer[object]):
    as_of = serializers.DateTimeField()
    items = LevelItem(many=True)


class RainWindow(serializers.Serializer[object]):
    minutes = serializers.IntegerField(help_text="the window is (as_of - minutes, as_of]")
    station_max_mm = serializers.FloatField(allow_null=True)
    station = serializers.CharField(allow_null=True, help_text="where the maximum fell")
    station_share = serializers.FloatField(help_text="share of gauge slots present, 0..1")
    mean_mm = serializers.FloatField(allow_null=True, help_text="areal mean of the observed field")
    mean_share = serializers.FloatField(help_text="share of cells and slots present, 0..1")


class RainAhead(serializers.Serializer[object]):
    minutes = serializers.IntegerField(help_text="the window is (as_of, as_of + minutes]")
    mean_mm = serializers.FloatField(allow_null=True)
    max_mm = serializers.FloatField(allow_null=True, help_text="highest cell")
    share = serializers.FloatField(help_text="share of cells and steps present, 0..1")


class RainItem(serializers.Serializer[object]):
    region = serializers.CharField()
    name = serializers.CharField()
    observed = RainWindow(many=True)
    nowcast = RainAhead(many=True)


class LiveRain(serializers.Serializer[object]):
    as_of = serializers.DateTimeField(help_text="END of the newest 5-minute slot")
    observed_at = serializers.DateTimeField(allow_null=True, help_text="newest gauge value or frame")
    age_s = serializers.IntegerField(allow_null=True, help_text="of it, at `as_of`")
    nowcast_issued_at = serializers.DateTimeField(allow_null=True)
    level = serializers.CharField(help_text="district or street, as asked")
    items = RainItem(many=True)


class RainStep(serializers.Serializer[object]):
    at = serializers.DateTimeField(help_text="END of the step")
    rain_mm = serializers.FloatField(allow_null=True, help_text="null is missing, never zero")


class PointRain(serializers.Serializer[object]):
    as_of = serializers.DateTimeField(help_text="END of the newest 5-minute slot")
    observed_at = serializers.DateTimeField(allow_null=True, help_text="newest gauge value or frame")
    age_s = serializers.IntegerField(allow_null=True, help_text="of it, at `as_of`")
    lon = serializers.FloatField(help_text="as asked; the cell under it answers")
    lat = serializers.FloatField(help_text="as asked; the cell under it answers")
    step_s = serializers.IntegerField()
    observed = RainStep(many=True)
    nowcast_issued_at = serializers.DateTimeField(allow_null=True)
    nowcast = RainStep(many=True)


class RainFrameItem(serializers.Serializer[object]):
    id = serializers.CharField(
        allow_null=True, help_text="for rain/frames/{id}.png; null where the step is missing"
    )
    kind = serializers.ChoiceField(choices=["observed", "nowcast"])
    at = serializers.DateTimeField(help_text="END of the 5-minute step")
    issued_at = serializers.DateTimeField(allow_null=True, help_text="of the nowcast")
    bbox = serializers.ListField(
        child=serializers.FloatField(),
        allow_null=True,
        help_text="[west, south, east, north], degrees, outer edges",
    )
    missing = serializers.BooleanField(help_text="expected, and not there")
    missing_share = serializers.FloatField(allow_null=True, help_text="share of cells without a value, 0..1")
    spread = serializers.BooleanField(
        allow_null=True,
        help_text="out of sums longer than 5 minutes, taken as even: a lower bound of its peaks",
    )


class RainFrames(serializers.Serializer[object]):
    as_of = serializers.DateTimeField(help_text="END of the newest observed step")
    observed_at = serializers.DateTimeField(allow_null=True, help_text="newest observed step in the list")
    age_s = serializers.IntegerField(allow_null=True, help_text="of it, at `as_of`")
    step_s = serializers.IntegerField()
    scale = serializers.ListField(child=serializers.ListField(), help_text="[[mm/h from, #rrggbb], …]")
    missing_colour = serializers.CharField()
    items = RainFrameItem(many=True, help_text="oldest first")


class RadarFrameItem(serializers.Serializer[object]):
    id = serializers.IntegerField(
        allow_null=True, help_text="for radar/frames/{id}.png; null where the picture is missing"
    )
    radar = serializers.CharField()
    product = serializers.CharField()
    at = serializers.DateTimeField()
    missing = serializers.BooleanField(help_text="expected, and not there; then nothing below is told")
    bbox = serializers.ListField(
        child=serializers.FloatField(),
        required=False,
        help_text="[west, south, east, north], degrees, outer edges",
    )
    width = serializers.IntegerField(required=False, help_text="pixels")
    height = serializers.IntegerField(required=False, help_text="pixels")
    scale = serializers.ListField(
        child=serializers.ListField(),
        required=False,
        help_text="[[dBZ from, #rrggbb], …] as its source says; or empty",
    )
    cadence_s = serializers.IntegerField(required=False)


class RadarFrames(serializers.Serializer[object]):
    as_of = serializers.DateTimeField(help_text="whole minutes")
    observed_at = serializers.DateTimeField(allow_null=True, help_text="newest picture in the list")
    age_s = serializers.IntegerField(allow_null=True, help_text="of it, at `as_of`")
    items = RadarFrameItem(many=True, help_text="by radar and product, each oldest first")


class StationOut(serializers.ModelSerializer[Station]):
    kind = serializers.SerializerMethodField()
    region = serializers.CharField(source="region_id")

    class Meta:
        model = Station
        fields = ["code", "name", "kind", "region", "lon", "lat", "datum", "synthetic"]

    def get_kind(self, station: Station) -> str:
        return KIND_CODES[StationKind(station.kind)]


class NewestRain(serializers.Serializer[object]):
    observed_at = serializers.DateTimeField()
    age_s = serializers.IntegerField(help_text="at `as_of`")
    rain_mm = serializers.FloatField()
    quality = serializers.ChoiceField(choices=QUALITIES)


class SpeakingFeed(serializers.Serializer[object]):
    name = serializers.CharField()
    rank = serializers.IntegerField(help_text="1 is believed first; more: a better one is silent")


class StationLimit(serializers.Serializer[object]):
    kind = serializers.ChoiceField(choices=LIMIT_KINDS)
    limit_m = serializers.FloatField()


class StationWhole(StationOut):
    as_of = serializers.DateTimeField()
    feed = SpeakingFeed(allow_null=True, help_text="who said the newest of it")
    rain = NewestRain(allow_null=True)
    level = LevelItem(allow_null=True)
    limits = StationLimit(many=True, help_text="those in force today, the lowest first")

    class Meta(StationOut.Meta):
        fields = [*StationOut.Meta.fields, "as_of", "feed", "rain", "level", "limits"]


class RainThere(serializers.Serializer[object]):
    observed_at = serializers.DateTimeField()
    age_s = serializers.IntegerField(help_text="at `as_of`")
    rain_mm = serializers.FloatField()


class NearbyItem(serializers.Serializer[object]):
    station = serializers.CharField()
    name = serializers.CharField()
    region = serializers.CharField()
    lon = serializers.FloatField()
    lat = serializers.FloatField()
    synthetic = serializers.BooleanField()
    distance_km = serializers.FloatField()
    level = LevelItem(allow_null=True)
    rain = RainThere(allow_null=True)


class Nearby(serializers.Serializer[object]):
    as_of = serializers.DateTimeField()
    items = NearbyItem(many=True, help_text="the nearest first")


class SeriesPoint(serializers.Serializer[object]):
    at = serializers.DateTimeField(help_text="END of the step")
    value = serializers.FloatField(
        allow_null=True,
        help_text="rain: the sum; level: the last value of the step; null: all of it is wrong",
    )
    quality = serializers.ChoiceField(choices=QUALITIES, help_text="the worst in the step")
    share = serializers.FloatField(allow_null=True, help_text="rain: share of the step covered, 0..1")


class RainMaximum(serializers.Serializer[object]):
    minutes = serializers.IntegerField()
    rain_mm = serializers.FloatField(help_text="the highest sum over so many minutes inside the span")
    at = serializers.DateTimeField(help_text="END of the window; of equal ones the first")
    share = serializers.FloatField(help_text="share of the window covered, 0..1")


class Series(serializers.Serializer[object]):
    station = serializers.CharField()
    element = serializers.ChoiceField(choices=[element.value for element in Element])
    step_s = serializers.IntegerField()
    as_of = serializers.DateTimeField(
        help_text="as asked: only what had been received by then; else the water's clock"
    )
    observed_at = serializers.DateTimeField(allow_null=True, help_text="newest value of the span")
    age_s = serializers.IntegerField(allow_null=True, help_text="of it, at `as_of`")
    items = SeriesPoint(many=True, help_text="oldest first; a step without any value is left out")
    maxima = RainMaximum(many=True, allow_null=True, help_text="rain, when asked for; else null")


class ReadingIn(serializers.Serializer[object]):
    station = serializers.CharField(max_length=32)
    element = serializers.ChoiceField(choices=[element.value for element in Element])
    observed_at = serializers.DateTimeField(help_text="with its zone; rain: END of the accumulation")
    value = serializers.FloatField()
    duration_s = serializers.IntegerField(required=False, help_text="rain only; 300 when left out")
    doubt = serializers.CharField(
        required=False, help_text="why the source itself doubts it: stored as suspect"
    )


class ReadingsIn(serializers.Serializer[object]):
    readings = ReadingIn(many=True, help_text="at most 10,000")


class RadarIn(serializers.Serializer[object]):
    radar = serializers.CharField(max_length=32, help_text="a radar's or a mosaic's name")
    product = serializers.CharField(max_length=16, help_text="CR, R, …")
    observed_at = serializers.DateTimeField(help_text="with its zone")
    bbox = serializers.ListField(
        child=serializers.FloatField(),
        min_length=4,
        max_length=4,
        help_text="west, south, east, north; north is up",
    )
    scale = serializers.ListField(
        child=serializers.ListField(), required=False, max_length=64, help_text='[[dBZ from, "#rrggbb"], …]'
    )
    cadence_s = serializers.IntegerField(required=False, help_text="360 when left out")
    png = serializers.CharField(help_text="base64 of at most 8 MB; kept as it is")


class RejectedRow(serializers.Serializer[object]):
    index = serializers.IntegerField()
    code = serializers.CharField()
    message = serializers.CharField()


class Taken(serializers.Serializer[object]):
    accepted = serializers.IntegerField()
    duplicate = serializers.IntegerField()
    rejected = RejectedRow(many=True)


class Said(serializers.Serializer[object]):
    """An error: a stable code, a text that says what to do, the faulty fields."""

    code = serializers.CharField()
    message = serializers.CharField()
    fields = serializers.DictField()  # type: ignore[assignment]  # the contract's word
