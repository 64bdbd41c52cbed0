"""Doors of the escalation room, under /api/v1/."""

from django.urls import path

from escalation import api

urlpatterns = [
    path("calls", api.Calls.as_view()),
    path("calls/<int:pk>/claim", api.Claim.as_view()),
    path("calls/<int:pk>/release", api.Release.as_view()),
    path("calls/<int:pk>/result", api.Result.as_view()),
    path("calls/<int:pk>/phone", api.Phone.as_view()),
]
