"""What simulated officers do about an order: always the same, readable, said to be made up, and through the front doors."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given
from hypothesis import strategies as st

from alerts.models import ResponseOrder
from foundation.clock import now
from hazards.forms import read_form
from hazards.models import Feedback, GroundReport, TaskReport
from hydrology.models import StationKind
from officers.models import Officer
from replay.fieldwork import CHORES, FORM, SHARES, SIGHTING, TASKS, carry_out, chores_of, form_of, word_on
from replay.sightings import MARK, sighting_of
from tests.console.factories import HOUR
from tests.hazards.conftest import A, person, phone, released
from tests.hydrology.factories import make_regions, make_station

TOKENS = [f"demo-{i:05d}" for i in range(10_000)]


@pytest.mark.parametrize(("ref", "kinds"), [("order/7", {FORM, TASKS}), ("warning/7", {SIGHTING})])
def test_few_do_anything_about_an_order_or_a_warning(ref: str, kinds: set[str]) -> None:
    done = Counter(chore.kind for token in TOKENS for chore in chores_of(token, ref))
    assert set(done) == kinds
    for kind in kinds:
        assert done[kind] / len(TOKENS) == pytest.approx(SHARES[kind], rel=0.5)


@pytest.mark.parametrize(
    ("ref", "kinds"),
    [("feedback/7/2", {FORM}), ("zero/7/1", {FORM}), ("tasks/7", {TASKS}), ("hazard/7", set()), ("", set())],
)
def test_a_reminder_moves_them_to_what_it_asks_for(ref: str, kinds: set[str]) -> None:
    chores = [chore for token in TOKENS for chore in chores_of(token, ref)]
    assert {chore.kind for chore in chores} == kinds
    assert {chore.about for chore in chores} <= {7}


@given(token=st.text(max_size=20), ref=st.text(max_size=20), number=st.integers(0, 10**9))
def test_what_they_file_can_be_read_and_says_that_it_is_made_up(token: str, ref: str, number: int) -> None:
    form, word = form_of(token, number), word_on(token, number)
    assert (form, word) == (form_of(token, number), word_on(token, number))
    assert "synthetic" in read_form(form).note
    assert "synthetic" in word["note"]
    seen = sighting_of(token, number, 114.1, 22.5)
    assert seen == sighting_of(token, number, 114.1, 22.5)
    assert MARK in seen["text"] and "synthetic" in seen["text"]
    assert abs(seen["lon"] - 114.1) < 0.005 and abs(seen["lat"] - 22.5) < 0.005
    assert chores_of(token, ref) == chores_of(token, ref)


class Handed:
    """Requests of one officer, handed to the doors without a network."""

    def __init__(self, officer: Officer) -> None:
        self._phone = phone(officer)

    async def turn(self) -> None:
        pass

    async def ask(
        self, token: str, method: str, path: str, body: Any = None, photos: Sequence[bytes] = ()
    ) -> Any:
        if photos:
            files = [SimpleUploadedFile("upload", photo) for photo in photos]
            return await database_sync_to_async(self._phone.post)(
                path, {**body, "photos": files}, format="multipart"
            )
        return await database_sync_to_async(self._phone.generic)(
            method,
            path,
            "" if body is None else self._phone._encode_data(body, "json")[0],
            "application/json",
        )


@pytest.fixture
def order(transactional_db: None) -> tuple[Officer, ResponseOrder]:
    officer = person(make_regions()[A])
    make_station("post", StationKind.HAZARD, A)
    return officer, released(at=now() - HOUR, tasks=[{"duty": "flood"}, {"duty": "flood"}])


async def test_forms_and_reports_pass_the_front_doors(order: tuple[Officer, ResponseOrder]) -> None:
    officer, issued = order
    door = await database_sync_to_async(Handed)(officer)
    tally = Counter[str]()
    for kind in sorted(CHORES):
        await carry_out(door, "token", issued.pk, kind, tally)
    assert tally == {"form_201": 1, "task_201": 2, "sighting_201": 1}
    await database_sync_to_async(_kept)()


def _kept() -> None:
    report = GroundReport.objects.get()
    assert (MARK in report.text, report.region_id, report.photos.count()) == (True, A, 1)
    assert (Feedback.objects.count(), TaskReport.objects.count()) == (1, 2)


async def test_what_is_refused_is_only_counted(order: tuple[Officer, ResponseOrder]) -> None:
    officer, issued = order
    await database_sync_to_async(ResponseOrder.objects.filter(pk=issued.pk).update)(released_at=None)
    tally = Counter[str]()
    door = await database_sync_to_async(Handed)(officer)
    for kind in sorted(CHORES):
        await carry_out(door, "token", issued.pk, kind, tally)
    assert tally == {"form_409": 1, "sighting_201": 1}
