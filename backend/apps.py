"""Django app registration; with it every process of this project, commands included, speaks to its own broker."""

from django.apps import AppConfig

from backend.celery import app

__all__ = ["BackendConfig", "app"]


class BackendConfig(AppConfig):
    name = "backend"
