"""Danger and orders as rows; see dangers.py, orders.py, bulletins.py, doubts.py. Their life cycles are separate."""

from alerts.models.bulletins import (
    Bulletin,
    BulletinKind,
    BulletinQuerySet,
    Requires,
)
from alerts.models.dangers import (
    Hazard,
    RuleTable,
    Warning,
    WarningAction,
    WarningEvent,
    WarningLevel,
    WarningQuerySet,
    WarningStreet,
    WatchMark,
)
from alerts.models.doubts import (
    Check,
    CheckAnswer,
    CheckQuerySet,
    FeedAlarm,
    Follow,
)
from alerts.models.orders import (
    OrderEvent,
    OrderStatus,
    ResponseLevel,
    ResponseOrder,
)
from alerts.models.signals import Proposal, ProposalState, Signal

__all__ = [
    "Bulletin",
    "BulletinKind",
    "BulletinQuerySet",
    "Check",
    "CheckAnswer",
    "CheckQuerySet",
    "FeedAlarm",
    "Follow",
    "Hazard",
    "OrderEvent",
    "OrderStatus",
    "Proposal",
    "ProposalState",
    "Requires",
    "ResponseLevel",
    "ResponseOrder",
    "RuleTable",
    "Signal",
    "Warning",
    "WarningAction",
    "WarningEvent",
    "WarningLevel",
    "WarningQuerySet",
    "WarningStreet",
    "WatchMark",
]
