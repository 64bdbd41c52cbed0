"""The audit log: who did what to what, when.

Owns AuditEntry: append only, a database trigger refuses changes (migration 0002). Details carry ids, never
phone numbers, codes or tokens.
"""

from collections.abc import Mapping
from datetime import datetime

from officers.models import AuditEntry


def record(actor: int | None, act: str, object: str, detail: Mapping[str, object], now: datetime) -> None:
    """Append one entry in the caller's transaction.

    `actor` is an officer's id (None: nobody is signed in), `act` is "room.verb", `object` is "kind:id",
    `detail` is plain JSON.
    """
    AuditEntry.objects.create(at=now, actor_id=actor, act=act, object=object, detail=dict(detail))
