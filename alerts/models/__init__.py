"""Danger and orders as rows, a file each; their life cycles are separate."""

from alerts.models.bulletins import (
    Bulletin,
    BulletinKind,
    BulletinQuerySet,
    Requires,
)
from alerts.models.dangers import (
    Hazard,
    RuleTable,
    Storm,
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
from alerts.models.drills import Drill, DrillFrame, DrillState
from alerts.models.orders import (
    Attachment,
    OrderAction,
    OrderEvent,
    OrderMeasure,
    OrderStatus,
    OrderTask,
    PlanTable,
    ResponseLevel,
    ResponseOrder,
    Sector,
)
from alerts.models.releases import Held, HeldState, ReleaseTable
from alerts.models.signals import Proposal, ProposalState, Signal

__all__ = [
    "Attachment",
    "Bulletin",
    "BulletinKind",
    "BulletinQuerySet",
    "Check",
    "CheckAnswer",
    "CheckQuerySet",
    "Drill",
    "DrillFrame",
    "DrillState",
    "FeedAlarm",
    "Follow",
    "Hazard",
    "Held",
    "HeldState",
    "OrderAction",
    "OrderEvent",
    "OrderMeasure",
    "OrderStatus",
    "OrderTask",
    "PlanTable",
    "Proposal",
    "ProposalState",
    "ReleaseTable",
    "Requires",
    "ResponseLevel",
    "ResponseOrder",
    "RuleTable",
    "Sector",
    "Signal",
    "Storm",
    "Warning",
    "WarningAction",
    "WarningEvent",
    "WarningLevel",
    "WarningQuerySet",
    "WarningStreet",
    "WatchMark",
]
