"""What a simulated officer does besides answering: files a form, says how his tasks stand, reports what he sees. SYNTHETIC.

Owns the decision, drawn by hash of the push token and the order or warning, and the requests it takes, through the front
doors. Few do anything, so that forms and reminders can both be seen. Everything written says that it is made up; what is
seen out there: sightings.py.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

import httpx

from replay.sightings import photo_of, sighting_of

FORM, TASKS, SIGHTING = "form", "tasks", "sighting"
CHORES = frozenset({FORM, TASKS, SIGHTING})
SHARES = {FORM: 0.05, TASKS: 0.10, SIGHTING: 0.001}  # of those who opened the message
SOONEST_S, SPREAD_S = 60.0, 600.0  # from his last answer
ZERO_SHARE, DONE_SHARE, DOING_SHARE = 0.25, 0.6, 0.3
NOTE = "合成数据（演示） synthetic"
BLOCKED = "合成数据：道路积水，无法到达 synthetic: road under water"
MOST = {"people": 8, "vehicles": 2, "evacuees": 5, "waterlogging": 2, "incidents": 1}
KINDS = ("waterlogging_spot", "slope", "construction_site", "river", "dangerous_house", "underground")
# what a push speaks of: an order, a reminder of what it wants, a warning
_ABOUT = re.compile(r"(?P<of>order|feedback|zero|tasks|warning)/(?P<number>[0-9]{1,18})(?:/|$)")
_WANTED = {
    "order": (FORM, TASKS),
    "feedback": (FORM,),
    "zero": (FORM,),
    "tasks": (TASKS,),
    "warning": (SIGHTING,),
}


class Door(Protocol):
    """Requests in an officer's name (officers.py)."""

    async def turn(self) -> None: ...

    async def ask(
        self, token: str, method: str, path: str, body: object = None, photos: Sequence[bytes] = ()
    ) -> httpx.Response | None: ...


@dataclass(frozen=True, slots=True)
class Chore:
    """One thing to do about an order or warning, `after_s` seconds after the last answer."""

    about: int
    kind: str
    after_s: float


def chores_of(token: str, ref: str) -> tuple[Chore, ...]:
    """What he does about the message with this `ref` (the word of the inbox); mostly nothing."""
    about = _ABOUT.match(ref)
    if about is None:
        return ()
    return tuple(
        Chore(int(about["number"]), kind, SOONEST_S + _lot(token, ref, kind, "when") * SPREAD_S)
        for kind in _WANTED[about["of"]]
        if _lot(token, ref, kind) < SHARES[kind]
    )


def form_of(token: str, order: int) -> dict[str, Any]:
    """The form he files; a quarter are zero reports."""
    key = (token, str(order))
    if _lot(*key, "zero") < ZERO_SHARE:
        return {"zero": True, "note": NOTE}
    figures: dict[str, Any] = {name: int(_lot(*key, name) * (most + 1)) for name, most in MOST.items()}
    figures["inspected"] = {kind: int(_lot(*key, kind) * 6) for kind in KINDS}
    return {"figures": figures, "note": NOTE}


def word_on(token: str, task: int) -> dict[str, str]:
    """What he says of a task of his."""
    lot = _lot(token, str(task), "task")
    if lot < DONE_SHARE:
        return {"state": "done", "note": NOTE}
    if lot < DONE_SHARE + DOING_SHARE:
        return {"state": "doing", "note": NOTE}
    return {"state": "blocked", "note": BLOCKED}


async def carry_out(door: Door, token: str, about: int, kind: str, tally: Counter[str]) -> None:
    """Do the chore; what is refused is only counted. Raises what the door raises when the server is away."""
    here = f"/api/v1/orders/{about}"
    await door.turn()
    if kind == SIGHTING:
        await _report(door, token, about, tally)
        return
    if kind == FORM:
        answer = await door.ask(token, "POST", f"{here}/feedback", form_of(token, about))
        tally[f"form_{answer.status_code if answer else 'unsigned'}"] += 1
        return
    answer = await door.ask(token, "GET", f"{here}/tasks/mine")
    for item in answer.json()["items"] if answer and answer.status_code == 200 else []:
        await door.turn()
        path = f"/api/v1/orders/{item['order']}/tasks/{item['id']}/reports"
        said = await door.ask(token, "POST", path, word_on(token, item["id"]))
        tally[f"task_{said.status_code if said else 'unsigned'}"] += 1


async def _report(door: Door, token: str, warning: int, tally: Counter[str]) -> None:
    """He stands near a post of his district and sends what he sees, with a picture."""
    posts = await door.ask(token, "GET", "/api/v1/stations?limit=100")
    spots = posts.json()["results"] if posts and posts.status_code == 200 else []
    if not spots:
        return
    spot = spots[int(_lot(token, str(warning), "spot") * len(spots))]
    seen = sighting_of(token, warning, spot["lon"], spot["lat"])
    await door.turn()
    answer = await door.ask(token, "POST", "/api/v1/hazards", seen, [photo_of(seen)])
    tally[f"sighting_{answer.status_code if answer else 'unsigned'}"] += 1


def _lot(*words: str) -> float:
    """A place in 0..1 that depends on the words alone."""
    return int.from_bytes(blake2b("|".join(words).encode(), digest_size=8).digest()) / 2**64
