"""Doors of the hazards room, under /api/v1/."""

from django.urls import path

from hazards import api

urlpatterns = [
    path("orders/<int:pk>/feedback", api.OrderFeedback.as_view()),
    path("orders/<int:pk>/tasks", api.OrderTasks.as_view()),
    path("orders/<int:pk>/tasks/mine", api.MyTasks.as_view()),
    path("orders/<int:pk>/tasks/<int:task>/reports", api.TaskReports.as_view()),
]
