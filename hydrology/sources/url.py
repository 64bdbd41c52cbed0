"""Files fetched from an address: one that is renewed in place, or one a time step (`{time:%Y%m%d%H%M}`).

Owns the requests: time-outs, size, redirects, validators, the secret's place. Writes nothing. The address is an
engineer's, yet only http and https are spoken, and no redirect leads to another host, unless the mapping names it, nor
from https to http. Mapping keys: docs/sources.md.
"""

import hashlib
import re
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit
from zoneinfo import ZoneInfo

import httpx

from foundation.errors import Refusal
from hydrology.models import Source
from hydrology.sources.fetched import Fetched, Mark, fault, secret_of
from hydrology.sources.payload import zone_of

MOST_BYTES: Final = {"readings": 4 * 1024 * 1024}
MOST_OTHER_BYTES: Final = 32 * 1024 * 1024
TOTAL_S: Final = 45.0  # one file; below the time of a poll
MOST_HOPS: Final = 3
MOST_STEPS: Final = 100
TRIES: Final = (
    3  # a file may be read while it is written: what was refused is looked at again, if it has changed
)
_TIME: Final = re.compile(r"\{time:([^{}]+)\}")
_NUMBERS: Final = {"cadence_s": 300, "delay_s": 60, "back_s": 1800, "timeout_s": 10}

_REMEDIES: Final = {
    401: ("请核对密钥", "check the secret"),
    403: ("请核对密钥", "check the secret"),
    404: ("请核对地址", "check the address"),
}


@dataclass(frozen=True, slots=True)
class _Plan:
    source: Source
    hosts: frozenset[str]
    zone: ZoneInfo
    cadence_s: int
    delay_s: int
    back_s: int
    timeout_s: int
    most_bytes: int
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Got:
    status: int
    body: bytes = b""
    etag: str = ""
    modified: str = ""


def fetch(source: Source, now: datetime) -> Iterator[Fetched]:
    """What is new at the address. Raises Refusal: where, why, and what to do."""
    plan = _plan(source)
    with _client(plan) as client:
        if _TIME.search(source.address):
            yield from _steps(plan, client, now)
        else:
            yield from _renewed(plan, client)


def check(source: Source) -> None:
    """Raises Refusal when the address or the mapping cannot be meant."""
    _numbers(source.mapping)
    zone_of(source.mapping, "zone")
    parts = urlsplit(source.address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise fault(
            "address",
            "address 须以 http:// 或 https:// 开头并含主机名。",
            "address must begin with http:// or https:// and name a host.",
        )
    if parts.username or parts.password:
        raise fault(
            "address",
            "address 中不得写用户名或口令，请放入 secret_env 所指的环境变量（用户:口令）。",
            "address must not hold a user or a password: put user:password into the variable secret_env names.",
        )


def _plan(source: Source) -> _Plan:
    check(source)
    mapping = source.mapping
    hosts = mapping.get("hosts", [])
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        raise fault(
            "mapping.hosts", "mapping.hosts 须为主机名列表。", "mapping.hosts must be a list of host names."
        )
    own = urlsplit(source.address).hostname or ""
    return _Plan(
        source,
        frozenset({own, *(host.lower() for host in hosts)}),
        zone_of(mapping, "zone"),
        **_numbers(mapping),
        most_bytes=MOST_BYTES.get(source.door, MOST_OTHER_BYTES),
        secret=secret_of(source),
    )


def _numbers(mapping: dict[str, Any]) -> dict[str, int]:
    found = {name: mapping.get(name, default) for name, default in _NUMBERS.items()}
    for name, number in found.items():
        if type(number) is not int or number < (0 if name == "delay_s" else 1):
            raise fault(
                f"mapping.{name}", f"mapping.{name} 须为整秒。", f"mapping.{name} must be whole seconds."
            )
    if found["back_s"] > found["cadence_s"] * MOST_STEPS:
        raise fault(
            "mapping.back_s",
            f"mapping.back_s 至多为 cadence_s 的 {MOST_STEPS} 倍。",
            f"mapping.back_s must be at most {MOST_STEPS} times cadence_s.",
        )
    return found


def _client(plan: _Plan) -> httpx.Client:
    verify: ssl.SSLContext | bool = True
    if ca_file := plan.source.mapping.get("ca_file"):
        try:
            verify = ssl.create_default_context(cafile=ca_file)
        except (OSError, TypeError) as error:
            raise fault(
                "mapping.ca_file",
                f"证书文件 {ca_file} 无法读取。",
                f"the certificate file {ca_file} cannot be read: {error}",
            ) from error
    return httpx.Client(timeout=plan.timeout_s, verify=verify, follow_redirects=False)


def _renewed(plan: _Plan, client: httpx.Client) -> Iterator[Fetched]:
    """One address whose content changes: asked with ETag and date, taken when it is another one."""
    mark = plan.source.mark if plan.source.mark.get("address") == plan.source.address else {}
    asked = {"If-None-Match": mark.get("etag"), "If-Modified-Since": mark.get("modified")}
    got = _get(plan, client, plan.source.address, {name: text for name, text in asked.items() if text})
    if got.status == 304 or got.status == 204:
        yield Fetched("", b"", mark, note=mark.get("refused", ""))
        return
    _expect_file(plan, got)
    digest = hashlib.sha256(got.body).hexdigest()
    new: Mark = {"address": plan.source.address, "digest": digest, "etag": got.etag, "modified": got.modified}
    if digest == mark.get("digest"):
        yield Fetched("", b"", {**mark, **new}, note=mark.get("refused", ""))
        return

    def settle(taken: bool) -> None:
        if not taken:
            new["refused"] = (
                "内容无法入库，等待来源更新。 What is there was refused; waiting for it to change."
            )

    yield Fetched(plan.source.door, got.body, new, name=plan.source.address, settle=settle)


def _steps(plan: _Plan, client: httpx.Client, now: datetime) -> Iterator[Fetched]:
    """One file a time step, each taken once; what is late is asked for again as long as it is in the window.

    Newest first: after an outage the present matters more than the past.
    """
    source, newest = plan.source, int(now.timestamp() - plan.delay_s) // plan.cadence_s * plan.cadence_s
    wanted = list(range(newest, newest - plan.back_s, -plan.cadence_s))
    done = {step for step in source.mark.get("done", []) if step in wanted}
    tried = {step: seen for step, seen in source.mark.get("tried", {}).items() if int(step) in wanted}
    missing, failed = 0, None
    for step in wanted:
        if step in done:
            continue
        name = _address_at(plan, step)
        got = _get(plan, client, name, {})
        if got.status in (404, 410):
            missing += 1
            continue
        try:
            _expect_file(plan, got, name)
        except Refusal as refusal:
            failed = refusal
            continue
        tries, last = tried.get(str(step), [0, ""])
        digest = hashlib.sha256(got.body).hexdigest()
        mark: Mark = {"done": sorted(done | {step}), "tried": dict(tried)}
        if digest == last:
            fetched = Fetched("", b"", mark)  # refused before, and it has not changed
        else:
            again = partial(_look_again, mark, step, tries + 1, digest)
            fetched = Fetched(source.door, got.body, mark, name=name, settle=again)
        yield fetched
        done, tried = set(mark["done"]), mark["tried"]
    yield Fetched("", b"", {"done": sorted(done), "tried": tried})
    if failed:
        raise failed
    if missing == len(wanted):
        raise fault(
            "address",
            f"近 {plan.back_s} 秒应有的 {missing} 个文件均不存在，请核对地址、时区与延迟。",
            f"none of the {missing} files of the last {plan.back_s} s is there: check address, zone and delay_s.",
        )


def _look_again(mark: Mark, step: int, tries: int, digest: str, taken: bool) -> None:
    if not taken and tries < TRIES:
        mark["done"].remove(step)
        mark["tried"][str(step)] = [tries, digest]


def _address_at(plan: _Plan, step: int) -> str:
    at = datetime.fromtimestamp(step, UTC).astimezone(plan.zone)
    return _TIME.sub(lambda found: at.strftime(found[1]), plan.source.address)


def _expect_file(plan: _Plan, got: _Got, name: str = "") -> None:
    where = name or plan.source.address
    if got.status != 200:
        zh, en = _REMEDIES.get(got.status, ("请联系来源方", "ask its owner"))
        raise fault(
            "address",
            f"{where} 返回 {got.status}，{zh}。",
            f"{where} answers {got.status}: {en}.",
        )
    if not got.body:
        raise fault("address", f"{where} 内容为空。", f"{where} is empty: ask its owner.")


def _get(plan: _Plan, client: httpx.Client, address: str, headers: dict[str, str]) -> _Got:
    """One file, redirects followed as far as they are allowed. Raises Refusal; the secret is in no text."""
    deadline_s = time.monotonic() + TOTAL_S
    try:
        url = address.replace("{secret}", quote(plan.secret, safe=""))
        home = urlsplit(url)
        for _ in range(MOST_HOPS + 1):
            at_home = (urlsplit(url).scheme, urlsplit(url).netloc) == (home.scheme, home.netloc)
            request = client.build_request("GET", url, headers=headers | (_signed(plan) if at_home else {}))
            answer = client.send(request, stream=True)
            try:
                if not answer.has_redirect_location:  # a 304 is none
                    return _read(plan, answer, address, deadline_s)
                url = _next(plan, url, answer.headers.get("Location", ""))
            finally:
                answer.close()
    except UnicodeError:
        raise fault(
            "address",
            f"{address} 的主机名、请求头或密钥含有无法发送的字符，请只用 ASCII。",
            f"{address}: its host, header or secret holds characters that cannot be sent: use ASCII only.",
        ) from None  # the error quotes the secret
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
        raise fault(
            "address",
            f"{address} 无法访问（{type(error).__name__}），请检查网络、地址与证书。",
            f"{address} cannot be reached ({type(error).__name__}): check network, address and certificate.",
        ) from None  # the error may quote the address with the secret in it
    raise fault("address", f"{address} 重定向过多。", f"{address} redirects more than {MOST_HOPS} times.")


def _signed(plan: _Plan) -> dict[str, str]:
    """The secret's header: the one the mapping names, or basic authentication of user:password."""
    if not plan.secret or "{secret}" in plan.source.address:
        return {}
    if header := plan.source.mapping.get("header"):
        return {str(header): plan.secret}
    user, _, password = plan.secret.partition(":")
    request = next(httpx.BasicAuth(user, password).auth_flow(httpx.Request("GET", "http://unused")))
    return {"Authorization": request.headers["Authorization"]}


def _next(plan: _Plan, url: str, location: str) -> str:
    to = urljoin(url, location)
    parts, here = urlsplit(to), urlsplit(url)
    downgraded = here.scheme == "https" and parts.scheme != "https"
    if parts.scheme in {"http", "https"} and not downgraded and (parts.hostname or "") in plan.hosts:
        return to
    raise fault(
        "mapping.hosts",
        f"被重定向到 {parts.scheme}://{parts.hostname}，未获允许；确认无误后写入 mapping.hosts。",
        f"is redirected to {parts.scheme}://{parts.hostname}, which is not allowed: if it is right, name the host in "
        "mapping.hosts.",
    )


def _read(plan: _Plan, answer: httpx.Response, address: str, deadline_s: float) -> _Got:
    if answer.status_code != 200:
        return _Got(answer.status_code)
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > plan.most_bytes:
            raise fault(
                "address",
                f"{address} 超过 {plan.most_bytes // 1024 // 1024} MB，请来源方拆分。",
                f"{address} is larger than {plan.most_bytes // 1024 // 1024} MB: ask its owner for smaller files.",
            )
        if time.monotonic() > deadline_s:
            raise fault(
                "address",
                f"{address} 传输超过 {TOTAL_S:.0f} 秒。",
                f"{address} takes more than {TOTAL_S:.0f} s: look at the line.",
            )
    got = answer.headers
    return _Got(200, bytes(body), got.get("ETag", ""), got.get("Last-Modified", ""))
