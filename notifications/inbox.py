"""How one delivery looks to the officer: the same words over HTTP and socket."""

from foundation.clock import iso
from notifications.models import Delivery


def item(delivery: Delivery, language: str) -> dict[str, object]:
    """The inbox item of the outside contract; `delivery.dispatch.bulletin` must be loaded."""
    dispatch, bulletin = delivery.dispatch, delivery.dispatch.bulletin
    zh = language != "en"
    return {
        "seq": delivery.pk,
        "id": delivery.pk,
        "kind": bulletin.kind,
        "level": bulletin.level,
        "title": bulletin.title_zh if zh else bulletin.title_en,
        "body": (dispatch.lead_zh if zh else dispatch.lead_en)
        + (bulletin.body_zh if zh else bulletin.body_en),
        "drill": dispatch.drill,
        "requires": bulletin.requires,
        "deadline_at": iso(bulletin.deadline_at),
        "sent_at": iso(dispatch.created_at),
        "ref": bulletin.ref,
        "state": delivery.state,
    }
