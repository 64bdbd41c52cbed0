"""Doors of the water room, included under `api/v1/`."""

from django.urls import path

from hydrology import api

urlpatterns = [
    path("live/levels", api.LiveLevels.as_view()),
    path("live/rain", api.LiveRain.as_view()),
    path("rain/point", api.PointRain.as_view()),
    path("stations", api.Stations.as_view()),
    path("stations/<str:code>", api.OneStation.as_view()),
    path("stations/<str:code>/series", api.StationSeries.as_view()),
    path("ingest/readings", api.IngestReadings.as_view()),
    path("ingest/grids", api.IngestGrids.as_view()),
]
