"""Every setting, typed, from the environment; all faults are reported at once. No thresholds live here."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

from hydrology.keeping import KEEP_DAYS as KEEP_DAYS_DEFAULT
from hydrology.keeping import keep_days

BASE_DIR = Path(__file__).resolve().parent.parent
RUN_DIR = Path(os.environ.get("RUN_DIR") or BASE_DIR / ".run")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_faults: list[str] = []


def _text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def _number(name: str, default: int) -> int:
    raw = _text(name, str(default))
    if raw.isdigit():
        return int(raw)
    _faults.append(f"{name}={raw!r} is not a whole number; leave it unset for {default}.")
    return default


def _rate(name: str, default: int) -> int:
    rate = _number(name, default)
    if not rate:
        _faults.append(f"{name} must be at least 1.")
    return rate or default


def _together(*names: str) -> list[str]:
    """The values of settings that are all there or none."""
    values = [_text(name) for name in names]
    if any(values) and not all(values):
        missing = [name for name, value in zip(names, values, strict=True) if not value]
        _faults.append(f"{', '.join(names)} belong together; missing: {', '.join(missing)}.")
    return values


def _https(name: str, default: str) -> str:
    url = urlsplit(_text(name, default))
    if url.scheme != "https" or not url.hostname:
        _faults.append(f"{name} must be an https:// address; leave it unset for {default}.")
    return url.geturl()


def _pairs(name: str) -> dict[str, str]:
    pairs = [pair.strip().partition("=") for pair in _text(name).split(",") if pair.strip()]
    if not all(key and value for key, _, value in pairs):
        _faults.append(f"{name} must be a list such as xiaomi=134567,oppo=WORK.")
    return {key: value for key, _, value in pairs}


def _gateway(name: str, rate_per_s: int) -> int:
    """Its rate a second. Endpoint, key and secret belong together; numbers go over no network in the clear."""
    given = [_text(f"{name}_{part}") for part in ("ENDPOINT", "KEY", "SECRET")]
    if any(given) and not all(given):
        _faults.append(
            f"{name}_ENDPOINT, {name}_KEY and {name}_SECRET belong together: set all three, or none."
        )
    for part in ("ENDPOINT", "CALLBACK_URL"):
        url = urlsplit(_text(f"{name}_{part}"))
        if url.geturl() and not (url.hostname and url.scheme in {"http", "https"}):
            _faults.append(f"{name}_{part} must be an https:// address.")
        elif url.scheme == "http" and url.hostname not in LOOPBACK:
            _faults.append(f"{name}_{part} must be https:// (http:// only on this machine itself).")
    return _rate(f"{name}_RATE_PER_S", rate_per_s)


def _sign_in_address(name: str) -> str:
    """ "" when unset. Codes and tokens of sign-in go over no network in the clear."""
    url = urlsplit(_text(name))
    safe = url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)
    if url.geturl() and not (safe and url.hostname and not url.query and not url.fragment):
        _faults.append(
            f"{name} must be an https:// address without ? and # (http:// only on this machine itself)."
        )
    return url.geturl()


def _flag(name: str) -> bool:
    return _text(name).lower() in {"1", "true", "yes", "on"}


def _database(url: str) -> dict[str, object]:
    """Several hosts (`@one,two:5433/` or `?host=/a,/b`): whichever takes writes. What else the query says is libpq's."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        _faults.append("DATABASE_URL must start with postgresql:// (PostgreSQL is the only database).")
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    hosts = [(urlsplit(f"//{one}")) for one in parts.netloc.rpartition("@")[2].split(",")]
    options: dict[str, object] = {}
    if len(hosts) > 1 or "," in query.get("host", ""):
        options = {"target_session_attrs": "read-write", "connect_timeout": 3}
    account = urlsplit(f"//{parts.netloc.rpartition('@')[0]}@")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(account.username or ""),
        "PASSWORD": unquote(account.password or ""),
        "HOST": query.pop("host", "") or ",".join(host.hostname or "" for host in hosts),
        "PORT": query.pop("port", "") or _ports([host.port for host in hosts]),
        "CONN_MAX_AGE": 0,
        "OPTIONS": options
        | query
        | {
            "pool": {
                "min_size": 0,
                "max_size": _number("DB_POOL_SIZE", 16),
                "timeout": 10,
                # its pauses double meanwhile: with the default of 300 s a database that was away for a minute
                # stays away for up to another
                "reconnect_timeout": 5,
            }
        },
    }


def _ports(given: list[int | None]) -> str:
    """As libpq takes them; "" when none is given."""
    return ",".join(str(port or 5432) for port in given) if any(given) else ""


def _redis(number: int) -> str:
    return f"{REDIS_URL}?db={number}" if REDIS_URL.startswith("unix:") else f"{REDIS_URL}/{number}"


def _sentinels(url: str) -> dict[str, Any] | None:
    """Of sentinel://[USER:PASSWORD@]HOST[:PORT],…/NAME[?sentinel_password=…]: who they are, and of what; else None.

    User and password are those of Redis itself.
    """
    parts = urlsplit(url)
    if parts.scheme != "sentinel":
        return None
    account = urlsplit(f"//{parts.netloc.rpartition('@')[0]}@")
    hosts = [urlsplit(f"//{one}") for one in parts.netloc.rpartition("@")[2].split(",")]
    if not (parts.path.strip("/") and all(host.hostname for host in hosts)):
        _faults.append(
            "REDIS_URL must be sentinel://HOST:PORT,HOST:PORT/NAME, where NAME is what Sentinel watches."
        )
    login = {"username": account.username, "password": account.password}
    own = {key.removeprefix("sentinel_"): values[0] for key, values in parse_qs(parts.query).items()}
    return {
        "hosts": [(host.hostname, host.port or 26379) for host in hosts],
        "name": parts.path.strip("/"),
        "login": {key: unquote(word) for key, word in login.items() if word},
        "sentinel": own | {"socket_timeout": 1.0, "socket_connect_timeout": 1.0},
    }


def _broker(number: int) -> str:
    if REDIS_SENTINELS is not None:
        account = urlsplit(REDIS_URL).netloc.rpartition("@")[0]
        before = f"{account}@" if account else ""
        return ";".join(
            f"sentinel://{before}{host}:{port}/{number}" for host, port in REDIS_SENTINELS["hosts"]
        )
    if REDIS_URL.startswith("unix:"):
        return f"redis+socket://{REDIS_URL.removeprefix('unix://')}?virtual_host={number}"
    return f"{REDIS_URL}/{number}"


# Who may ask, and what keeps secrets
DEBUG = False
SECRET_KEY = _text("SECRET_KEY")
if len(SECRET_KEY) < 32:
    _faults.append(
        "SECRET_KEY must be set to at least 32 random characters. Beside a `make run` of this folder nothing need be set."
    )
PHONE_KEY = _text("PHONE_KEY", SECRET_KEY)  # seals phone numbers and feed secrets at rest
METRICS_TOKEN = _text("METRICS_TOKEN")  # who may read /metrics; unset: this machine itself, past no proxy
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    _faults.append("METRICS_TOKEN must have at least 16 characters; leave it unset for this machine itself.")
# proxies of ours before us: so many entries of X-Forwarded-For are believed, from its end
TRUSTED_PROXIES = _number("TRUSTED_PROXIES", 0)
ALLOWED_HOSTS = _text("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
# "console" prints the code: demo and tests only
OTP_TRANSPORT = _text("OTP_TRANSPORT", "sms" if _text("SMS_ENDPOINT") else "none")
if OTP_TRANSPORT not in {"none", "console", "sms"}:
    _faults.append("OTP_TRANSPORT must be none, console or sms.")
if OTP_TRANSPORT == "sms" and not _text("SMS_ENDPOINT"):
    _faults.append("OTP_TRANSPORT=sms needs SMS_ENDPOINT, SMS_KEY and SMS_SECRET.")

# PostgreSQL is the truth; Redis is wire and cache
DATABASE_URL = _text("DATABASE_URL", "postgresql://127.0.0.1/unset")
REDIS_URL = _text("REDIS_URL", "redis://127.0.0.1:6379").rstrip("/")
DATABASES = {"default": _database(DATABASE_URL)}
REDIS_SENTINELS = _sentinels(REDIS_URL)  # then they say who is the primary, and REDIS_DATA_URL is not asked
REDIS_DATA_URL = _redis(1)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The city's portal (圳应急) lets officers in as well (docs/portal.md); unset: by one-time code only
_together("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_REDIRECT_URI")
OIDC_ISSUER, OIDC_REDIRECT_URI = _sign_in_address("OIDC_ISSUER"), _sign_in_address("OIDC_REDIRECT_URI")
OIDC_CLIENT_ID, OIDC_CLIENT_SECRET = _text("OIDC_CLIENT_ID"), _text("OIDC_CLIENT_SECRET")
OIDC_CLAIM = _text("OIDC_CLAIM", "sub")  # which claim of the ID token is the officer's staff code
OIDC_SCOPE = _text("OIDC_SCOPE", "openid")
if "openid" not in OIDC_SCOPE.split():
    _faults.append("OIDC_SCOPE is a list of words with openid among them, e.g. openid profile.")
OIDC_CA_FILE = _text("OIDC_CA_FILE") or None
if OIDC_CA_FILE and not Path(OIDC_CA_FILE).is_file():
    _faults.append(f"OIDC_CA_FILE={OIDC_CA_FILE!r} is not a file.")

# Push, by vendor (docs/vendors.md); without the first setting of a vendor he is not there
FCM_ENDPOINT = _text("FCM_ENDPOINT", "https://fcm.googleapis.com")
FCM_CA_FILE = _text("FCM_CA_FILE") or None
FCM_RATE_PER_S = _rate("FCM_RATE_PER_S", 10_000)  # Google's default quota: 600,000 a minute
FIREBASE_CREDENTIALS = _text("FIREBASE_CREDENTIALS") or None
HUAWEI_APP_ID, HUAWEI_APP_SECRET = _together("HUAWEI_APP_ID", "HUAWEI_APP_SECRET")
HUAWEI_CATEGORY = _text("HUAWEI_CATEGORY", "WORK")
HUAWEI_ENDPOINT = _https("HUAWEI_ENDPOINT", "https://push-api.cloud.huawei.com")
HUAWEI_AUTH_ENDPOINT = _https("HUAWEI_AUTH_ENDPOINT", "https://oauth-login.cloud.huawei.com")
HUAWEI_CA_FILE = _text("HUAWEI_CA_FILE") or None
HUAWEI_RATE_PER_S = _rate("HUAWEI_RATE_PER_S", 1000)
HUAWEI_RECEIPT_USER, HUAWEI_RECEIPT_SECRET = _together("HUAWEI_RECEIPT_USER", "HUAWEI_RECEIPT_SECRET")
APNS_KEY_FILE, APNS_KEY_ID, APNS_TEAM_ID, APNS_TOPIC = _together(
    "APNS_KEY_FILE", "APNS_KEY_ID", "APNS_TEAM_ID", "APNS_TOPIC"
)
APNS_CRITICAL = _flag("APNS_CRITICAL")  # Apple has granted the app its entitlement
APNS_ENDPOINT = _https("APNS_ENDPOINT", "https://api.push.apple.com")
APNS_CA_FILE = _text("APNS_CA_FILE") or None
APNS_RATE_PER_S = _rate("APNS_RATE_PER_S", 5000)
JPUSH_APP_KEY, JPUSH_MASTER_SECRET = _together("JPUSH_APP_KEY", "JPUSH_MASTER_SECRET")
JPUSH_CHANNELS = _pairs("JPUSH_CHANNELS")  # granted by phone makers: xiaomi=134567,oppo=WORK
JPUSH_APNS_SANDBOX = _flag("JPUSH_APNS_SANDBOX")
JPUSH_ENDPOINT = _https("JPUSH_ENDPOINT", "https://api.jpush.cn")
JPUSH_CA_FILE = _text("JPUSH_CA_FILE") or None
JPUSH_REQUESTS_PER_MINUTE = _rate(
    "JPUSH_REQUESTS_PER_MINUTE", 400
)  # of 600, the rest for cids; 500 pushes each
JPUSH_RECEIPTS = _flag("JPUSH_RECEIPTS")  # ask for receipts with each push
JPUSH_RECEIPT_FIELDS = _pairs(
    "JPUSH_RECEIPT_FIELDS"
)  # where in a receipt id, state and at stand, unlike ours
JPUSH_RECEIPT_STATES = _pairs("JPUSH_RECEIPT_STATES")  # its state's values: 1=delivered,2=shown,…
if not {"delivered", "shown", "failed"}.issuperset(JPUSH_RECEIPT_STATES.values()):
    _faults.append("JPUSH_RECEIPT_STATES maps values to delivered, shown or failed.")
if not {"id", "state", "at"}.issuperset(JPUSH_RECEIPT_FIELDS):
    _faults.append("JPUSH_RECEIPT_FIELDS names where id, state and at stand, e.g. id=params.id,at=itime.")

# Signs what push vendors report (POST providers/{vendor}/reports); unset: nobody may
PUSH_REPORT_KEY, PUSH_REPORT_SECRET = _text("PUSH_REPORT_KEY"), _text("PUSH_REPORT_SECRET")
if bool(PUSH_REPORT_KEY) != bool(PUSH_REPORT_SECRET):
    _faults.append("PUSH_REPORT_KEY and PUSH_REPORT_SECRET belong together: set both, or none.")

# Gateways for text messages and calls (docs/telephony.md); unset: the channel is not there
SMS_ENDPOINT, VOICE_ENDPOINT = _text("SMS_ENDPOINT"), _text("VOICE_ENDPOINT")
SMS_KEY, VOICE_KEY = _text("SMS_KEY"), _text("VOICE_KEY")  # our name there
SMS_SECRET, VOICE_SECRET = _text("SMS_SECRET"), _text("VOICE_SECRET")  # signs both directions
SMS_CA_FILE, VOICE_CA_FILE = _text("SMS_CA_FILE") or None, _text("VOICE_CA_FILE") or None
SMS_CALLBACK_URL, VOICE_CALLBACK_URL = _text("SMS_CALLBACK_URL"), _text("VOICE_CALLBACK_URL")
SMS_RATE_PER_S, VOICE_RATE_PER_S = _gateway("SMS", 50), _gateway("VOICE", 10)

# A short message service centre spoken to directly (SMPP 3.4): it then carries the text messages, not SMS_ENDPOINT
SMPP_HOST, SMPP_SYSTEM_ID, SMPP_PASSWORD, SMPP_SOURCE = _together(
    "SMPP_HOST", "SMPP_SYSTEM_ID", "SMPP_PASSWORD", "SMPP_SOURCE"
)
SMPP_PORT = _rate("SMPP_PORT", 2775)
SMPP_STANDIN = _flag("SMPP_STANDIN")  # invented people may be written to
if len(SMPP_SYSTEM_ID) > 15 or len(SMPP_PASSWORD) > 8:
    _faults.append("SMPP_SYSTEM_ID has at most 15 characters, SMPP_PASSWORD at most 8 (SMPP 3.4).")
if SMPP_HOST and SMPP_HOST not in LOOPBACK and not _flag("SMPP_PRIVATE_LINE"):
    _faults.append(
        "SMPP has no encryption: let SMPP_HOST be a tunnel's end on this machine, or say SMPP_PRIVATE_LINE=1."
    )

# CAP: who we are among alerting units (6 digits of region, 3 of agency, 3 of unit, 2 of extension), and our signature
CAP_UNIT = _text("CAP_UNIT", "44030099900000")
if not (len(CAP_UNIT) == 14 and CAP_UNIT.isalnum() and CAP_UNIT.isascii() and CAP_UNIT.upper() == CAP_UNIT):
    _faults.append(f"CAP_UNIT={CAP_UNIT!r} must be 14 digits or capitals.")
CAP_KEY_FILE = _text("CAP_KEY_FILE") or None
CAP_CERTIFICATE_FILE = _text("CAP_CERTIFICATE_FILE") or None
CAP_TRUSTED_FILE = (
    _text("CAP_TRUSTED_FILE") or None
)  # certificates of who signs official signals; unset: unsigned
if bool(CAP_KEY_FILE) != bool(CAP_CERTIFICATE_FILE):
    _faults.append(
        "CAP_KEY_FILE and CAP_CERTIFICATE_FILE belong together: set both, or none for unsigned messages."
    )

# Celery: three queues; due times live in tables, so no task carries a countdown
CELERY_BROKER_URL = _broker(0)
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_DEFAULT_QUEUE = "routine"
CELERY_TASK_QUEUES = [Queue("urgent"), Queue("ingest"), Queue("routine")]
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "ack_emulation": False,  # every task is a sweep: what a killed worker leaves is due in a table, not in Redis
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "max_retries": 0,  # or every nudge waits 6 s for a Redis that is away; worker and beat reconnect by themselves
}
if REDIS_SENTINELS is not None:
    CELERY_BROKER_TRANSPORT_OPTIONS |= {
        "master_name": REDIS_SENTINELS["name"],
        "sentinel_kwargs": REDIS_SENTINELS["sentinel"],
    }

# Django; how long things are kept: hydrology/keeping.py
_raw_days = _number("RAW_KEEP_DAYS", KEEP_DAYS_DEFAULT["raw"])  # the older name of two of them
KEEP_DAYS, _unkept = keep_days(
    _text("KEEP_DAYS"), {**KEEP_DAYS_DEFAULT, "raw": _raw_days, "telegrams": _raw_days}
)
_faults += _unkept

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "hydrology",
    "officers",
    "alerts",
    "notifications",
    "escalation",
    "hazards",
    "monitoring",
    "console",
    "replay",
    "backend",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",  # below gzip: an ETag is that of the plain content
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "backend.doors.NoNul",
    "backend.doors.SameAnswerTwice",
]
AUTH_USER_MODEL = "officers.Officer"
ROOT_URLCONF = "backend.urls"
ASGI_APPLICATION = "backend.asgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "中文"), ("en", "English")]
STATIC_URL = "static/"
STATIC_ROOT = RUN_DIR / "static"
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024 * 1024
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["officers.auth.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "foundation.bodies.WhateverIsAccepted",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["foundation.bodies.JsonBody"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "backend.doors.answer_error",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "一键通 Yijiantong",
    "VERSION": "1",
    "DESCRIPTION": "Storm warnings, response orders and receipts for Shenzhen's flood-control officers.",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {
        "OrderStatusEnum": "alerts.models.OrderStatus",
        "DutyEnum": "officers.models.Duty",
        "OrderDutyEnum": "alerts.order_shapes.DUTY_CHOICES",
        "SectorEnum": "alerts.models.Sector",
        "ResponseLevelEnum": "alerts.shapes.LEVEL_CHOICES",
        "WarningLevelEnum": "alerts.shapes.WARNING_CHOICES",
        "RegionLevelEnum": "hydrology.models.Level",
        "WaterStatusEnum": "hydrology.shapes.STATUSES",
        "LevelKindEnum": "hydrology.shapes.LEVEL_KIND_CODES",
        "LimitKindEnum": "hydrology.shapes.LIMIT_KINDS",
        "SourceKindEnum": "hydrology.models.SourceKind",
        "DeliveryStateEnum": "notifications.models.State",
        "ReceiptStateEnum": "notifications.models.ReceiptState",
        "TakenEnum": "notifications.shapes.TAKEN",
        "DarkEnum": "notifications.coverage.DARK",
        "PushVendorEnum": "officers.models.PushVendor",
        "CallResultEnum": "escalation.models.CallResult",
        "TaskStateEnum": "hazards.models.TaskState",
        "GroundKindEnum": "hazards.models.GroundKind",
        "GroundSeverityEnum": "hazards.models.GroundSeverity",
        "GroundStatusEnum": "hazards.models.GroundStatus",
        "CloseReasonEnum": "hazards.models.CloseReason",
        "HeldStateEnum": "alerts.models.HeldState",
        "DrillStateEnum": "alerts.models.DrillState",
        "HazardEnum": "alerts.models.Hazard",
        "HandHazardEnum": "alerts.hand.RAISED",
        "HandLevelEnum": "alerts.shapes.GRAVE_CHOICES",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": _text("LOG_LEVEL", "INFO")},
    "loggers": {"django.request": {"level": "ERROR"}, "httpx": {"level": "WARNING"}},
}

if _faults:
    raise ImproperlyConfigured("Settings from the environment are wrong:\n- " + "\n- ".join(_faults))
