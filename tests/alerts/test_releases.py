"""Which words of the watch go out at once, which wait, and that each is said once, by whomever. PostgreSQL, moved time."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from rest_framework.test import APIClient

from alerts import endings, hand, releases, stages, watch
from alerts.assessment.policy import BadPolicy, parse_policy
from alerts.hand_checks import Asked
from alerts.models import Bulletin, Held, HeldState, ReleaseTable, Warning
from foundation.errors import Refusal
from foundation.scope import Scope
from hydrology import ingest
from hydrology.models import Feed, Region
from notifications import dispatch
from notifications.models import Delivery
from officers.models import Duty, Officer
from tests.alerts.conftest import DISTRICT, PATH, SENT, SLOT, A, B, C, play, signed_in
from tests.console.factories import make_officer
from tests.hydrology.factories import MINUTE, NOW, body, make_feed, make_regions, make_reservoir, stage

DRY: dict[str, float] = {}
LEVEL_1, LEVEL_2, LEVEL_3 = 6.0, 9.0, 13.0  # mm in one slot, by the built-in table
SECOND = timedelta(seconds=1)
DESK = Scope(paths=(PATH,), desk_paths=(PATH,))
WAITS: dict[str, Any] = {
    "rainstorm": {
        "raise": {"notice": {"after_s": None}, "attention": {"after_s": 120}, "alert": {"after_s": 60}},
        "extend": {"notice": {"after_s": None}, "attention": {"after_s": 120}},
    }
}
Regions = dict[str, Region]


def policy(rows: object = WAITS) -> None:
    releases.put_in_force(rows, version="test", note="", now=NOW - timedelta(days=1))


@pytest.fixture
def officer(regions: Regions) -> Officer:
    return make_officer(regions[DISTRICT], Duty.DESK)


def said() -> list[tuple[str, str, list[str]]]:
    """What people heard of warnings: (level, push's first words, areas)."""
    rows = Bulletin.objects.filter(warning__isnull=False).order_by("id")
    return [(b.level, b.push_zh[:4], sorted(b.areas)) for b in rows]


def states() -> list[str]:
    return list(Held.objects.order_by("id").values_list("state", flat=True))


def decide(held: Held, verb: str, officer: Officer, *, at: Any = NOW, scope: Scope = DESK) -> Held:
    return releases.decide(held.pk, verb, officer.pk, scope, note="看过雷达", now=at)


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        ([], "table"),
        ({"flood": {}}, "table"),
        ({"rainstorm": {"silent": {}}}, "rainstorm"),
        ({"rainstorm": {"raise": {"none": {"after_s": 0}}}}, "rainstorm.raise"),
        ({"rainstorm": {"cancel": {"notice": {"after_s": 0}}}}, "rainstorm.cancel"),
        ({"rainstorm": {"raise": {"notice": 5}}}, "rainstorm.raise.notice"),
        ({"rainstorm": {"raise": {"notice": {"after_s": -1}}}}, "rainstorm.raise.notice.after_s"),
        ({"rainstorm": {"raise": {"notice": {"after_s": True}}}}, "rainstorm.raise.notice.after_s"),
        ({"rainstorm": {"raise": {"notice": {"after_s": 3601}}}}, "rainstorm.raise.notice.after_s"),
        ({"rainstorm": {"raise": {"alert": {"after_s": None}}}}, "rainstorm.raise.alert.after_s"),
        ({"rainstorm": {"upgrade": {"emergency": {"after_s": None}}}}, "rainstorm.upgrade.emergency.after_s"),
        ({"reservoir": {"upgrade": {"emergency": {"after_s": 301}}}}, "reservoir.upgrade.emergency.after_s"),
    ],
)
def test_a_policy_that_lets_danger_wait_or_says_nonsense_is_refused_by_its_path(
    rows: object, where: str
) -> None:
    with pytest.raises(BadPolicy) as bad:
        parse_policy(rows)
    assert bad.value.where == where


def test_what_no_row_names_goes_at_once() -> None:
    table = parse_policy(WAITS)
    assert table.after_s("rainstorm", "raise", "notice") is None
    assert table.after_s("rainstorm", "raise", "attention") == 120
    assert table.after_s("rainstorm", "raise", "emergency") == 0
    assert table.after_s("tide", "cancel", "none") == 0


def test_without_a_table_everything_is_said_at_once(feed: Feed) -> None:
    play(feed, [DRY, {A: LEVEL_1}])
    assert said() == [("notice", "【提示】", [A])]
    assert not Held.objects.exists()


def test_what_waits_is_told_to_the_desk_and_said_by_itself_when_its_time_has_come(
    feed: Feed, regions: Regions, officer: Officer
) -> None:
    policy()
    flood = make_officer(regions[A], Duty.FLOOD)
    end = play(feed, [DRY, {A: LEVEL_2}])
    at = end + SENT + watch.GRACE
    warning = Warning.objects.get()
    assert (warning.level, warning.events.get().action) == (
        2,
        "raise",
    )  # the state is the truth, whatever waits
    assert said() == []
    held = Held.objects.get()
    assert (held.held_at, held.release_at) == (at, at + 120 * SECOND)
    message = Bulletin.objects.get()
    assert (message.kind, message.about, message.areas) == ("message", f"release/{held.pk}", [DISTRICT])
    assert "自动发布" in message.push_zh and len(message.push_zh) <= 50
    assert releases.release_due(now=at + 119 * SECOND) == 0
    due = at + 120 * SECOND
    assert releases.release_due(now=due) == 1
    assert releases.release_due(now=due) == 0
    assert said() == [("attention", "【关注】", [A])]
    told = Bulletin.objects.get(warning=warning)
    assert (told.issued_at, told.valid_until) == (due, at + timedelta(hours=2))
    assert (told.caused_at, told.urgency) == (end + SENT, 2)
    held.refresh_from_db()
    assert (held.state, held.bulletin_id, held.decided_by_id) == (HeldState.RELEASED, told.pk, None)
    dispatch.take_up(now=due)
    heard = Delivery.objects.values_list("officer", "dispatch__bulletin")
    assert sorted(heard) == sorted([(officer.pk, message.pk), (officer.pk, told.pk), (flood.pk, told.pk)])


def test_a_chased_level_has_its_deadline_from_its_release(feed: Feed) -> None:
    policy()
    end = play(feed, [DRY, {A: LEVEL_3}])
    due = end + SENT + watch.GRACE + MINUTE
    releases.release_due(now=due)
    told = Bulletin.objects.get(warning__isnull=False)
    assert (told.requires, told.deadline_at) == ("confirm", due + 10 * MINUTE)


def test_the_desk_releases_what_only_a_person_may(feed: Feed, officer: Officer) -> None:
    policy()
    end = play(feed, [DRY, {A: LEVEL_1}])
    held = Held.objects.get()
    assert held.release_at is None
    assert "须人工发布" in Bulletin.objects.get(kind="message").push_zh
    at = end + 30 * MINUTE
    assert releases.release_due(now=at) == 0
    decide(held, "release", officer, at=at)
    assert said() == [("notice", "【提示】", [A])]
    held.refresh_from_db()
    assert (held.state, held.decided_by_id, held.note) == (HeldState.RELEASED, officer.pk, "看过雷达")
    for verb in ("release", "drop"):
        with pytest.raises(Refusal, match="held_decided"):
            decide(held, verb, officer, at=at)
    assert len(said()) == 1


def test_what_is_dropped_is_never_said(feed: Feed, officer: Officer) -> None:
    policy()
    end = play(feed, [DRY, {A: LEVEL_2}])
    decide(Held.objects.get(), "drop", officer, at=end + MINUTE)
    assert releases.release_due(now=end + 30 * MINUTE) == 0
    assert (said(), states()) == ([], ["dropped"])


def test_old_news_is_closed_and_never_released(feed: Feed, officer: Officer) -> None:
    policy()
    end = play(feed, [DRY, {A: LEVEL_1}])
    held = Held.objects.get()
    late = end + timedelta(hours=3)
    with pytest.raises(Refusal, match="held_lapsed"):
        decide(held, "release", officer, at=late)
    assert releases.release_due(now=late) == 1
    assert (said(), states()) == ([], ["dropped"])


def test_a_newer_one_takes_the_streets_of_the_older_with_it(feed: Feed) -> None:
    policy()
    play(feed, [DRY, {A: LEVEL_1}, {A: LEVEL_1, B: LEVEL_1}])
    assert states() == ["overtaken", "held"]
    held = Held.objects.open().get()
    assert sorted(held.fields["areas"]) == [A, B]
    assert f"region {A}" in held.words["body_zh"] and f"region {B}" in held.words["body_zh"]
    assert said() == []
    assert Warning.objects.get().events.count() == 2


def test_what_goes_at_once_takes_what_waits_with_it_at_the_graver_level(feed: Feed) -> None:
    policy()
    play(feed, [DRY, {A: LEVEL_1, B: LEVEL_1}, {A: LEVEL_3, B: LEVEL_1}])
    assert states() == ["overtaken"]
    assert said() == [("alert", "【警示】", [A, B])]


def test_a_lesser_rise_that_joins_a_graver_one_in_waiting_is_said_with_it(feed: Feed) -> None:
    policy()
    play(feed, [DRY, {A: LEVEL_2}, {A: LEVEL_2 / 3, B: LEVEL_1}])
    held = Held.objects.open().get()
    assert (sorted(held.fields["areas"]), held.fields["level"]) == ([A, B], "attention")


def test_the_end_drops_what_waits_and_goes_to_those_who_had_heard(feed: Feed) -> None:
    policy({"rainstorm": {"extend": {"notice": {"after_s": None}}}})
    end = play(feed, [DRY, {A: LEVEL_1}, {A: 2.0, B: LEVEL_1}])
    assert said() == [("notice", "【提示】", [A])]
    play(feed, [DRY] * 24, end + SLOT)
    assert Warning.objects.get().ended_at is not None
    assert states() == ["overtaken"]
    assert said() == [("notice", "【提示】", [A]), ("none", "【解除】", [A])]


def test_a_warning_nobody_heard_of_ends_without_a_word(feed: Feed) -> None:
    policy()
    end = play(feed, [DRY, {A: LEVEL_1}])
    play(feed, [DRY] * 24, end + SLOT)
    warning = Warning.objects.get()
    assert warning.ended_at is not None
    assert [event.action for event in warning.events.order_by("id")][-1] == "cancel"
    assert said() == []
    assert releases.release_due(now=end + timedelta(hours=5)) == 0


def test_an_expiry_drops_what_waits_as_well(feed: Feed) -> None:
    policy()
    end = play(feed, [DRY, {A: LEVEL_1}])
    endings.expire_due(now=end + timedelta(hours=2))
    assert (said(), states()) == ([], ["overtaken"])


def test_a_person_decides_without_the_policy_and_overtakes_what_waits(feed: Feed, officer: Officer) -> None:
    policy()
    end = play(feed, [DRY, {A: LEVEL_1, B: LEVEL_1}])
    warning = Warning.objects.get()
    hand.act(warning.pk, "upgrade", officer.pk, DESK, Asked("现场", 2, (A,)), now=end)
    assert said() == [("attention", "【关注】", [A, B])]
    assert states() == ["overtaken"]


def test_a_downgrade_by_hand_leaves_the_others_their_turn(feed: Feed, officer: Officer) -> None:
    policy({"rainstorm": {"extend": {"notice": {"after_s": None}}}})
    end = play(feed, [DRY, {A: LEVEL_2}, {A: 2.0, B: LEVEL_1}])
    warning = Warning.objects.get()
    hand.act(warning.pk, "downgrade", officer.pk, DESK, Asked("现场", 1, (A,)), now=end)
    assert states() == ["held"]
    assert said()[-1] == ("notice", "【提示】", [A])


def test_level_notices_wait_by_the_same_policy(feed: Feed, regions: Regions) -> None:
    policy({"reservoir": {"raise": {"alert": {"after_s": 300}}}})
    make_reservoir("lake", A)
    for n in range(3):
        at = NOW + n * SLOT
        ingest.take_readings(feed, body(stage("lake", at, 28.1)), at + SENT)
        stages.assess_levels(now=at + SENT)
    assert said() == []
    held = Held.objects.get()
    assert held.fields["stations"] == ["lake"]
    assert held.release_at is not None
    releases.release_due(now=held.release_at)
    told = Bulletin.objects.get(warning__isnull=False)
    assert (told.kind, told.stations, told.level, told.requires) == ("level", ["lake"], "alert", "confirm")


def test_one_sweep_that_dies_leaves_it_to_the_next(feed: Feed) -> None:
    policy()
    end = play(feed, [DRY, {A: LEVEL_2}])
    due = end + 10 * MINUTE
    with pytest.raises(KeyboardInterrupt), transaction.atomic():
        assert releases.release_due(now=due) == 1
        raise KeyboardInterrupt  # killed before its commit
    assert (said(), states()) == ([], ["held"])
    assert releases.release_due(now=due) == 1
    assert len(said()) == 1


@pytest.mark.django_db(transaction=True)
def test_sweeps_and_desks_at_once_release_it_once() -> None:
    regions = make_regions()
    feed = make_feed("radar")
    officer = make_officer(regions[DISTRICT], Duty.DESK)
    policy()
    end = play(feed, [DRY, {A: LEVEL_2, C: LEVEL_2}])
    mine = Held.objects.get(warning__region=DISTRICT)
    due = end + 10 * MINUTE

    def try_it(step: int) -> int:
        try:
            if step % 2:
                return releases.release_due(now=due)
            return int(decide(mine, "release", officer, at=due).state == HeldState.RELEASED)
        except Refusal as refusal:
            assert refusal.code == "held_decided"
            return 0
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(try_it, range(6))) == 2
    assert [level for level, _, _ in said()] == ["attention", "attention"]
    assert states() == ["released", "released"]


def test_the_doors_show_and_decide_what_waits(feed: Feed, regions: Regions) -> None:
    policy()
    play(feed, [DRY, {A: LEVEL_1, C: LEVEL_1}])
    desk = signed_in((regions[DISTRICT], Duty.DESK))
    neighbour, flood = signed_in((regions["440304"], Duty.DESK)), signed_in((regions[DISTRICT], Duty.FLOOD))
    [item] = desk.get("/api/v1/releases?open=1").json()["items"]
    held = Held.objects.get(warning__region=DISTRICT)
    assert (item["id"], item["warning"], item["state"], item["level"]) == (
        held.pk,
        held.warning_id,
        "held",
        "notice",
    )
    assert (item["areas"], item["release_at"], item["decided_by"]) == ([A], None, None)
    assert item["push"].startswith("【提示】") and item["held_at"].endswith("+08:00")
    path = f"/api/v1/releases/{item['id']}"
    assert neighbour.post(f"{path}/drop", {}, format="json").status_code == 404
    assert flood.post(f"{path}/drop", {}, format="json").json()["code"] == "desk_only"
    assert flood.get("/api/v1/releases").json() == {"items": []}
    assert APIClient().get("/api/v1/releases").status_code == 401
    late = desk.post(f"{path}/release", {"note": "同意"}, format="json").json()
    assert late["code"] == "held_lapsed"  # the storm of this test is not of today
    done = desk.post(f"{path}/drop", {"note": "误报"}, format="json").json()
    assert (done["state"], done["decided_by"], done["note"]) == ("dropped", desk.officer.name, "误报")
    assert desk.get("/api/v1/releases?open=1").json() == {"items": []}
    assert desk.post(f"{path}/drop", {}, format="json").json()["code"] == "held_decided"


def ran(*args: str) -> str:
    out = StringIO()
    call_command("releases", *args, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_command_shows_compares_and_sets_the_policy(db: None, tmp_path: Path) -> None:
    assert json.loads(ran()) == {}
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(WAITS))
    assert "rainstorm.raise.notice: at once -> only by a person" in ran(str(file))
    assert not ReleaseTable.objects.exists()
    assert "in force from now on" in ran(str(file), "--apply", "--note", "雨季")
    assert ReleaseTable.objects.get().note == "雨季"
    assert json.loads(ran()) == WAITS
    assert "nothing differs" in ran(str(file), "--apply")
    file.write_text('{"rainstorm": {"raise": {"emergency": {"after_s": null}}}}')
    with pytest.raises(CommandError, match=r"rainstorm\.raise\.emergency\.after_s.*Nothing was changed"):
        ran(str(file), "--apply")
    file.write_text("{")
    with pytest.raises(CommandError, match="is no JSON"):
        ran(str(file))
    with pytest.raises(CommandError, match="cannot be read"):
        ran(str(tmp_path / "none.json"))
    assert ReleaseTable.objects.count() == 1
