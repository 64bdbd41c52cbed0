"""Doors of the water room, included under `api/v1/`."""

from django.urls import path

from hydrology.doors import around, feeds, frames, ingest, live, stations

urlpatterns = [
    path("live/levels", live.LiveLevels.as_view()),
    path("live/rain", live.LiveRain.as_view()),
    path("rain/point", live.PointRain.as_view()),
    path("rain/frames", frames.RainFrames.as_view()),
    path("rain/frames/<int:run>-<int:step>.png", frames.RainFrame.as_view()),
    path("radar/frames", frames.RadarFrames.as_view()),
    path("radar/frames/<int:pk>.png", frames.RadarFrame.as_view()),
    path("radar/frames/<int:pk>.thumb.png", frames.RadarThumb.as_view()),
    path("stations", stations.Stations.as_view()),
    path("stations/nearby", around.Nearby.as_view()),
    path("stations/<str:code>", stations.OneStation.as_view()),
    path("stations/<str:code>/series", stations.StationSeries.as_view()),
    path("telegrams", feeds.TelegramList.as_view()),
    path("telegrams/<int:pk>/again", feeds.TelegramAgain.as_view()),
    path("posts", feeds.PostList.as_view()),
    path("ingest/readings", ingest.IngestReadings.as_view()),
    path("ingest/grids", ingest.IngestGrids.as_view()),
    path("ingest/radar", ingest.IngestRadar.as_view()),
]
