"""Django app registration."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "console"
