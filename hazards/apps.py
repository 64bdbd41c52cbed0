"""The hazards room: what officers report back from the ground."""

from django.apps import AppConfig


class HazardsConfig(AppConfig):
    name = "hazards"
    default_auto_field = "django.db.models.BigAutoField"
