"""What becomes of a suggested response level: a person takes it, which drafts the order, or declines it.

Proposals are made by signals.py; here they are decided, once. The draft goes the way of every order: two people.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from alerts import drafts, plans
from alerts.assessment.plans import find
from alerts.models import Proposal, ProposalState, ResponseLevel, ResponseOrder
from foundation.errors import Refusal, not_found
from foundation.scope import Scope


def decide(
    proposal_id: int, verb: str, officer_id: int, scope: Scope, *, note: str, now: datetime
) -> Proposal:
    """take or decline. Taking drafts the order from the plan for its level, in the place of the one in force; the end of a
    response, or a level without a plan, leaves the draft to the desk. Raises Refusal; a decided one stays decided."""
    with transaction.atomic():
        proposal = _open(proposal_id, scope)
        state = ProposalState.DECLINED
        if verb == "take":
            state, proposal.order = ProposalState.TAKEN, _suggested(proposal, officer_id, scope, now)
        _decided(proposal, state, officer_id, note, now)
    return proposal


def draft_proposed(
    proposal_id: int, officer_id: int, scope: Scope, values: Mapping[str, Any], *, now: datetime
) -> ResponseOrder:
    """Draft an order and take the proposal with it, or neither. Authority, areas, hazard and level are the proposal's
    where nothing else is said; authority and hazard cannot be others."""
    with transaction.atomic():
        proposal = _open(proposal_id, scope)
        said = {
            "authority": proposal.authority_id,
            "areas": proposal.areas,
            "hazard": proposal.hazard,
            **values,
        }
        if (said["authority"], said["hazard"]) != (proposal.authority_id, proposal.hazard):
            raise Refusal(
                "proposal_other",
                zh=f"建议 {proposal.pk} 属于另一机关或灾种，请核对后重试。",
                en=f"Proposal {proposal.pk} is for another authority or hazard. Look again.",
                status=409,
                fields={"proposal": str(proposal.pk)},
            )
        if proposal.level and not said.get("plan"):
            said.setdefault("level", ResponseLevel(proposal.level))
        proposal.order = drafts.draft(officer_id, scope, said, now=now)
        _decided(proposal, ProposalState.TAKEN, officer_id, "", now)
    return proposal.order


def _open(proposal_id: int, scope: Scope) -> Proposal:
    """The proposal, locked, while nobody has decided."""
    proposal = (
        Proposal.objects.select_for_update(of=("self",))
        .select_related("authority")
        .filter(pk=proposal_id)
        .first()
    )
    if proposal is None or not scope.sees(proposal.authority.path):
        raise not_found("建议", "proposal")
    scope.require_desk(proposal.authority.path)
    if proposal.state != ProposalState.OPEN:
        raise Refusal(
            "already_decided",
            zh=f"该建议{proposal.get_state_display()}，请刷新。",
            en=f"This proposal is {proposal.state} already; refresh.",
            status=409,
        )
    return proposal


def _suggested(proposal: Proposal, officer_id: int, scope: Scope, now: datetime) -> ResponseOrder | None:
    if not proposal.level:
        return None
    level = ResponseLevel(proposal.level)
    plan = find(plans.in_force(now)[1], proposal.hazard, level.code, proposal.authority.level)
    if plan is None:
        return None
    in_force = ResponseOrder.objects.in_force().filter(
        authority=proposal.authority, hazard=proposal.hazard, drill=False
    )
    replaced = in_force.order_by("-level", "-id").first()
    values = {"authority": proposal.authority_id, "areas": proposal.areas, "plan": plan.key}
    if replaced is not None:
        values["replaces"] = replaced.pk
    return drafts.draft(officer_id, scope, values, now=now)


def _decided(proposal: Proposal, state: ProposalState, officer_id: int, note: str, now: datetime) -> None:
    proposal.state, proposal.decided_at, proposal.decided_by_id, proposal.note = state, now, officer_id, note
    proposal.save(update_fields=["state", "decided_at", "decided_by", "note", "order"])
