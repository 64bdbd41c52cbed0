"""Doors of the monitoring room, under /api/v1/; /metrics stands with the operator's doors (backend/urls.py)."""

from django.urls import path

from monitoring import api

urlpatterns = [path("slo", api.Slo.as_view())]
