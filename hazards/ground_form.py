"""A report from the ground as the phone sends it: its fields, its photos, what is wrong with one. No rows.

Every fault is named at once, each with its reason in two languages; nothing is kept of a faulty one, and the phone still
has it. What a photo is, is told by its content (alerts/assessment/paper.py).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Final

from django.core.files.uploadedfile import UploadedFile

from alerts.assessment.paper import photo_type
from alerts.papers import MOST_BYTES
from foundation.errors import Refusal
from foundation.texts import UNKEEPABLE, storable
from hazards.forms import instant
from hazards.models import GroundKind, GroundSeverity

TEXT_CHARS: Final = 500
CLIENT_CHARS: Final = 128
MOST_PHOTOS: Final = 6
_FIELDS: Final = frozenset({"kind", "severity", "lon", "lat", "text", "at", "client_id"})


@dataclass(frozen=True, slots=True)
class Photo:
    media_type: str
    sha256: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """One report. Degrees WGS 84; `at` is the phone's clock, None: now; `client_id` empty: sent once only."""

    kind: GroundKind
    severity: GroundSeverity
    lon: float
    lat: float
    text: str
    at: datetime | None
    client_id: str
    photos: tuple[Photo, ...]

    @property
    def digest(self) -> str:
        said = (self.kind, self.severity, self.lon, self.lat, self.text, self.at and self.at.isoformat())
        return hashlib.sha256(
            repr((*map(str, said), *(one.sha256 for one in self.photos))).encode()
        ).hexdigest()


def read_report(
    raw: Mapping[str, object], files: Mapping[str, Sequence[UploadedFile]], client_id: str = ""
) -> Said:
    """The report of a multipart or JSON body; `client_id` where the body names none. Raises Refusal `ground_report`."""
    faults = {
        str(name)[:64]: "未知字段 / unknown field" for name in {*raw, *files} - _FIELDS - {"photos"} if name
    }
    kind = _one_of(raw, "kind", GroundKind.values, faults)
    severity = _one_of(raw, "severity", GroundSeverity.values, faults)
    lon, lat = _degrees(raw, "lon", 180, faults), _degrees(raw, "lat", 90, faults)
    text = _text(raw, "text", TEXT_CHARS, faults).strip()
    if kind == GroundKind.OTHER and not text:
        faults.setdefault("text", "选择“其他”须说明是什么 / other: say what it is")
    named = _text(raw, "client_id", CLIENT_CHARS, faults) or client_id[:CLIENT_CHARS]
    at = instant(raw.get("at") or None, faults)
    if raw.get("photos"):
        faults["photos"] = "须以文件上传 / must be uploaded as files"
    photos = _photos(files.get("photos", ()), faults)
    if faults:
        raise refused(faults)
    return Said(GroundKind(kind), GroundSeverity(severity), lon, lat, text, at, named, photos)


def refused(faults: Mapping[str, str]) -> Refusal:
    named = "、".join(sorted(faults)).encode(errors="replace").decode()[:200]
    return Refusal(
        "ground_report",
        zh=f"上报有误：{named}。请按字段提示修改后重新提交，草稿请勿删除。",
        en=f"The report is wrong: {named}. Mend the named fields and send it again; keep your draft.",
        fields=faults,
    )


def _one_of(raw: Mapping[str, object], name: str, values: Sequence[str], faults: dict[str, str]) -> str:
    value = raw.get(name)
    if value not in values:
        listed = ", ".join(values)
        faults[name] = f"须为其中之一 / must be one of: {listed}"
    return str(value)


def _degrees(raw: Mapping[str, object], name: str, most: float, faults: dict[str, str]) -> float:
    value = raw.get(name)
    try:
        degrees = float(value) if isinstance(value, str | float | int) else float("nan")
    except (ValueError, OverflowError):
        degrees = float("nan")
    if not isfinite(degrees) or abs(degrees) > most or isinstance(value, bool):
        faults[name] = (
            f"须为 -{most:g} 至 {most:g} 的数（度，WGS 84） / must be degrees from -{most:g} to {most:g}, WGS 84"
        )
    return degrees


def _text(raw: Mapping[str, object], name: str, most: int, faults: dict[str, str]) -> str:
    value = raw.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most:
        faults[name] = f"须为不超过 {most} 字的文字 / must be a text of at most {most} characters"
    elif not storable(value):
        faults[name] = UNKEEPABLE
    return str(value)


def _photos(files: Sequence[UploadedFile], faults: dict[str, str]) -> tuple[Photo, ...]:
    if len(files) > MOST_PHOTOS:
        faults["photos"] = f"最多 {MOST_PHOTOS} 张，请减少后重试 / at most {MOST_PHOTOS}; leave some out"
        return ()
    photos, bad = [], []
    for number, file in enumerate(files, start=1):
        if not 0 < (file.size or 0) <= MOST_BYTES:
            bad.append(
                (f"第{number}张为空或超过 10 MB，请压缩", f"photo {number} is empty or larger than 10 MB")
            )
            continue
        body = file.read()
        if kind := photo_type(body):
            photos.append(Photo(kind, hashlib.sha256(body).hexdigest(), body))
        else:
            bad.append((
                f"第{number}张不是完整的 JPEG、PNG、WebP 或 HEIC 照片，请重拍",
                f"photo {number} is no whole JPEG, PNG, WebP or HEIC",
            ))  # fmt: skip
    if bad:
        faults["photos"] = f"{'；'.join(zh for zh, _ in bad)} / {'; '.join(en for _, en in bad)}"
    return tuple(photos)
