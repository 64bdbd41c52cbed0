"""One order from its draft to what came back from the ground, through the doors the phones and desks use."""

from datetime import timedelta
from typing import Any

from alerts.models import Bulletin, BulletinKind, ResponseOrder
from foundation.clock import now
from hazards import feedback, reminders
from hydrology.models import Region
from notifications import dispatch
from notifications.models import Delivery
from officers.models import Duty
from tests.alerts.conftest import signed_in
from tests.hazards.conftest import A1, B1, CITY, EAST, FIGURES, A, B
from tests.notifications.test_orders import Desks

TASKS = [{"duty": "flood", "level": "community", "text_zh": "巡查积水点", "due_min": 30}]


def test_what_an_order_asks_for_comes_back_and_who_is_silent_is_asked_again(
    regions: dict[str, Region],
) -> None:
    desks = Desks(regions)
    east, street = signed_in((regions[EAST], Duty.DESK)), signed_in((regions[B], Duty.DESK))
    good, silent = signed_in((regions[A1], Duty.FLOOD)), signed_in((regions[B1], Duty.FLOOD))
    pk = desks.issued(CITY, EAST, report_every_h=2, tasks=TASKS)
    here = f"/api/v1/orders/{pk}"
    line = Delivery.objects.get(officer=good.officer, dispatch__bulletin__order=pk)

    [task] = good.get(f"{here}/tasks/mine").json()["items"]
    said: dict[str, Any] = {"state": "blocked", "note": "路断"}
    assert good.post(f"{here}/tasks/{task['id']}/reports", said, format="json").status_code == 201
    receipt = {"id": line.pk, "state": "reported", "at": now().isoformat(), "form": {"figures": FIGURES}}
    good.post("/api/v1/inbox/receipts", {"receipts": [receipt]}, format="json")
    feedback.take_forms(now=now())

    rolled = east.get(f"{here}/feedback").json()
    assert (rolled["total"]["people"], rolled["total"]["inspected"]) == (12, {"slope": 3})
    assert (rolled["expected"], rolled["reported"]) == (4, 1)
    assert {one["code"] for one in rolled["missing"]} == {EAST, B, B1}
    [standing] = east.get(f"{here}/tasks").json()["items"]
    assert (standing["people"], standing["blocked"], standing["silent"]) == (2, 1, 1)

    released_at = ResponseOrder.objects.get(pk=pk).released_at
    assert released_at is not None
    for minutes in (31, 62, 91, 121):
        reminders.remind(now=released_at + timedelta(minutes=minutes))
    dispatch.take_up(now=now())
    sent = Delivery.objects.filter(dispatch__bulletin__kind=BulletinKind.MESSAGE)
    heard = {
        api: sorted(row.dispatch.bulletin.about for row in sent.filter(officer=api.officer))
        for api in (good, silent, street, desks.desk)
    }
    form, tasks = f"feedback/{pk}/1", f"tasks/{pk}"
    assert heard == {
        good: [],
        silent: [form, tasks],
        street: [form, form, tasks],  # as a desk of B1's superior, and for its own region
        desks.desk: [form],
    }
    assert silent.get("/api/v1/inbox").json()["items"][-1]["ref"] == form

    desks.act(pk, "end")
    before = Bulletin.objects.count()
    assert reminders.remind(now=released_at + timedelta(hours=5)) == 0
    assert Bulletin.objects.count() == before
    assert silent.post(f"{here}/feedback", {"zero": True}, format="json").status_code == 201
    assert silent.post(f"{here}/feedback", {"zero": True, "region": A}, format="json").status_code == 403
