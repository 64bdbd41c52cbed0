"""Doors of the notifications room, under /api/v1/."""

from django.urls import path, re_path

from notifications import api
from notifications.doors import coverage, drills, orders, providers, storms, told

urlpatterns = [
    path("inbox", api.Inbox.as_view()),
    path("inbox/receipts", api.Receipts.as_view()),
    path("coverage", coverage.Coverage.as_view()),
    path("coverage/nights", coverage.Nights.as_view()),
    path("probes", coverage.Probes.as_view()),
    path("storms", storms.Storms.as_view()),
    re_path(
        r"^providers/(?P<provider>sms|voice|fcm|huawei|apns|jpush)/reports$", providers.Reports.as_view()
    ),
    path("warnings/<int:pk>", told.OneWarning.as_view()),
    path("orders/<int:pk>", told.OneOrder.as_view()),
    path("orders/<int:pk>/issue", orders.IssueOrder.as_view()),
    path("orders/<int:pk>/attachments/<int:paper>", orders.OrderPaper.as_view()),
    path("drills/<int:pk>/begin", drills.DrillBegin.as_view()),
    path("drills/<int:pk>/grade", drills.DrillGrade.as_view()),
    re_path(r"^(?P<kind>orders|warnings)/(?P<pk>\d+)/reach$", told.Reach.as_view()),
    re_path(r"^(?P<kind>orders|warnings)/preview$", api.Preview.as_view()),
]
