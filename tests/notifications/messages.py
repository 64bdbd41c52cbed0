"""What the transports' tests send: one warning, and pushes of it."""

from datetime import UTC, datetime, timedelta

from notifications.transports.base import Message, Push

NOW = datetime.now(UTC)  # the stand-in's certificate lives by the real clock
MESSAGE = Message(
    id="b1",
    title="暴雨红色预警",
    body="罗湖东门一小时雨量已超100毫米，请立即到岗并转移低洼地带人员。",
    level="red",
    kind="warning",
    ref="warnings/1",
    drill=False,
    expires_at=NOW + timedelta(hours=1),
    critical=True,
)


def push(key: int, token: str = "", message: Message = MESSAGE, tag: str = "") -> Push:
    return Push(key, token or f"phone{key}", message, f"{message.id}:{key}", tag)
