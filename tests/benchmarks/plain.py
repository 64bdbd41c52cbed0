"""The same levels as an ordinary Django REST framework list: what `live/levels` is measured against. Not the product.

`uvicorn tests.benchmarks.plain:application` serves GET /levels: signed in and scoped like the product's door, a
QuerySet through a ModelSerializer, rendered at each request, with Django's own ETag (the settings' ConditionalGetMiddleware).
"""

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path
from rest_framework import generics, serializers

from hydrology.models import Latest, Station, path_filter
from hydrology.science.readings import Element


class LevelOut(serializers.ModelSerializer[Latest]):
    """One newest level with its station and limits, as a serializer would usually say it."""

    name = serializers.CharField(source="station.name")
    kind = serializers.CharField(source="station.kind")
    region = serializers.CharField(source="station.region_id")
    limits = serializers.SerializerMethodField()

    class Meta:
        model = Latest
        fields = [
            "station",
            "name",
            "kind",
            "region",
            "value",
            "observed_at",
            "quality",
            "rate_m_per_h",
            "limits",
        ]

    def get_limits(self, latest: Latest) -> dict[str, float | None]:
        station: Station = latest.station
        lake, river = getattr(station, "reservoir", None), getattr(station, "river", None)
        if lake is not None:
            return {"normal_m": lake.normal_m, "design_m": lake.design_m, "check_m": lake.check_m}
        return {"warning_m": river.warning_m, "guarantee_m": river.guarantee_m} if river is not None else {}


class Levels(generics.ListAPIView[Latest]):
    serializer_class = LevelOut

    def get_queryset(self) -> "object":
        return (
            Latest.objects.filter(
                path_filter("station__region__path", self.request.auth.scope.water_paths),
                element=Element.STAGE,
            )
            .select_related("station__region", "station__reservoir", "station__river")
            .order_by("station_id")
        )


urlpatterns = [path("levels", Levels.as_view())]
settings.ROOT_URLCONF = __name__
application = get_asgi_application()
