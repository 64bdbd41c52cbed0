"""What tests and benchmarks say to the local FCM: a bulletin's pushes, and firebase-admin pointed at it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import firebase_admin
from firebase_admin import credentials, messaging
from google.oauth2.credentials import Credentials

from notifications.transports.base import Message, Push
from notifications.transports.fcm import account
from replay.phones import Standin


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
        self.project_id, bearer = account(standin.credentials, standin.ca_file)
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
