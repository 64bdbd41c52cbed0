"""Who is chased for a level that the duty desk lowers by hand: nobody where it was lowered, everybody where it was not."""

from datetime import timedelta

import pytest

from alerts import hand
from alerts.hand_checks import Asked
from alerts.models import Warning
from escalation import climb
from escalation.models import Climb, ClimbState
from foundation.scope import Scope
from hydrology.models import Region
from notifications import dispatch
from officers.models import Duty, Officer
from tests.console.factories import make_officer
from tests.hydrology.factories import NOW, make_regions

A, B, DISTRICT = "440303001", "440303002", "440303"
DESK = Scope(paths=("4403/440303/",), desk_paths=("4403/440303/",))
SECOND = timedelta(seconds=1)


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


def raised(officer: Officer) -> Warning:
    """ALERT in A and B; everybody it reached is chased."""
    asked = Asked("现场", 3, (A, B))
    warning = hand.begin(officer.pk, DESK, asked, hazard="flood", now=NOW)
    dispatch.take_up(now=NOW)
    climb.sweep(now=NOW + SECOND)
    return warning


def chased() -> dict[int, tuple[str, str]]:
    """By officer: (the climb's state, why it ended)."""
    rows = Climb.objects.values_list("delivery__officer", "state", "why")
    return {officer: (state, why) for officer, state, why in rows}


def test_where_a_person_has_lowered_it_nobody_is_chased_any_more(regions: dict[str, Region]) -> None:
    desk = make_officer(regions[DISTRICT], Duty.DESK)
    of_a, of_b = (make_officer(regions[street], Duty.FLOOD) for street in (A, B))
    warning = raised(desk)
    assert {state for state, _ in chased().values()} == {ClimbState.CLIMBING}
    hand.act(warning.pk, "downgrade", desk.pk, DESK, Asked("水退", 1, (A,)), now=NOW + 2 * SECOND)
    climb.sweep(now=NOW + 3 * SECOND)
    assert chased() == {
        of_a.pk: (ClimbState.STOPPED, "lowered by hand"),
        of_b.pk: (ClimbState.CLIMBING, ""),
        desk.pk: (ClimbState.CLIMBING, ""),
    }


@pytest.mark.parametrize("level", [1, 2])
def test_what_is_lowered_everywhere_chases_nobody(regions: dict[str, Region], level: int) -> None:
    desk = make_officer(regions[DISTRICT], Duty.DESK)
    make_officer(regions[A], Duty.FLOOD)
    warning = raised(desk)
    hand.act(warning.pk, "downgrade", desk.pk, DESK, Asked("水退", level), now=NOW + 2 * SECOND)
    climb.sweep(now=NOW + 3 * SECOND)
    assert set(chased().values()) == {(ClimbState.STOPPED, "lowered by hand")}


def test_to_keep_or_extend_it_leaves_every_chase(regions: dict[str, Region]) -> None:
    desk = make_officer(regions[DISTRICT], Duty.DESK)
    warning = raised(desk)
    hand.act(warning.pk, "hold", desk.pk, DESK, Asked("仍有积水"), now=NOW + 2 * SECOND)
    climb.sweep(now=NOW + 3 * SECOND)
    assert chased() == {desk.pk: (ClimbState.CLIMBING, "")}
