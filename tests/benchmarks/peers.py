"""fcm-django's bulk send on the same local FCM and the same PostgreSQL: what `make bench-fanout` is measured against.

`python -m tests.benchmarks.peers DIRECTORY N`, as a child of a benchmark and with peers_settings.py as its settings, prints
the pushes a second that FCM answered 200 for N registered devices. Not the product.
"""

import sys
import time
from pathlib import Path

import psycopg
from django.core.management import call_command
from fcm_django.models import FCMDevice

from notifications.transports.fcm import sdk_message
from replay.phones import Standin
from tests.benchmarks.peers_settings import OURS
from tests.fcm import pushes, sdk_app


def rate_per_s(directory: Path, n: int) -> float:
    ours = OURS["default"]
    with psycopg.connect(
        host=str(ours["HOST"]), dbname=str(ours["NAME"]), user=str(ours["USER"]), autocommit=True
    ) as database:
        database.execute("DROP DATABASE IF EXISTS peers")
        database.execute("CREATE DATABASE peers")
    call_command("migrate", verbosity=0)
    everybody = pushes(n)
    FCMDevice.objects.bulk_create(FCMDevice(registration_id=push.token, type="android") for push in everybody)
    one = everybody[0]
    message = sdk_message(one.message, one.token, one.message_id, one.message.expires_at)
    with sdk_app(Standin.at(directory)) as app:
        FCMDevice.objects.filter(registration_id=one.token).send_message(
            message, app=app
        )  # imports, handshake
        began_s = time.perf_counter()
        sent = FCMDevice.objects.all().send_message(message, app=app)
        took_s = time.perf_counter() - began_s
    return sent.response.success_count / took_s


if __name__ == "__main__":
    print(round(rate_per_s(Path(sys.argv[1]), int(sys.argv[2])), 1))  # noqa: T201
