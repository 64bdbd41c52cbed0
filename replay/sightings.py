"""What a simulated officer sees out there in a storm: kind, severity, a sentence, a picture. SYNTHETIC, and says so.

Drawn by hash of the push token and the warning, so a storm played twice is reported alike. Knows no network.
"""

from hashlib import blake2b
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw

from hazards.models import GroundKind, GroundSeverity

SPREAD_DEG = 0.004  # how far he stands from the post, at most
SIZE = (320, 240)
MARK = "【模拟】"
SEEN = (  # the commoner stands more often
    (GroundKind.WATERLOGGING, "路面积水约30厘米，车辆缓行", (60, 110, 150)),
    (GroundKind.WATERLOGGING, "下穿通道积水，已设围挡", (50, 90, 140)),
    (GroundKind.WATERLOGGING, "低洼处店铺进水", (70, 120, 160)),
    (GroundKind.TREE, "行道树倒伏，占一条车道", (40, 110, 60)),
    (GroundKind.TREE, "大树枝折断，压在人行道上", (50, 120, 50)),
    (GroundKind.LANDSLIDE, "边坡少量土石滑落，有渗水", (130, 95, 60)),
    (GroundKind.RIVER, "河水漫上亲水步道", (110, 100, 70)),
    (GroundKind.RESERVOIR, "溢洪道过水，水色浑浊", (90, 110, 120)),
    (GroundKind.BUILDING, "旧屋墙体裂缝，住户已离开", (120, 110, 110)),
    (GroundKind.TRAPPED, "车辆熄火，车内两人等待救援", (60, 70, 110)),
)
SEVERITIES = (  # as often as they stand here
    *[GroundSeverity.MINOR] * 4,
    *[GroundSeverity.MODERATE] * 4,
    GroundSeverity.SEVERE,
)


def sighting_of(token: str, warning: int, lon: float, lat: float) -> dict[str, Any]:
    """The fields of his report, near that point (degrees)."""
    lots = blake2b(f"{token}|{warning}|sighting".encode(), digest_size=12).digest()
    kind, text, _ = SEEN[lots[0] % len(SEEN)]
    return {
        "client_id": lots.hex(),
        "kind": str(kind),
        "severity": str(SEVERITIES[lots[1] % len(SEVERITIES)]),
        "lon": round(lon + SPREAD_DEG * (lots[2] / 127.5 - 1), 5),
        "lat": round(lat + SPREAD_DEG * (lots[3] / 127.5 - 1), 5),
        "text": f"{MARK}{text}（合成数据，仅供演示 synthetic）",
    }


def photo_of(seen: dict[str, Any]) -> bytes:
    """A small picture drawn of a grey sky, rain and what is seen; the word SYNTHETIC across it."""
    colour = next(colour for kind, _, colour in SEEN if kind == seen["kind"])
    image = Image.new("RGB", SIZE, (92, 100, 110))
    draw = ImageDraw.Draw(image)
    width, height = SIZE
    draw.rectangle((0, height * 0.55, width, height), fill=colour)
    for n, lot in enumerate(blake2b(seen["client_id"].encode(), digest_size=60).digest()):
        x, y = n * width // 60, lot * height // 255
        draw.line((x, y, x - 5, y + 14), fill=(150, 160, 170))
    draw.text((width * 0.12, height * 0.42), "SYNTHETIC", fill=(255, 255, 255), font_size=40)
    body = BytesIO()
    image.save(body, "JPEG", quality=80)
    return body.getvalue()
