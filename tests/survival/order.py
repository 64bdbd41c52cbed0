"""Issue a response order as two people do, in a process of its own: `python -m tests.survival.order AREA`.

Level III, so that no escalation adds pushes of its own.
"""

import sys
from datetime import timedelta

import django

django.setup()

import backend.celery  # noqa: E402, F401  nudges go through the app's broker
from alerts import drafts, orders  # noqa: E402
from alerts.models import ResponseLevel  # noqa: E402
from foundation.clock import now  # noqa: E402
from foundation.scope import Scope  # noqa: E402
from officers.models import Duty, Post  # noqa: E402

CITY = "4403"


def issue(area: str) -> None:
    """Drafted and issued by the city's desk, approved by its command."""
    scope = Scope((f"{CITY}/",), (f"{CITY}/",), (f"{CITY}/",))
    desk, command = (
        Post.objects.filter(duty=duty, region=CITY)
        .order_by("officer_id")
        .values_list("officer_id", flat=True)[0]
        for duty in (Duty.DESK, Duty.COMMAND)
    )
    at = now()
    values = {
        "level": ResponseLevel.III,
        "authority": CITY,
        "areas": [area],
        "duties": [Duty.FLOOD],
        "title_zh": "生存测试",
        "title_en": "Survival test",
        "text_zh": "请立即到岗。",
        "valid_until": at + timedelta(hours=6),
    }
    order = drafts.draft(desk, scope, values, now=at)
    for verb, who in (("submit", desk), ("approve", command), ("issue", desk)):
        orders.act(order.pk, verb, who, scope, now=at)


if __name__ == "__main__":
    issue(sys.argv[1])
