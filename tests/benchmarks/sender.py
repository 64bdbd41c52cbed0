"""How fast one sender is beside firebase-admin's own `send_each`, against the same local FCM in one run.

`python -m tests.benchmarks.sender` prints one JSON line. Rates are pushes a second that FCM answered 200;
CPU is user + system seconds per 1,000 pushes. `bench-fanout` takes `sender_rate` and `sdk_rate` from here.
"""

import json
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import firebase_admin
from firebase_admin import credentials, messaging
from google.oauth2.credentials import Credentials

from notifications.transports.base import Message, OutcomeKind, Push
from notifications.transports.fcm import Bearer, FcmTransport, sdk_message
from replay.phones import Standin, start_standin

CHUNK = 1000  # as delivery.py claims them
SDK_CHUNK = 500  # the most send_each takes


def pushes(n: int) -> list[Push]:
    """`n` devices of one bulletin, with tokens as long as real ones."""
    now = datetime.now(UTC)
    message = Message(
        id=uuid.uuid4().hex[:12],
        title="暴雨红色预警",
        body="罗湖东门一小时雨量已超100毫米，请立即到岗并转移低洼地带人员。",
        level="red",
        kind="warning",
        ref="warnings/1",
        drill=True,
        expires_at=now + timedelta(hours=1),
        critical=True,
    )
    return [Push(n, f"phone{n}:" + "x" * 140, message, f"{message.id}:{n}") for n in range(n)]


class _Account(credentials.Base):  # type: ignore[misc]
    """A bearer that is there already, so that the SDK neither renews it nor looks anything up at Google."""

    def __init__(self, standin: Standin) -> None:
        super().__init__()
        bearer = Bearer(standin.credentials, standin.ca_file)
        self.project_id = bearer.project_id
        self._google = Credentials(bearer.header().rpartition(" ")[2])  # type: ignore[no-untyped-call]

    def get_credential(self) -> Credentials:
        return self._google


@contextmanager
def sdk_app(standin: Standin) -> Iterator[firebase_admin.App]:
    """A firebase-admin app that talks to the stand-in instead of Google while the block runs."""
    service, account = messaging._MessagingService, _Account(standin)
    google, service.FCM_URL = service.FCM_URL, standin.endpoint + "/v1/projects/{0}/messages:send"
    options = {"httpTimeout": 30, "projectId": account.project_id}
    app = firebase_admin.initialize_app(account, options, name=uuid.uuid4().hex)
    try:
        session = messaging._get_messaging_service(app)._client.session
        session.verify, session.trust_env, session._refresh_status_codes = standin.ca_file, False, ()
        yield app
    finally:
        service.FCM_URL = google
        firebase_admin.delete_app(app)


def sdk_rate(standin: Standin, n: int) -> dict[str, float]:
    """firebase-admin's `send_each`, 500 a call: `{rate_per_s, cpu_s_per_1000}`."""
    now = datetime.now(UTC)
    with sdk_app(standin) as app:
        messages = [sdk_message(p.message, p.token, p.message_id, now) for p in pushes(n)]
        messaging.send_each(messages[:1], app=app)  # the first pays for imports and handshake
        began_s, cpu_s = time.perf_counter(), time.process_time()
        sent = 0
        for start in range(0, n, SDK_CHUNK):
            sent += messaging.send_each(messages[start : start + SDK_CHUNK], app=app).success_count
        return _rate(sent, time.perf_counter() - began_s, time.process_time() - cpu_s)


def sender_rate(standin: Standin, n: int) -> dict[str, float]:
    """Our transport, one thread, 1,000 a call, no rate cap: `{rate_per_s, cpu_s_per_1000}`."""
    now, everybody = datetime.now(UTC), pushes(n)
    transport = FcmTransport(
        standin.credentials,
        endpoint=standin.endpoint,
        ca_file=standin.ca_file,
        rate_per_s=1e6,
        timeout_s=30.0,
    )
    try:
        transport.send(pushes(1), now)
        began_s, cpu_s = time.perf_counter(), time.process_time()
        sent = 0
        for start in range(0, n, CHUNK):
            outcomes = transport.send(everybody[start : start + CHUNK], now)
            sent += sum(outcome.kind is OutcomeKind.SENT for outcome in outcomes)
        return _rate(sent, time.perf_counter() - began_s, time.process_time() - cpu_s)
    finally:
        transport.close()


def _rate(sent: int, wall_s: float, cpu_s: float) -> dict[str, float]:
    return {"rate_per_s": round(sent / wall_s, 1), "cpu_s_per_1000": round(cpu_s / max(sent, 1) * 1000, 4)}


def compare(standin: Standin, n: int, sdk_n: int) -> dict[str, float]:
    """Both senders in one run, without and with 60 ms between request and answer."""
    line: dict[str, float] = {}
    for name, latency_ms in (("", 0), ("_60ms", 60)):
        standin.behave(latency_ms=latency_ms)
        before_s = standin.counters()["cpu_s"]
        ours = sender_rate(standin, n)
        line[f"standin_cpu_s_per_1000{name}"] = round((standin.counters()["cpu_s"] - before_s) / n * 1000, 4)
        theirs = sdk_rate(standin, sdk_n)
        line |= {f"sender_{key}{name}": value for key, value in ours.items()}
        line |= {f"sdk_{key}{name}": value for key, value in theirs.items()}
        line[f"ratio_to_sdk{name}"] = round(ours["rate_per_s"] / theirs["rate_per_s"], 1)
    standin.behave()
    return line


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 45_000
    with tempfile.TemporaryDirectory() as directory, start_standin(Path(directory)) as local:
        line = {"n": wanted, **compare(local, wanted, min(wanted, 3000))}
    sys.stdout.write(json.dumps(line) + "\n")
