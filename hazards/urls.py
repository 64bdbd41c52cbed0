"""Doors of the hazards room, under /api/v1/."""

from django.urls import path, re_path

from hazards import api
from hazards.doors import ground
from hazards.ground_acts import TRANSITIONS

urlpatterns = [
    path("orders/<int:pk>/feedback", api.OrderFeedback.as_view()),
    path("orders/<int:pk>/tasks", api.OrderTasks.as_view()),
    path("orders/<int:pk>/tasks/mine", api.MyTasks.as_view()),
    path("orders/<int:pk>/tasks/<int:task>/reports", api.TaskReports.as_view()),
    path("hazards", ground.Hazards.as_view()),
    path("hazards/<int:pk>", ground.OneHazard.as_view()),
    path("hazards/<int:pk>/people", ground.HazardPeople.as_view()),
    path("hazards/<int:pk>/photos/<int:number>", ground.HazardPhoto.as_view()),
    re_path(rf"^hazards/(?P<pk>\d{{1,18}})/(?P<verb>{'|'.join(TRANSITIONS)})$", ground.HazardAct.as_view()),
]
