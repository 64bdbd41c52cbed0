"""Which table of plans is in force, and what of it an authority may draft from. Owns PlanTable."""

from datetime import datetime
from typing import Any

from alerts.assessment.plan_defaults import DEFAULT, DEFAULT_ROWS
from alerts.assessment.plans import Plan, parse_plans
from alerts.models import PlanTable


def in_force(at: datetime) -> tuple[str, dict[str, Plan]]:
    """(version, plans by key); version "" with the defaults where no table was set."""
    row = _newest(at)
    return (row.version, parse_plans(row.rows)) if row else ("", DEFAULT)


def rows_in_force(at: datetime) -> tuple[str, Any]:
    """(version, the JSON as it was set), to be read and edited."""
    row = _newest(at)
    return (row.version, row.rows) if row else ("", DEFAULT_ROWS)


def put_in_force(rows: object, *, version: str, note: str, now: datetime) -> PlanTable:
    """From now on orders are drafted from these plans; drafts keep what they were made of. Raises BadPlan."""
    parse_plans(rows)
    return PlanTable.objects.create(version=version, valid_from=now, rows=rows, note=note)


def _newest(at: datetime) -> PlanTable | None:
    return PlanTable.objects.filter(valid_from__lte=at).order_by("-valid_from", "-version").first()
