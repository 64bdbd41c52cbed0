"""Doors of the alerts room, under /api/v1/."""

from django.urls import path, re_path

from alerts import api, hand
from alerts.doors import cap, drills, explained, feeds, follows, orders, signals, warnings
from alerts.orders import TRANSITIONS

VERBS = "|".join(
    verb for verb in TRANSITIONS if verb != "issue"
)  # notifications/urls.py: it counts heads first

urlpatterns = [
    path("ingest/signals", signals.IngestSignals.as_view()),
    path("signals", signals.Signals.as_view()),
    path("proposals", signals.Proposals.as_view()),
    re_path(r"^proposals/(?P<pk>\d+)/(?P<verb>take|decline)$", signals.ProposalAct.as_view()),
    path("feeds", feeds.Feeds.as_view()),
    path("ingest/drills/<int:pk>", drills.IngestDrill.as_view()),
    path("drills", drills.Drills.as_view()),
    path("drills/<int:pk>", drills.OneDrill.as_view()),
    re_path(rf"^drills/(?P<pk>\d+)/(?P<verb>{drills.HERE})$", drills.DrillAct.as_view()),
    path("warnings", warnings.Warnings.as_view()),
    re_path(rf"^warnings/(?P<pk>\d+)/(?P<verb>{'|'.join(hand.VERBS)})$", warnings.WarningAct.as_view()),
    path("releases", warnings.Releases.as_view()),
    re_path(r"^releases/(?P<pk>\d+)/(?P<verb>release|drop)$", warnings.ReleaseAct.as_view()),
    path("warnings/<int:pk>/explained", explained.Explained.as_view()),
    path("warnings/<int:pk>.cap", cap.WarningCap.as_view()),
    path("warnings.atom", cap.WarningsAtom.as_view()),
    path("orders/<int:pk>.cap", cap.OrderCap.as_view()),
    path("follows", follows.Follows.as_view()),
    path("stations/<str:code>/follow", follows.FollowStation.as_view()),
    path("checks", api.Checks.as_view()),
    path("checks/<int:pk>/answer", api.CheckAnswered.as_view()),
    path("plans", orders.Plans.as_view()),
    path("responses", orders.Responses.as_view()),
    path("measures", orders.Measures.as_view()),
    path("orders", orders.Orders.as_view()),
    path("orders/<int:pk>/attachments", orders.OrderPapers.as_view()),
    re_path(rf"^orders/(?P<pk>\d+)/(?P<verb>{VERBS})$", orders.OrderAct.as_view()),
]
