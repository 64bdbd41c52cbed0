"""Doors of this room: its pages, and the JSON only they use."""

from django.urls import path

from console import views

urlpatterns = [
    *(path(address, views.page, {"address": address}) for address in views.PAGES),
    path("api/v1/auth/oidc/callback", views.back_from_portal),
    path("api/v1/console/map", views.MapView.as_view()),
    path("api/v1/console/dispatches", views.DispatchesView.as_view()),
    path("api/v1/console/dispatches/<int:dispatch_id>", views.DispatchView.as_view()),
    path("api/v1/dispatches/<int:dispatch_id>/people", views.PeopleView.as_view()),
    path("api/v1/dispatches/<int:dispatch_id>/people/<int:officer>", views.ChainView.as_view()),
    path("api/v1/console/regions/<str:code>/reach", views.RegionReachView.as_view()),
    path("api/v1/console/feeds", views.FeedsView.as_view()),
    path("api/v1/console/report", views.ReportView.as_view()),
    path("api/v1/console/report.pdf", views.ReportPdfView.as_view()),
]
