"""One response order to all 45,000 flood officers, through everything `make run` starts, and a storm to the phones.

`python -m tests.benchmarks.fanout [ROUNDS]` ends with one JSON line; figures are medians over the rounds.
  officers, pushes      people addressed; devices rung (8 % have a second phone, 1 % have none)
  accepted              pushes the local FCM has taken; `reached`: people with at least one of them
  wall_s                from the HTTP call that issues the order until the last push is taken AND its ledger row
                        committed; phases_s: where that time went, each from the issue call
  rate_per_s            accepted / wall_s
  sdk_rate_per_s        firebase-admin's send_each on the same stand-in, same run; sender_rate_per_s: our transport
                        alone, one thread without a ledger (sender.py); ratio_to_sdk: sender_rate_per_s / sdk_rate_per_s
  fcm_django_rate_per_s fcm-django's bulk send, same stand-in, same run (peers.py); ratio_to_fcm_django: rate_per_s,
                        ledger included, / that
  cpu_s_per_1000        CPU seconds of sender + PostgreSQL + Valkey per 1,000 accepted pushes
  faulty_rate_per_s     5 % dead tokens, 2 % 429 and 2 % 503 with Retry-After, 0.5 % broken, 0.5 % never answered:
                        95 % of the deliverable pushes / seconds until so many are taken; the rest waits as the vendor
                        asked: `faulty` says how long, how often at most one was tried, and who was left out
  growth_10x            wall_s / wall_s of about a tenth of the people / how many times more people: 1 is linear
  ten_at_once           ten such orders issued one call after the other: `rows`, `wall_s` from the first call as above,
                        `times_one`: wall_s / wall_s of one order just before, `quota_s`: the least that the vendor's
                        quota allows for so many pushes
  lanes                 an order of level I issued behind `waiting_at_issue` of `rows` routine lines (of drills): seconds
                        from its issue until its first and its last ledger row is sent
  storm_to_phone_p99_s  p99 over the accepted pushes of the storm's warnings to >= 3,000 people, from the arrival of the
                        frame that raised the warning to the ledger's sent_at; null when the storm had none so large
  rate_cap_per_s        FCM_RATE_PER_S of the run: Google's default quota, and a ceiling for sending
  duplicates            pushes the local FCM took twice in the clean rounds; anything but 0 is a fault
"""

import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Max, Min, Q

from foundation.clock import iso, now
from hydrology.models import Level, Region
from notifications.models import (
    DEAD_TOKEN,
    NO_DEVICE,
    UNSENT,
    Delivery,
    DeliveryQuerySet,
    Dispatch,
    Lane,
)
from notifications.preview import preview
from notifications.transports.courier import TokenBucket
from officers import auth
from officers.models import Device, Duty, Post
from replay import player
from replay.storm_2023 import reconstruct_2023
from replay.storms import Storm, read_folder
from tests.benchmarks import sender
from tests.benchmarks.stack import ROOT, Busy, Stack, ask, median, result, say, stack, wait_for

CITY = "4403"
ROUNDS = 3
AT_ONCE, BULK_ORDERS = 10, 11
ROUND_WITHIN_S, FAULTY_WITHIN_S, BULK_WITHIN_S = 180.0, 300.0, 300.0
LARGE = 3000  # recipients of a warning that counts for storm_to_phone
STORM_FOLDER = ROOT.parent / "shared" / "data" / "storm"
STORM_FRAMES = 72
FAULTS = {
    "unregistered_share": 0.05,
    "quota_share": 0.02,
    "unavailable_share": 0.02,
    "broken_share": 0.005,
    "silent_share": 0.005,
    "retry_after_s": 5,
}
SENDING = ("sender", "postgres", "valkey")


@dataclass(frozen=True, slots=True)
class Desk:
    """The two people an order needs, signed in."""

    drafter: str
    commander: str


def sign_in() -> Desk:
    """A fresh bearer for a city desk and a city commander, as the replay gets them."""

    def bearer(duty: Duty) -> str:
        posts = Post.objects.filter(duty=duty, region__level=Level.CITY).order_by("pk")
        device = (
            Device.objects.filter(officer__in=posts.values("officer"), retired_at=None).order_by("pk").first()
        )
        assert device is not None
        return auth.admit(device.pk, now()).access

    return Desk(bearer(Duty.DESK), bearer(Duty.COMMAND))


def approved_order(on: Stack, desk: Desk, areas: list[str], level: str = "III", drill: bool = True) -> int:
    """Drafted, submitted and approved through the doors; its id. Up to Ⅲ级 nobody is chased: no rung disturbs a round."""
    at = now()
    body: dict[str, object] = {
        "level": level,
        "authority": CITY,
        "areas": areas,
        "duties": ["flood"],
        "title_zh": "启动防汛Ⅲ级应急响应",
        "title_en": "Flood response level III",
        "text_zh": "各级三防责任人立即上岗到位，转移低洼地带人员。",
        "text_en": "All flood officers to their posts; evacuate low-lying places.",
        "deadline_at": iso(at + timedelta(hours=2)),
        "valid_until": iso(at + timedelta(hours=6)),
        "drill": drill,
    }
    number = int(str(ask(on, "POST", "orders", desk.drafter, body)["id"]))
    ask(on, "POST", f"orders/{number}/submit", desk.drafter, {})
    ask(on, "POST", f"orders/{number}/approve", desk.commander, {})
    return number


def unsent(*lanes: Lane) -> DeliveryQuerySet:
    """By the partial index of what is due: looking must not cost the machine what is being measured."""
    return Delivery.objects.filter(transport="fcm", lane__in=lanes, state__in=UNSENT)


def issue(on: Stack, desk: Desk, areas: list[str], within_s: float = ROUND_WITHIN_S) -> dict[str, float]:
    """One order from its issue to the last committed row: counts and seconds since the issue call."""
    order = approved_order(on, desk, areas)
    on.phones.forget()
    before_s = on.cpu_s(*SENDING)
    phones_before_s = on.cpu_s("phones")
    began_s = time.time()
    ask(on, "POST", f"orders/{order}/issue", desk.drafter, {})
    answered_s = time.time()
    wait_for(lambda: Dispatch.objects.filter(bulletin__order=order).exists(), 30, "the dispatch", 0.01)
    seen_s = time.time()
    dispatch = Dispatch.objects.get(bulletin__order=order)
    rows = Delivery.objects.filter(dispatch=dispatch)
    wait_for(lambda: not unsent(*Lane).exists(), within_s, "the last delivery", 0.1)
    settled_s = time.time()
    took, pushes = on.phones.counters(), on.phones.counters()["accepted"]
    figures = {
        "began_at": began_s,
        "officers": dispatch.recipients,
        "reached": rows.exclude(sent_at=None).count(),
        "accepted": pushes,
        "duplicates": took["extra"],
        "wall_s": max(settled_s, took["last_at"] or 0.0) - began_s,
        "cpu_s_per_1000": (on.cpu_s(*SENDING) - before_s) / max(pushes, 1) * 1000,
        "phones_cpu_s_per_1000": (on.cpu_s("phones") - phones_before_s) / max(pushes, 1) * 1000,
        "issued": answered_s - began_s,
        "taken_up": dispatch.created_at.timestamp() - began_s,
        "ledger_made": seen_s - began_s,
        "first_push": (took["first_at"] or 0.0) - began_s,
        "last_push": (took["last_at"] or 0.0) - began_s,
        "settled": settled_s - began_s,
    }
    say("  ".join(f"{name} {value:.3f}" for name, value in figures.items() if name != "began_at"))
    return figures


def tenth() -> list[str]:
    """Streets that together hold about a tenth of the flood officers."""
    areas: list[str] = []
    for code in Region.objects.filter(level=Level.STREET).order_by("code").values_list("code", flat=True):
        areas.append(code)
        if int(str(preview(areas, ["flood"], now())["officers"])) >= 4500:
            break
    return areas


def clean(on: Stack, rounds: int) -> dict[str, object]:
    """The rounds without faults: one order to all, one to a tenth of them, ten to all, in turn."""
    small_areas = tenth()
    large: list[dict[str, float]] = []
    small: list[dict[str, float]] = []
    many: list[dict[str, float]] = []
    issue(on, sign_in(), small_areas)  # the first pays for connections and imports
    for _ in range(rounds):
        desk = sign_in()
        large.append(issue(on, desk, [CITY]))
        small.append(issue(on, desk, small_areas))
        many.append(ten_at_once(on, large[-1]["wall_s"]))
    middle, fewer, ten = (
        {name: median([one[name] for one in rows]) or 0.0 for name in rows[0]}
        for rows in (large, small, many)
    )
    times_more = middle["officers"] / fewer["officers"]
    return {
        "officers": int(middle["officers"]),
        "accepted": int(middle["accepted"]),
        "reached": int(middle["reached"]),
        "wall_s": middle["wall_s"],
        "rate_per_s": round(middle["accepted"] / middle["wall_s"], 1),
        "officers_per_s": round(middle["reached"] / middle["wall_s"], 1),
        "cpu_s_per_1000": round(middle["cpu_s_per_1000"], 4),
        "phones_cpu_s_per_1000": round(middle["phones_cpu_s_per_1000"], 4),
        "growth_10x": round(middle["wall_s"] / fewer["wall_s"] / times_more, 2),
        "small": {"officers": int(fewer["officers"]), "wall_s": fewer["wall_s"]},
        "phases_s": {
            name: middle[name]
            for name in ("issued", "taken_up", "ledger_made", "first_push", "last_push", "settled")
        },
        "ten_at_once": ten,
        "duplicates": int(sum(one["duplicates"] for one in (*large, *small, *many))),
    }


def faulty(on: Stack) -> dict[str, object]:
    """The same order against a misbehaving vendor; see the module's head for the rates."""
    on.phones.behave(**FAULTS)
    finished, began_s = True, time.time()
    try:
        began_s = issue(on, sign_in(), [CITY], FAULTY_WITHIN_S)["began_at"]
    except TimeoutError as late:
        finished = False
        say(f"faulty: {late}")
    finally:
        on.phones.behave()
    times_s, after = [], 0
    while page := on.phones.accepted(after, 10_000):
        times_s += [push["at"] - began_s for push in page]
        after = page[-1]["n"]
    # the dead come back, so that the storm meets everybody
    Device.objects.filter(retired_reason="UNREGISTERED").update(retired_at=None, retired_reason="")
    times_s.sort()
    count, p95 = len(times_s), int(len(times_s) * 0.95)
    order = Dispatch.objects.exclude(bulletin__order=None).latest("pk")  # canaries are told meanwhile
    rows = Delivery.objects.filter(dispatch=order)
    left = rows.filter(state="failed_perm").exclude(reason=NO_DEVICE).exclude(reason__startswith=DEAD_TOKEN)
    return {
        "faulty_rate_per_s": round(p95 / times_s[p95 - 1], 1),
        "faulty": {
            "finished": finished,
            "accepted": count,
            "p50_s": round(times_s[count // 2], 2),
            "p95_s": round(times_s[p95 - 1], 2),
            "last_s": round(times_s[-1], 2),
            "taken_twice": int(on.phones.counters()["extra"]),
            "most_attempts": rows.aggregate(n=Max("attempts"))["n"],
            "deliverable_left_out": left.count() + rows.filter(state__in=UNSENT).count(),
        },
    }


def issue_drills(on: Stack, desk: Desk, n: int) -> tuple[list[int], float]:
    """So many drills' orders to everybody; their ids once all lines are written, and when the first was to be issued."""
    orders = [approved_order(on, desk, [CITY]) for _ in range(n)]
    on.phones.forget()
    began_s = time.time()
    for order in orders:
        ask(on, "POST", f"orders/{order}/issue", desk.drafter, {})
    wait_for(
        lambda: Dispatch.objects.filter(bulletin__order__in=orders, recipients__gt=0).count() == n,
        60,
        "the drills' ledger",
    )
    return orders, began_s


def ten_at_once(on: Stack, one_s: float) -> dict[str, float]:
    """Ten times 45,000, from the first call until the last row."""
    orders, began_s = issue_drills(on, sign_in(), AT_ONCE)
    wait_for(lambda: not unsent(Lane.BULK).exists(), BULK_WITHIN_S, "the drills", 0.1)
    wall_s, took, quota = time.time() - began_s, on.phones.counters(), TokenBucket(settings.FCM_RATE_PER_S)
    figures = {
        "rows": Delivery.objects.filter(dispatch__bulletin__order__in=orders).count(),
        "wall_s": wall_s,
        "duplicates": took["extra"],
        "times_one": wall_s / one_s,
        "quota_s": (took["accepted"] - quota.burst) / quota.refill_per_s,
    }
    say(f"ten at once: {figures}")
    return figures


def behind_bulk(on: Stack) -> dict[str, object]:
    """Eleven drills' orders to everybody wait; then one that is not a drill and life safety is issued."""
    desk = sign_in()
    grave = approved_order(on, desk, [CITY], level="I", drill=False)
    bulk, _ = issue_drills(on, desk, BULK_ORDERS)
    waiting = unsent(Lane.BULK).count()
    issued_s = time.time()
    ask(on, "POST", f"orders/{grave}/issue", desk.drafter, {})
    theirs = Delivery.objects.filter(dispatch__bulletin__order=grave, dispatch__errand="first")
    wait_for(theirs.exists, 60, "the grave order's ledger", 0.1)
    wait_for(lambda: not unsent(Lane.LIFE_SAFETY).exists(), 60, "the grave order", 0.1)
    sent = theirs.aggregate(first=Min("sent_at"), last=Max("sent_at"))
    ask(on, "POST", f"orders/{grave}/end", desk.drafter, {})
    wait_for(lambda: not unsent(*Lane).exists(), BULK_WITHIN_S, "the drills", 0.5)
    figures = {
        "rows": Delivery.objects.filter(dispatch__bulletin__order__in=bulk).count(),
        "waiting_at_issue": waiting,
        "first_sent_s": round(sent["first"].timestamp() - issued_s, 2),
        "last_sent_s": round(sent["last"].timestamp() - issued_s, 2),
    }
    say(f"behind bulk: {figures}")
    return {"lanes": figures}


def fcm_django_rate(on: Stack, n: int) -> float:
    """In a process of its own, with its own settings."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.peers", str(settings.RUN_DIR / "phones"), str(n)],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.peers_settings"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    return float(child.stdout)


def storm_to_its_peak() -> tuple[Storm, str]:
    """The given storm if it is there, else the built-in one: STORM_FRAMES up to just after its heaviest hour."""
    storm = read_folder(STORM_FOLDER) if STORM_FOLDER.is_dir() else reconstruct_2023()
    mm = [float(frame.rain_mm().rain_mm.sum()) if frame.rain_mm else 0.0 for frame in storm.frames]
    first, last = storm.core.start, storm.core.stop
    peak = max(range(first, last), key=lambda i: sum(mm[max(first, i - 11) : i + 1]))
    end = min(peak + 3, last)
    return replace(storm, core=slice(max(first, end - STORM_FRAMES), end)), storm.title_en


def storm_to_phone(on: Stack) -> dict[str, object]:
    """Plays the storm as fast as the system keeps up and reads the ledger.

    The first frame does not count: with nothing before it the watch waits its grace of 20 s for other sources.
    """
    storm, title = storm_to_its_peak()
    start, stop = storm.core.start, storm.core.stop
    door = player.Door(on.url, on.keys.feed_key, on.keys.feed_secret)
    say(f"storm: {title}, {stop - start} frames")
    player.play(replace(storm, core=slice(start, start + 1)), door, speed=0.0, say=say)
    since = Dispatch.objects.aggregate(newest=Max("pk"))["newest"] or 0
    report = player.play(replace(storm, core=slice(start + 1, stop)), door, speed=0.0, say=say)
    large = Dispatch.objects.filter(
        Q(pk__gt=since), Q(errand="first"), ~Q(bulletin__warning=None), Q(recipients__gte=LARGE)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT percentile_cont(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (
                ORDER BY extract(epoch FROM d.sent_at - b.caused_at)::float8), count(*)
            FROM notifications_delivery d
            JOIN notifications_dispatch s ON s.id = d.dispatch_id
            JOIN alerts_bulletin b ON b.id = s.bulletin_id
            WHERE s.id = ANY(%s) AND d.sent_at IS NOT NULL
            """,
            [list(large.values_list("pk", flat=True))],
        )
        found, count = cursor.fetchone()
    p50, p99, worst = (round(value, 3) for value in found) if found else (None, None, None)
    return {
        "storm_to_phone_p99_s": p99,
        "storm": {
            "title": title,
            "frames": report.frames,
            "late_frames": report.late_frames,
            "large_warnings": large.count(),
            "largest": large.aggregate(n=Max("recipients"))["n"],
            "accepted": count,
            "p50_s": p50,
            "max_s": worst,
            "all": player.summary(report, since)["storm_to_phone_s"],
        },
    }


def main(rounds: int) -> None:
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # the SDK's threads outnumber its pool
    with stack() as on, Busy(on) as busy:
        line = clean(on, rounds)
        # in turn: what else the machine does then slows both alike
        turns = [
            (sender.sender_rate(on.phones, 20_000), sender.sdk_rate(on.phones, 3000)) for _ in range(rounds)
        ]
        ours = median([our["rate_per_s"] for our, _ in turns], 1) or 0.0
        theirs = median([sdk["rate_per_s"] for _, sdk in turns], 1) or 1.0
        fcm_django = fcm_django_rate(on, 3000)
        line |= {
            "sender_rate_per_s": ours,
            "sdk_rate_per_s": theirs,
            "ratio_to_sdk": round(ours / theirs, 1),
            "fcm_django_rate_per_s": fcm_django,
            "ratio_to_fcm_django": round(float(str(line["rate_per_s"])) / fcm_django, 1),
        }
        line |= behind_bulk(on)
        line |= faulty(on)
        line |= storm_to_phone(on)
    line["rate_cap_per_s"] = settings.FCM_RATE_PER_S
    result(line | {"others_cpu_share": busy.others_share})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
