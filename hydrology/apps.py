"""Django app registration."""

from django.apps import AppConfig


class HydrologyConfig(AppConfig):
    name = "hydrology"
