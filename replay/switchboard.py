"""What the local gateway for text messages and calls remembers and how it misbehaves: a request in, its answer out.

Knows no network and no clock. SYNTHETIC: who picks up and what he presses is drawn by hash of number and id, so a storm
played twice is answered alike. A call or text message of an id it has taken is not made again (docs/telephony.md).
"""

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import count
from typing import Any

import orjson

from foundation.gateway import KEY_HEADER, SIGNATURE_HEADER, TIME_HEADER
from foundation.signatures import WINDOW, genuine, instant

from .vendors.desk import changed

CHANNELS = ("sms", "voice")


@dataclass(frozen=True, slots=True)
class Faults:
    """How the stand-in and its people behave; shares are 0..1."""

    unavailable_share: float = 0.0  # of attempts: 503
    quota_share: float = 0.0  # of attempts: 429
    retry_after_s: int = 0  # sent with both; 0: no header
    lost_share: float = 0.0  # of attempts: taken, but the answer never comes
    silent_share: float = 0.0  # of attempts: neither taken nor answered
    silent_ids: tuple[str, ...] = ()  # the same for these
    down: bool = False  # everything 503 until switched back
    unknown_share: float = 0.0  # of numbers: 404 no_such_number
    undelivered_share: float = 0.0  # of text messages: taken, later reported as failed
    busy_share: float = 0.0  # of calls
    no_answer_share: float = 0.0  # of calls, after half a minute's ringing
    duplicate_share: float = 0.0  # of reports: said twice
    reordered_share: float = 0.0  # of calls and text messages: the last report is said first
    reply_share: float = 0.0  # of text messages that ask: answered with 1
    press_share: float = 0.0  # of calls picked up that ask: 1
    cannot_share: float = 0.0  # of calls picked up that ask: 9; the rest hangs up
    speed: float = 1.0  # people's seconds a second


DEMO = Faults(busy_share=0.08, no_answer_share=0.22, reply_share=0.25, press_share=0.8, cannot_share=0.04)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; a `silent` one never comes."""

    status: int
    body: dict[str, object] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One report, `after_s` seconds after the message was taken."""

    after_s: float
    state: str
    words: tuple[tuple[str, str], ...] = ()


class Switchboard:
    """Every text message and call taken, and what is still to be said of them."""

    def __init__(self, key: str, secret: str, faults: Faults | None = None) -> None:
        self.key, self.secret = key, secret
        self.faults = faults or Faults()
        self.forget()

    def misbehave(self, wishes: Mapping[str, Any], *, only: bool = False) -> None:
        """Change these faults, or with `only` have these and no others; ValueError on a wrong one."""
        self.faults = changed(Faults() if only else self.faults, dict(wishes))

    def forget(self) -> None:
        """Drop what was counted, remembered and still to be said."""
        self.taken: list[dict[str, object]] = []  # oldest first, each with how often it was posted
        self.answers: Counter[str] = Counter()
        self._by_id: dict[tuple[str, str], dict[str, object]] = {}
        self._attempts: Counter[str] = Counter()
        self._ahead: list[tuple[float, int, str, str, dict[str, object]]] = []
        self._numbers = count(1)

    def counters(self) -> dict[str, object]:
        channels = Counter(str(one["channel"]) for one in self.taken)
        repeats = sum(int(str(one["posts"])) - 1 for one in self.taken)
        return {
            "taken": {channel: channels[channel] for channel in CHANNELS},
            "repeats": repeats,
            "answers": dict(self.answers),
            "unsaid": len(self._ahead),
            "faults": asdict(self.faults),
        }

    def answer(self, channel: str, headers: Mapping[str, str], body: bytes, now_s: float) -> Reply:
        """The gateway's answer to one POST; `headers` by lower-case name, `now_s` in unix seconds."""
        reply = self._answer(channel, headers, body, now_s)
        self.answers["silent" if reply.silent else str(reply.status)] += 1
        return reply

    def _answer(self, channel: str, headers: Mapping[str, str], body: bytes, now_s: float) -> Reply:
        said = {name: headers.get(name.lower(), "") for name in (KEY_HEADER, TIME_HEADER, SIGNATURE_HEADER)}
        at = instant(said[TIME_HEADER])
        if said[KEY_HEADER] != self.key or not genuine(
            self.secret, said[TIME_HEADER], body, said[SIGNATURE_HEADER]
        ):
            return Reply(401, {"code": "bad_signature"})
        if at is None or abs(at.timestamp() - now_s) > WINDOW.total_seconds():
            return Reply(401, {"code": "clock_skew"})
        asked = orjson.loads(body)
        words = asked.get("text" if channel == "sms" else "speech")
        number, id_ = str(asked.get("to", "")), str(asked.get("id", ""))
        if not (id_ and words and number.startswith("+") and number[1:].isdecimal()):
            return Reply(400, {"code": "bad_request"})
        self._attempts[id_] += 1
        attempt = f"{number}|{id_}|{self._attempts[id_]}"
        if self.faults.down or _lot(attempt, "unavailable") < self.faults.unavailable_share:
            return Reply(503, {"code": "unavailable"}, self._wish())
        if _lot(attempt, "quota") < self.faults.quota_share:
            return Reply(429, {"code": "too_many"}, self._wish())
        if id_ in self.faults.silent_ids or _lot(attempt, "silent") < self.faults.silent_share:
            return Reply(200, silent=True)
        if _lot(number, "unknown") < self.faults.unknown_share:
            return Reply(404, {"code": "no_such_number"})
        taken = self._take(channel, id_, number, asked, now_s)
        silent = _lot(attempt, "lost") < self.faults.lost_share
        return Reply(202, {"message_id": f"{channel}-{taken['n']}"}, silent=silent)

    def _wish(self) -> tuple[tuple[str, str], ...]:
        return (("retry-after", str(self.faults.retry_after_s)),) if self.faults.retry_after_s else ()

    def _take(
        self, channel: str, id_: str, number: str, asked: dict[str, Any], now_s: float
    ) -> dict[str, object]:
        if known := self._by_id.get((channel, id_)):
            known["posts"] = int(str(known["posts"])) + 1
            return known
        taken = {**asked, "n": len(self.taken) + 1, "channel": channel, "at": now_s, "posts": 1}
        self.taken.append(taken)
        self._by_id[channel, id_] = taken
        if callback := str(asked.get("callback", "")):
            self._plan(channel, id_, number, asked, callback, now_s)
        return taken

    def _plan(
        self, channel: str, id_: str, number: str, asked: dict[str, Any], callback: str, now_s: float
    ) -> None:
        asks = bool(asked.get("answers") or asked.get("keys"))
        steps = course(channel, f"{number}|{id_}", asks, self.faults)
        spoken_s = [step.after_s / self.faults.speed for step in steps]
        if _lot(id_, "reordered") < self.faults.reordered_share:
            spoken_s.reverse()
        for step, say_s in zip(steps, spoken_s, strict=True):
            at = datetime.fromtimestamp(now_s + step.after_s / self.faults.speed, UTC)
            report: dict[str, object] = {"id": id_, "state": step.state, "at": at.isoformat()}
            report |= dict(step.words)
            twice = _lot(f"{id_}|{step.state}", "duplicate") < self.faults.duplicate_share
            for _ in range(1 + twice):
                item = (now_s + say_s, next(self._numbers), channel, callback, report)
                heapq.heappush(self._ahead, item)

    def due(self, now_s: float, most: int = 100) -> dict[tuple[str, str], list[dict[str, object]]]:
        """Reports to be said by now, at most so many, by channel and callback; they are not said again."""
        postings: dict[tuple[str, str], list[dict[str, object]]] = {}
        while most and self._ahead and self._ahead[0][0] <= now_s:
            _, _, channel, callback, report = heapq.heappop(self._ahead)
            postings.setdefault((channel, callback), []).append(report)
            most -= 1
        return postings

    def give_back(self, channel: str, callback: str, reports: list[dict[str, object]], say_s: float) -> None:
        """They could not be said: again at `say_s`."""
        for report in reports:
            heapq.heappush(self._ahead, (say_s, next(self._numbers), channel, callback, report))


def course(channel: str, who: str, asks: bool, faults: Faults) -> list[Step]:
    """What becomes of one text message or call, in order; `asks`: an answer is wanted."""
    early, late = _lot(who, "early"), _lot(who, "late")
    if channel == "sms":
        if _lot(who, "undelivered") < faults.undelivered_share:
            return [Step(2 + 4 * early, "failed", (("reason", "absent_subscriber"),))]
        steps = [Step(1 + 3 * early, "delivered")]
        if asks and _lot(who, "reply") < faults.reply_share:
            steps.append(Step(15 + 40 * late, "reply", (("text", "1"),)))
        return steps
    ringing, lot = Step(1 + 2 * early, "ringing"), _lot(who, "line")
    if lot < faults.busy_share:
        return [Step(2 + 2 * early, "busy")]
    if lot < faults.busy_share + faults.no_answer_share:
        return [ringing, Step(32.0, "no_answer")]
    answered = Step(4 + 12 * early, "answered")
    key, pressed = _lot(who, "key"), answered.after_s + 6 + 12 * late
    if asks and key < faults.press_share:
        return [ringing, answered, Step(pressed, "keypress", (("key", "1"),))]
    if asks and key < faults.press_share + faults.cannot_share:
        return [ringing, answered, Step(pressed, "keypress", (("key", "9"),))]
    return [ringing, answered]


def _lot(who: str, what: str) -> float:
    """A place in 0..1 that depends on the two words alone."""
    return int.from_bytes(blake2b(f"{who}|{what}".encode(), digest_size=8).digest()) / 2**64
