"""Official signals at their doors: received, taking each other's place, suggesting responses that people decide."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.test import Client
from rest_framework.test import APIClient

from alerts.cap.signature import sign
from alerts.models import Bulletin, Proposal, Signal
from alerts.signals import take_signals
from foundation.clock import iso, now
from foundation.errors import Refusal
from hydrology.feeds.clock import water_clock
from hydrology.feeds.signing import signed_headers
from hydrology.ingest.posts import mark
from hydrology.models import Feed, FeedPost, Region
from officers.models import Duty
from tests.alerts.conftest import DISTRICT, A, B, C, signed_in
from tests.alerts.test_cap import FOREIGN, a_certificate
from tests.alerts.test_doors import act, order
from tests.hydrology.factories import NOW, SECRET, make_feed

Regions = dict[str, Region]
OTHER = "440304"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def met(regions: Regions) -> Feed:
    return make_feed("met")


def say(met: Feed, colour: str, *areas: str, action: str = "issue", at: datetime = NOW, **fields: Any) -> str:
    """A plain signal of rain comes in; its identifier."""
    name = f"unit_{action}_{colour}_{int(at.timestamp())}_{'_'.join(areas)}"
    signal = {
        "identifier": name, "sender": "unit", "event": "rainstorm", "colour": colour, "action": action,
        "areas": list(areas), "issued_at": at.isoformat(),
    } | fields  # fmt: skip
    take_signals(met, orjson.dumps(signal), at + timedelta(seconds=5))
    return name


def in_force() -> dict[str, list[str]]:
    return {s.colour: sorted(s.held) for s in Signal.objects.in_force()}


def open_levels() -> dict[str, int]:
    return dict(Proposal.objects.filter(state="open").values_list("authority", "level"))


def test_a_cap_message_comes_in_signed_and_again_as_a_repeat(met: Feed, client: Client) -> None:
    raw = FOREIGN.replace("440303", DISTRICT).encode()

    def post(body: bytes) -> Any:
        headers = signed_headers("met", SECRET, body, now())
        return client.post("/api/v1/ingest/signals", body, "application/cap+xml", headers=headers)

    assert post(raw).json() == {"accepted": 1, "duplicate": 0, "rejected": []}
    assert post(raw).json() == {"accepted": 1, "duplicate": 0, "rejected": []}, (
        "the same body, the same answer"
    )
    assert post(raw + b"\n").json() == {"accepted": 0, "duplicate": 1, "rejected": []}
    signal = Signal.objects.get()
    assert (signal.colour, signal.held) == ("orange", [DISTRICT])
    bad = post(raw.replace(b"<category>Met</category>", b""))
    assert (bad.status_code, bad.json()["code"]) == (400, "malformed")
    assert FeedPost.objects.filter(kind="signal").count() == 3, "the bytes of the refused one are kept"


def test_where_signers_are_known_a_cap_message_of_nobody_known_is_refused(
    met: Feed, settings: Any, tmp_path: Path
) -> None:
    key, certificate = a_certificate("city")
    other_key, stranger = a_certificate("stranger")
    (tmp_path / "known.pem").write_bytes(a_certificate("province")[1] + certificate)
    settings.CAP_TRUSTED_FILE = str(tmp_path / "known.pem")
    raw = FOREIGN.replace("440303", DISTRICT).encode()
    for message in (raw, sign(raw, other_key, stranger)):
        with pytest.raises(Refusal) as refused:
            take_signals(met, message, NOW)
        assert (refused.value.code, set(refused.value.fields)) == ("malformed", {"Signature"})
    with pytest.raises(Refusal, match="malformed"):  # JSON is signed by nobody
        say(met, "orange", DISTRICT)
    assert not Signal.objects.exists()
    take_signals(met, sign(raw, key, certificate), NOW)
    assert in_force() == {"orange": [DISTRICT]}


def test_an_upgrade_takes_the_place_of_what_held_there_and_leaves_the_rest(met: Feed) -> None:
    say(met, "yellow", "4403")
    say(met, "orange", A, action="upgrade", at=NOW + MINUTE)
    assert in_force() == {"orange": [A], "yellow": [B, OTHER]}
    say(met, "yellow", OTHER, action="cancel", at=NOW + 2 * MINUTE)
    assert in_force() == {"orange": [A], "yellow": [B]}
    say(met, "yellow", "4403", action="cancel", at=NOW + 3 * MINUTE)
    assert in_force() == {}
    assert not Signal.objects.filter(ended_at=None).exists()


def cap(met: Feed, **replaced: str) -> dict[str, Any]:
    """The foreign message of the tests' district comes in, some of its words replaced."""
    raw = FOREIGN.replace("440303", DISTRICT)
    for name, word in WORDS.items():
        raw = raw.replace(word, replaced.get(name, word))
    return take_signals(met, raw.encode(), NOW)


WORDS = {"type": "Update", "refers": "_20230907150000_1", "name": "_20230907182000_0", "colour": "橙色"}


def test_a_cap_update_ends_what_it_names_whatever_its_words(met: Feed) -> None:
    for name in ("_20230907150000_1", "_20230907150000_1.1", "_20230907150000_10"):
        cap(met, name=name, type="Alert", colour="红色", refers="_none")
    cap(met)
    assert sorted(Signal.objects.in_force().values_list("identifier", "colour")) == [
        ("44030041600000_20230907150000_10", "red"),
        ("44030041600000_20230907182000_0", "orange"),
    ]


def test_a_cap_cancel_without_info_ends_what_it_names(met: Feed) -> None:
    cap(met, name="_20230907150000_1", type="Alert", refers="_none")
    assert in_force() == {"orange": [DISTRICT]}
    info = FOREIGN[FOREIGN.index("<info>") : FOREIGN.index("</alert>")]
    raw = FOREIGN.replace(info, "").replace("Update", "Cancel")
    assert take_signals(met, raw.encode(), NOW) == {"accepted": 1, "duplicate": 0, "rejected": []}
    assert in_force() == {}
    assert DISTRICT not in open_levels(), "no level is suggested any more"


def test_a_signal_of_a_replayed_feed_moves_no_clock_of_the_water(met: Feed) -> None:
    """It once did: today's signal ended every warning of a storm that was being replayed."""
    Feed.objects.filter(pk=met.pk).update(replayed=True)
    storm = NOW - timedelta(days=900)
    mark(met, NOW, storm, 1, 0)
    met.refresh_from_db()
    say(met, "yellow", A)
    assert Signal.objects.in_force().exists()
    assert water_clock(NOW + MINUTE) == storm


def test_a_signal_that_comes_after_its_end_holds_only_where_that_did_not_end_it(met: Feed) -> None:
    say(met, "yellow", A, action="cancel", at=NOW + MINUTE)
    say(met, "yellow", DISTRICT, at=NOW)
    say(met, "yellow", A, action="extend", at=NOW)
    assert in_force() == {"yellow": [B]}


@pytest.mark.parametrize(
    "fault", [{"text": "a\0b"}, {"expected_until": "9999-12-31T23:59:59Z"}, {"references": 5}]
)
def test_what_cannot_be_kept_is_refused_and_its_bytes_are_kept(met: Feed, fault: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="malformed"):
        say(met, "red", "4403", **fault)
    assert FeedPost.objects.filter(kind="signal").count() == 1


def test_an_extension_adds_and_another_event_is_left_alone(met: Feed) -> None:
    say(met, "yellow", DISTRICT)
    say(met, "blue", DISTRICT, event="typhoon", at=NOW + MINUTE)
    say(met, "yellow", OTHER, action="extend", at=NOW + 2 * MINUTE)
    say(met, "blue", "4403", event="typhoon", action="cancel", at=NOW + 3 * MINUTE)
    assert sorted(code for s in Signal.objects.in_force() for code in s.held) == [DISTRICT, OTHER]


def test_exercises_and_tests_are_kept_and_change_nothing(met: Feed) -> None:
    for status in ("Exercise", "Test"):
        say(met, "red", "4403", status=status, at=NOW + MINUTE, identifier=status)
    assert Signal.objects.count() == 2
    assert in_force() == {}
    assert not Proposal.objects.exists()
    assert not Bulletin.objects.exists()


def test_signals_suggest_levels_to_city_and_districts_once_and_tell_their_desks(met: Feed) -> None:
    say(met, "yellow", A)
    assert open_levels() == {"4403": 1, DISTRICT: 1}
    said = Bulletin.objects.count()
    assert said == 2
    say(met, "yellow", B, action="extend", at=NOW + MINUTE)
    assert Bulletin.objects.count() == said, "the same suggestion is not repeated"
    say(met, "red", A, action="upgrade", at=NOW + 2 * MINUTE)
    assert open_levels() == {"4403": 2, DISTRICT: 3}
    assert Proposal.objects.filter(state="overtaken").count() == 2
    newest = Bulletin.objects.order_by("-id")[0]
    assert (newest.kind, newest.duties) == ("message", [])
    assert newest.ref.startswith("proposal/")


def test_a_proposal_is_decided_once_by_its_own_desk(met: Feed, regions: Regions) -> None:
    say(met, "orange", A)
    desk, neighbour = (signed_in((regions[code], Duty.DESK)) for code in (DISTRICT, OTHER))
    [own] = desk.get("/api/v1/proposals?open=true").json()["results"]
    assert (own["authority"], own["level"], own["state"]) == (DISTRICT, "IV", "open")
    assert neighbour.get("/api/v1/proposals").json()["results"] == []
    path = f"/api/v1/proposals/{own['id']}"
    assert neighbour.post(f"{path}/take", {}, format="json").status_code == 404
    assert desk.post(f"{path}/decline", {"note": "雨势减弱"}, format="json").json()["state"] == "declined"
    again = desk.post(f"{path}/take", {}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "already_decided")
    say(met, "orange", B, action="extend", at=NOW + MINUTE)
    assert DISTRICT not in open_levels(), "what was declined is not suggested again"
    say(met, "red", B, action="upgrade", at=NOW + 2 * MINUTE)
    assert open_levels()[DISTRICT] == 3


def test_when_the_last_signal_goes_the_end_of_the_response_is_suggested(met: Feed, regions: Regions) -> None:
    desk, commander = (signed_in((regions[DISTRICT], duty)) for duty in (Duty.DESK, Duty.COMMAND))
    pk = desk.post("/api/v1/orders", order(level="IV"), format="json").json()["id"]
    for who, verb in ((desk, "submit"), (commander, "approve"), (desk, "issue")):
        act(who, pk, verb)
    say(met, "orange", A)
    assert DISTRICT not in open_levels(), "the response in force fits"
    say(met, "orange", A, action="cancel", at=NOW + MINUTE)
    assert open_levels() == {DISTRICT: 0}
    shown = desk.get("/api/v1/proposals?open=true").json()["results"]
    assert [one["level"] for one in shown] == ["end"]


def test_signals_are_listed_and_the_open_ones_alone(met: Feed, regions: Regions) -> None:
    say(met, "yellow", C)
    say(met, "yellow", C, action="cancel", at=NOW + MINUTE)
    say(met, "orange", A, "亚特兰蒂斯", at=NOW + 2 * MINUTE)
    officer = signed_in((regions[A], Duty.FLOOD))
    assert len(officer.get("/api/v1/signals").json()["results"]) == 3
    [one] = officer.get("/api/v1/signals?active=true").json()["results"]
    assert (one["colour"], one["held"], one["issued_at"]) == ("orange", [A], iso(NOW + 2 * MINUTE))
    assert APIClient().get("/api/v1/signals").status_code == 401
