"""Django's settings of peers.py: fcm-django on a database of its own beside ours."""

import os

from backend.settings import DATABASES as OURS

DATABASES = {"default": {**OURS["default"], "NAME": "peers"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "fcm_django"]
SECRET_KEY = os.environ["SECRET_KEY"]
USE_TZ = True
