"""Doors of this room, included under `api/v1/`."""

from django.urls import path

from officers import api

urlpatterns = [
    path("auth/otp", api.OtpView.as_view()),
    path("auth/sessions", api.SessionsView.as_view()),
    path("auth/sessions/current", api.CurrentSessionView.as_view()),
    path("auth/oidc/start", api.PortalStartView.as_view()),
    path("auth/oidc/sessions", api.PortalSessionsView.as_view()),
    path("auth/refresh", api.RefreshView.as_view()),
    path("auth/tickets", api.TicketsView.as_view()),
    path("me", api.MeView.as_view()),
    path("me/device/push", api.PushView.as_view()),
    path("me/devices", api.MyDevicesView.as_view()),
    path("me/devices/<int:device>", api.MyDeviceView.as_view()),
]
