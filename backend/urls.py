"""Every HTTP door on one screen."""

from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from backend import health
from monitoring.api import metrics

urlpatterns = [
    path("", RedirectView.as_view(url="/console/")),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("metrics", metrics),
    path("api/v1/", include("officers.urls")),
    path("api/v1/", include("hydrology.urls")),
    path("api/v1/", include("alerts.urls")),
    path("api/v1/", include("notifications.urls")),
    path("api/v1/", include("escalation.urls")),
    path("api/v1/", include("hazards.urls")),
    path("api/v1/", include("monitoring.urls")),
    path("", include("console.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
]

handler400 = "backend.doors.bad_request"
handler404 = "backend.doors.no_such_address"
handler500 = "backend.doors.our_fault"
