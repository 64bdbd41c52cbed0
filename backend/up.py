"""`make run`: everything on one machine, from nothing, until Ctrl-C. A demo and a workbench, not production.

Owns: which processes run, in which order they start and stop, and the environment they share.
Does not own: how children are kept (backend/crew.py), the embedded servers (backend/embedded.py).
Standard library only: Django reads its settings in the children, after the servers are up.

From the environment: PORT (8000), WEB_PROCESSES (1), REPLAY=0 (no storm), OFFICERS=0 (nobody answers), FCM_ONLY=1 (a
new city's phones are all of one vendor), RUN_DIR (.run), and everything settings.py reads.
"""

import contextlib
import fcntl
import http.client
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from backend.crew import Crew, Stopped
from backend.embedded import services

ROOT = Path(__file__).resolve().parent.parent
RUN_DIR = Path(os.environ.get("RUN_DIR") or ROOT / ".run").absolute()
GIVEN = dict(os.environ)
FOR_OTHERS = RUN_DIR / "environment.json"  # manage.py reads it
PHONES_READY = RUN_DIR / "phones" / "ready.json"
MANAGE = sys.executable, "manage.py"
HOST = "127.0.0.1"
PORT_PATIENCE_S = 5.0  # a killed run needs a moment to let go of its port
PHONES_WITHIN_S, WEB_WITHIN_S = 60.0, 180.0
REAL_VENDORS = {"FIREBASE_CREDENTIALS", "HUAWEI_APP_ID", "APNS_KEY_FILE", "JPUSH_APP_KEY"}
WORKERS = {
    # two senders of pushes and two that wait for the last answers of their shift, one a channel of text messages and
    # calls, and room for the ladder
    "urgent": 8,
    "ingest": 2,
    "routine": 2,
}  # queue: threads; apart, so that ingest never delays a send
# on one port (backend/web.py); one is enough for a demo
_webs = os.environ.get("WEB_PROCESSES", "").strip() or "1"
if not _webs.isdigit() or not 0 < int(_webs) < 33:
    sys.exit(f"WEB_PROCESSES={_webs!r} must be 1 to 32. WEB_PROCESSES 须为 1 至 32。")
WEBS = ("web", *(f"web{number}" for number in range(2, int(_webs) + 1)))
STOP_ORDER = (
    ("migrate", "city", "replay", "officers"),
    ("beat",),
    WEBS,
    tuple(WORKERS),
    ("phones", "lines", "portal"),
)


@contextlib.contextmanager
def only_run_here() -> Iterator[None]:
    """One run a folder at a time; the lock goes with the process, however it ends."""
    RUN_DIR.mkdir(parents=True, exist_ok=True)
    with (RUN_DIR / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            sys.exit(
                f"Another `make run` of this folder is running (process {lock.read() or '?'}). End it first.\n"
                "本目录已有一个 `make run` 在运行，请先结束它。"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def wanted_port() -> int:
    """PORT from the environment, free to listen on; exits saying what to do when it is not."""
    wanted = os.environ.get("PORT", "").strip() or "8000"
    if not wanted.isdigit() or not 0 < int(wanted) < 65536:
        sys.exit(f"PORT={wanted!r} is not a port number. PORT 不是有效端口号。")
    give_up_s = time.monotonic() + PORT_PATIENCE_S
    while not _free(int(wanted)):
        if time.monotonic() > give_up_s:
            sys.exit(
                f"Port {wanted} is taken. Choose another: PORT=8001 make run\n"
                f"端口 {wanted} 已被占用，请换一个：PORT=8001 make run"
            )
        time.sleep(0.2)
    return int(wanted)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return True
    return False


def _any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def kept_secret_key() -> str:
    """Made once: phone numbers in the database are sealed with it."""
    path = RUN_DIR / "secret_key"
    if not path.exists():
        draft = RUN_DIR / "secret_key.new"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        draft.rename(path)
    return path.read_text()


def child_environment(port: int) -> dict[str, str]:
    """What every child reads; what the user has set stays."""
    own = {
        "DJANGO_SETTINGS_MODULE": "backend.settings",
        "OTP_TRANSPORT": "console",
        "PYTHONUNBUFFERED": "1",
        "RUN_DIR": str(RUN_DIR),
        "SERVER_URL": f"http://{HOST}:{port}",
    }
    (RUN_DIR / "static").mkdir(exist_ok=True)  # STATIC_ROOT, empty: the files are served where they lie
    env = own | {name: value for name, value in os.environ.items() if value}
    return env if "SECRET_KEY" in env else env | {"SECRET_KEY": kept_secret_key()}


def tell_others(crew: Crew) -> None:
    """Leaves what the children are told, but what the user gave himself, for a `manage.py` beside the run."""
    FOR_OTHERS.touch(mode=0o600)
    FOR_OTHERS.write_text(
        json.dumps({name: value for name, value in crew.env.items() if GIVEN.get(name) != value})
    )


def start_phones(crew: Crew) -> None:
    """The stand-ins for the vendors and the officers' phones; they need no database and come up meanwhile."""
    PHONES_READY.unlink(missing_ok=True)
    # a port of our choice, so that one that was killed comes back where the senders look for it
    crew.keep("phones", *MANAGE, "phones", "--port", str(_any_free_port()), "--dir", str(PHONES_READY.parent))


def meet_phones(crew: Crew) -> None:
    """Waits for the stand-ins and tells those who start from now on where they are."""
    crew.until(PHONES_READY.exists, within_s=PHONES_WITHIN_S, what="The phones' stand-in")
    found = json.loads(PHONES_READY.read_text())
    for vendor in ("FCM", "HUAWEI", "HUAWEI_AUTH", "APNS", "JPUSH"):
        crew.env[f"{vendor}_ENDPOINT"], crew.env[f"{vendor}_CA_FILE"] = found["endpoint"], found["ca_file"]
    crew.env["FIREBASE_CREDENTIALS"] = found["credentials"]
    crew.env["HUAWEI_APP_ID"] = crew.env["JPUSH_APP_KEY"] = found["app"]
    crew.env["HUAWEI_APP_SECRET"] = crew.env["JPUSH_MASTER_SECRET"] = found["secret"]
    crew.env |= {f"APNS_{name.upper()}": value for name, value in found["apns"].items()}
    crew.env["APNS_CRITICAL"] = "1"


def start_lines(crew: Crew, port: int) -> None:
    """The stand-in for the gateway of text messages and calls; synthetic officers pick up now and then."""
    lines, secret = _any_free_port(), secrets.token_urlsafe(24)
    for name in ("sms", "voice"):
        crew.env |= {
            f"{name.upper()}_ENDPOINT": f"http://{HOST}:{lines}/{name}",
            f"{name.upper()}_KEY": "standin",
            f"{name.upper()}_SECRET": secret,
            f"{name.upper()}_CALLBACK_URL": f"http://{HOST}:{port}/api/v1/providers/{name}/reports",
        }
    crew.keep("lines", *MANAGE, "switchboard", "--port", str(lines), "--dir", str(RUN_DIR / "lines"))


def start_portal(crew: Crew, port: int) -> None:
    """The stand-in for the city's portal, where whoever types a staff code is that officer."""
    there = _any_free_port()
    crew.env |= {
        "OIDC_ISSUER": f"http://{HOST}:{there}",
        "OIDC_CLIENT_ID": "standin",
        "OIDC_CLIENT_SECRET": secrets.token_urlsafe(24),
        "OIDC_REDIRECT_URI": f"http://{HOST}:{port}/api/v1/auth/oidc/callback",
    }
    crew.keep("portal", *MANAGE, "portal", "--port", str(there))


def start_product(crew: Crew, port: int) -> None:
    """Web, one worker a queue, and beat; returns when the web server answers."""
    for name in WEBS:
        crew.keep(name, sys.executable, "-m", "backend.web", "--host", HOST, "--port", str(port))
    # seven lines of warning a worker; everything here listens on loopback and Unix sockets only
    as_root = ["-W", "ignore:You're running the worker with superuser privileges"]
    celery = [sys.executable, *as_root, "-m", "celery", "-A", "backend.celery", "--quiet"]
    alone = ["--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
    for queue, threads in WORKERS.items():
        pool = ["-P", "threads", "-c", str(threads), "-n", f"{queue}@%h"]
        crew.keep(queue, *celery, "worker", "-Q", queue, *pool, *alone)
    crew.keep("beat", *celery, "beat", "--pidfile=", "-s", str(RUN_DIR / "beat"), "--loglevel", "WARNING")
    crew.until(lambda: _healthy(port), within_s=WEB_WITHIN_S, what="The web server")


def _healthy(port: int) -> bool:
    line = http.client.HTTPConnection(HOST, port, timeout=2)
    with contextlib.closing(line), contextlib.suppress(OSError, http.client.HTTPException):
        line.request("GET", "/healthz")
        return line.getresponse().status == 200
    return False


def welcome(crew: Crew, port: int, began_s: float) -> None:
    crew.say(f"Ready after {time.monotonic() - began_s:.0f} s 就绪")
    crew.say(f"Console 值班台: http://{HOST}:{port}/    API: http://{HOST}:{port}/api/docs/")
    with contextlib.suppress(OSError, ValueError, KeyError):
        city = json.loads((RUN_DIR / "demo.json").read_text())  # written by democity
        crew.say(
            f"Sign in 登录: {city['desk_phone']} duty desk 值班员, {city['command_phone']} command 指挥, "
            f"{city['engineer_phone']} engineer 系统值班"
        )
        if city.get("desk_staff_code"):
            crew.say(f"Or by the portal's stand-in 或经模拟圳应急: staff code 工号 {city['desk_staff_code']}")
        crew.say("The code is printed here, on a line of `web`. 验证码打印在 web 开头的行。")
    crew.say("Ctrl-C ends everything and keeps the rows; REPLAY=0 runs without the storm. 按 Ctrl-C 结束。")


def live(crew: Crew, port: int) -> None:
    """From the schema to the storm, then on until a signal: always ends in Stopped or RuntimeError."""
    began_s = time.monotonic()
    real_phones = bool(REAL_VENDORS & crew.env.keys())
    if not real_phones:
        start_phones(crew)
    if not {"SMS_ENDPOINT", "VOICE_ENDPOINT"} & crew.env.keys():
        start_lines(crew, port)
    if "OIDC_ISSUER" not in crew.env:
        start_portal(crew, port)
    crew.run("migrate", *MANAGE, "migrate", "--verbosity", "0")
    mixed = [] if real_phones or os.environ.get("FCM_ONLY") == "1" else ["--mixed"]
    crew.run("city", *MANAGE, "democity", *mixed)
    if not real_phones:
        meet_phones(crew)
    tell_others(crew)
    start_product(crew, port)
    welcome(crew, port, began_s)
    # synthetic officers answer the stand-in's pushes, through the front doors
    if not real_phones and os.environ.get("OFFICERS") != "0":
        crew.keep("officers", *MANAGE, "officers")
    if os.environ.get("REPLAY") != "0":
        crew.keep("replay", *MANAGE, "replay", "demo", "--speed", "10", may_end=True)
    crew.until(lambda: False)


def main() -> int:
    """0 after a signal, 1 when something could not be brought up."""
    with only_run_here():
        port, crew = wanted_port(), Crew(ROOT)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, crew.ask_to_stop)
        crew.say("PostgreSQL and Valkey are starting 正在启动数据库")
        with services(RUN_DIR) as servers:
            crew.env = child_environment(port)
            for server in servers:
                crew.keep_server(server)
            try:
                live(crew, port)
            except Stopped as stopped:
                crew.say(f"{stopped}: stopping 正在停止")
            except RuntimeError as error:
                crew.say(str(error))
                return 1
            finally:
                FOR_OTHERS.unlink(missing_ok=True)
                for names in STOP_ORDER:
                    crew.stop(*names)
        crew.say("Everything has ended 已全部停止")
    return 0


if __name__ == "__main__":
    sys.exit(main())
