"""The rules of FCM HTTP v1 as the stand-in keeps them: which request is right, and how FCM words a refusal.

Dry: values in, faults out. Field names, enums and error shapes after the public reference of
`projects.messages` (proto3 JSON: snake_case and camelCase both count, null means absent) and of APNs' headers.
"""

import re
from collections.abc import Callable
from typing import Any

import orjson

PAYLOAD_BYTES = 4096
RESERVED_KEYS = {"from", "message_type"}
RESERVED_PREFIXES = ("google.", "gcm.")
TARGETS = ("token", "topic", "condition", "fid")

Check = Callable[[Any], None]


class Fault(Exception):
    """One wrong field; `path` grows outwards while it travels up."""

    def __init__(self, why: str, *, path: str = "", unknown: bool = False) -> None:
        super().__init__(why)
        self.why, self.path, self.unknown = why, path, unknown

    def inside(self, name: str) -> "Fault":
        self.path = f"{name}.{self.path}" if self.path else name
        return self


def _is(kind: type, word: str) -> Check:
    def check(value: Any) -> None:
        if type(value) is not kind:
            raise Fault(f"Invalid value ({word})")

    return check


def _like(pattern: str, word: str) -> Check:
    matches = re.compile(pattern).fullmatch

    def check(value: Any) -> None:
        if type(value) is not str or not matches(value):
            raise Fault(f"Invalid value ({word})")

    return check


def _enum(*names: str) -> Check:
    """FCM takes enum names in either case."""
    allowed = {*names, *(name.lower() for name in names)}

    def check(value: Any) -> None:
        if type(value) is not str or value not in allowed:
            raise Fault("Invalid value (TYPE_ENUM)")

    return check


def _list_of(item: Check) -> Check:
    def check(value: Any) -> None:
        if type(value) is not list:
            raise Fault("Invalid value (repeated)")
        for each in value:
            item(each)

    return check


def _text_map(value: Any) -> None:
    if type(value) is not dict:
        raise Fault("Invalid value (map)")
    for key, text in value.items():
        if type(text) is not str:
            raise Fault("Invalid value (TYPE_STRING)", path=key)


def _data(value: Any) -> None:
    _text_map(value)
    for key in value:
        if key in RESERVED_KEYS or key.startswith(RESERVED_PREFIXES):
            raise Fault(f"Invalid data payload key: {key}", path=key)


def _headers(rules: dict[str, Check]) -> Check:
    """A map of texts in which some names have rules of their own."""

    def check(value: Any) -> None:
        _text_map(value)
        for name, text in value.items():
            if name in rules:
                _descend(rules[name], name, text)

    return check


def _descend(rule: Check, name: str, value: Any) -> None:
    try:
        rule(value)
    except Fault as fault:
        raise fault.inside(name) from None


def _object(fields: dict[str, Check], *, free: bool = False) -> Check:
    """A message of these fields; `free` lets others through (JSON structs that FCM hands on unread)."""
    rules = dict(fields)
    for name, rule in fields.items():
        rules[re.sub(r"_([a-z])", lambda m: m[1].upper(), name)] = rule

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise Fault("Invalid value (object)")
        for name, item in value.items():
            rule = rules.get(name)
            if rule is not None:
                if item is not None:
                    try:  # _descend written out: this is the hot loop
                        rule(item)
                    except Fault as fault:
                        raise fault.inside(name) from None
            elif not free:
                raise Fault(f'Unknown name "{name}"', unknown=True)

    return check


def _collapse_id(value: Any) -> None:
    if not 0 < len(value.encode()) <= 64:
        raise Fault("Collapse id longer than 64 bytes")


def _number(value: Any) -> None:
    if type(value) not in (int, float):
        raise Fault("Invalid value (TYPE_FLOAT)")


_TEXT = _is(str, "TYPE_STRING")
_BOOL = _is(bool, "TYPE_BOOL")
_INT = _is(int, "TYPE_INT32")
_TEXTS = _list_of(_TEXT)
_DURATION = _like(r"\d{1,12}(\.\d{1,9})?s", "google.protobuf.Duration")
_TIMESTAMP = _like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "google.protobuf.Timestamp")
_LABEL = _like(r"[a-zA-Z0-9\-_.~%]{1,50}", "analytics label")
_LABELLED = _object({"analytics_label": _LABEL})
_ANDROID_TEXTS = (
    *("title", "body", "icon", "color", "sound", "tag", "click_action", "body_loc_key", "title_loc_key"),
    *("channel_id", "ticker", "image"),
)
_ANDROID_FLAGS = (
    *("sticky", "local_only", "default_sound", "default_vibrate_timings", "default_light_settings"),
    "bypass_proxy_notification",
)
_ANDROID_NOTIFICATION = _object(
    {
        **dict.fromkeys(_ANDROID_TEXTS, _TEXT),
        **dict.fromkeys(_ANDROID_FLAGS, _BOOL),
        "body_loc_args": _TEXTS,
        "title_loc_args": _TEXTS,
        "vibrate_timings": _list_of(_DURATION),
        "event_time": _TIMESTAMP,
        "notification_count": _INT,
        "notification_priority": _enum(
            *(f"PRIORITY_{word}" for word in ("UNSPECIFIED", "MIN", "LOW", "DEFAULT", "HIGH", "MAX"))
        ),
        "visibility": _enum("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
        "proxy": _enum("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
        "light_settings": _object(
            {
                "color": _object(dict.fromkeys(("red", "green", "blue", "alpha"), _number)),
                "light_on_duration": _DURATION,
                "light_off_duration": _DURATION,
            }
        ),
    }
)
_ANDROID = _object(
    {
        "collapse_key": _TEXT,
        "priority": _enum("NORMAL", "HIGH"),
        "ttl": _DURATION,
        "restricted_package_name": _TEXT,
        "data": _data,
        "notification": _ANDROID_NOTIFICATION,
        "fcm_options": _LABELLED,
        **dict.fromkeys(("direct_boot_ok", "bandwidth_constrained_ok", "restricted_satellite_ok"), _BOOL),
    }
)
_WEBPUSH = _object(
    {
        "headers": _headers(
            {"TTL": _like(r"\d{1,10}", "seconds"), "Urgency": _enum("VERY-LOW", "LOW", "NORMAL", "HIGH")}
        ),
        "data": _data,
        "notification": _object({"title": _TEXT, "body": _TEXT}, free=True),
        "fcm_options": _object({"link": _like(r"https://.+", "https link"), "analytics_label": _LABEL}),
    }
)
_INTERRUPTION = _enum("passive", "active", "time-sensitive", "critical")
_APS = _object({"badge": _INT, "category": _TEXT, "interruption-level": _INTERRUPTION}, free=True)
_APNS = _object(
    {
        "headers": _headers(
            {
                "apns-priority": _enum("1", "5", "10"),
                "apns-expiration": _like(r"\d{1,10}", "unix time"),
                "apns-collapse-id": _collapse_id,
                "apns-push-type": _enum("alert", "background", "voip", "location", "liveactivity"),
            }
        ),
        "payload": _object({"aps": _APS}, free=True),
        "fcm_options": _object({"analytics_label": _LABEL, "image": _TEXT}),
        "live_activity_token": _TEXT,
    }
)
_MESSAGE = _object(
    {
        "name": _TEXT,
        "data": _data,
        "notification": _object({"title": _TEXT, "body": _TEXT, "image": _TEXT}),
        "android": _ANDROID,
        "webpush": _WEBPUSH,
        "apns": _APNS,
        "fcm_options": _LABELLED,
        "token": _like(r"[A-Za-z0-9:_\-]{1,512}", "registration token"),
        "topic": _like(r"[a-zA-Z0-9\-_.~%]+", "topic name"),
        "condition": _TEXT,
        "fid": _TEXT,
    }
)
_REQUEST = _object({"message": _MESSAGE, "validate_only": _BOOL})


def check_request(request: Any, size_bytes: int) -> dict[str, Any]:
    """The message in a decoded request of `size_bytes`; raises Fault at the first field FCM would refuse."""
    _REQUEST(request)
    message: dict[str, Any] | None = request.get("message")
    if not message:
        raise Fault("The message is missing", path="message")
    targets = [name for name in TARGETS if message.get(name) is not None]
    if len(targets) != 1:
        raise Fault(
            "Exactly one of token, topic or condition is required",
            path="message.token" if not targets else "message",
        )
    if size_bytes > PAYLOAD_BYTES and _payload_bytes(message) > PAYLOAD_BYTES:
        raise Fault("Message is too big", path="message")
    return message


def _payload_bytes(message: dict[str, Any]) -> int:
    """What counts against 4096 bytes: the texts of data and notification, general and Android's together."""
    android = message.get("android") or {}
    parts = [
        message.get("data"),
        message.get("notification"),
        android.get("data"),
        android.get("notification"),
    ]
    return sum(len(orjson.dumps(part)) for part in parts if part)


def bad_request(fault: Fault) -> bytes:
    """FCM's 400 for a wrong field: a JSON-shape fault names the parent, as Google's parser does."""
    if fault.unknown:
        why = f"Invalid JSON payload received. {fault.why} at '{fault.path}': Cannot find field."
    elif fault.path == "message.token":
        why = "The registration token is not a valid FCM registration token"
    else:
        why = f"{fault.why} at '{fault.path}'"
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": fault.path, "description": why}],
        }
    ]
    return refusal(400, "INVALID_ARGUMENT", why, "" if fault.unknown else "INVALID_ARGUMENT", details)


def refusal(
    code: int, status: str, message: str, error_code: str = "", details: list[dict[str, Any]] | None = None
) -> bytes:
    """Google's error object, with FCM's own errorCode when it has one."""
    fcm = [{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": error_code}]
    error = {
        "code": code,
        "message": message,
        "status": status,
        "details": (fcm if error_code else []) + (details or []),
    }
    return orjson.dumps({"error": error})
