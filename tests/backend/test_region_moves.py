"""A street that is in warning stays in its district until the warning has ended; then it may move."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from alerts.models import Warning
from hydrology.models import Region
from officers.models import AuditEntry, Duty
from tests.alerts.conftest import DISTRICT, A, signed_in
from tests.hydrology.factories import make_regions
from tests.hydrology.test_registers import write

CITY, OTHER = "4403", "440304"
RAISED = {"hazard": "rainstorm", "level": "alert", "streets": [A], "note": "by eye", "hours": 2}


@pytest.fixture
def regions(db: None) -> dict[str, Region]:
    return make_regions()


@pytest.fixture
def desk(regions: dict[str, Region]) -> APIClient:
    return signed_in((regions[CITY], Duty.DESK))


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    return write(tmp_path / "moved.csv", [["code", "parent"], [A, OTHER], ["440303002", DISTRICT]])


def run(file: Path) -> str:
    said = StringIO()
    call_command("import_regions", str(file), apply=True, stdout=said)
    return said.getvalue()


def test_a_street_in_warning_is_not_moved_and_the_rest_of_the_file_waits(
    desk: APIClient, moved: Path
) -> None:
    pk = desk.post("/api/v1/warnings", RAISED, format="json").json()["id"]
    with pytest.raises(CommandError, match=rf"in warning: {A} \({pk}\)"):
        run(moved)
    assert Region.objects.get(pk=A).parent_id == DISTRICT
    assert not AuditEntry.objects.filter(act="regions.import").exists()


def test_when_the_warning_has_ended_it_moves_and_the_next_one_is_its_new_districts(
    desk: APIClient, moved: Path
) -> None:
    pk = desk.post("/api/v1/warnings", RAISED, format="json").json()["id"]
    desk.post(f"/api/v1/warnings/{pk}/cancel", {"note": "over"}, format="json")
    assert "moved 1" in run(moved)
    raised = desk.post("/api/v1/warnings", RAISED, format="json").json()
    assert raised["region"]["code"] == OTHER
    assert list(Warning.objects.open().values_list("region", flat=True)) == [OTHER]
