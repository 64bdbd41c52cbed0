"""How fast one sender is beside firebase-admin's own `send_each`, against the same local FCM in one run.

`python -m tests.benchmarks.sender` prints one JSON line. Rates are pushes a second that FCM answered 200;
CPU is user + system seconds per 1,000 pushes. `bench-fanout` takes `sender_rate` and `sdk_rate` from here.
"""

import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from firebase_admin import messaging

from notifications.transports.base import OutcomeKind
from notifications.transports.fcm import FcmTransport, sdk_message
from replay.phones import Standin, start_standin
from tests.fcm import pushes, sdk_app

CHUNK = 1000  # as delivery.py claims them
SDK_CHUNK = 500  # the most send_each takes


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
