"""`manage.py report --since … --until … --out FILE.html|FILE.pdf`: the after-action report as one file.

The whole city's unless `--region` names less. The HTML carries its data, its style and the page's own drawing script;
it asks nothing of any server. Reads only.
"""

from datetime import datetime
from pathlib import Path

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser

from console import reports
from console.report_pdf import DRAWN, pdf
from foundation.clock import SHENZHEN, now
from foundation.errors import Refusal
from hydrology.models import Level, Region

STYLE = DRAWN.with_name("report.css")
HTML = """<!DOCTYPE html>
<html lang="{lang}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style></head>
<body>
<script type="application/json" id="facts">{facts}</script>
<script type="module">
{script}
document.body.append(drawReport(JSON.parse(document.getElementById("facts").textContent), {english}));
</script>
</body>
</html>
"""


class Command(BaseCommand):
    help = "Write the after-action report of a span as HTML or PDF."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", required=True, help="ISO 8601; without a zone it is Beijing time")
        parser.add_argument("--until", required=True, help="ISO 8601; without a zone it is Beijing time")
        parser.add_argument("--out", required=True, type=Path, help="FILE.html or FILE.pdf")
        parser.add_argument(
            "--region", action="append", help="code; may be given several times; else the city"
        )
        parser.add_argument("--english", action="store_true", help="in English instead of Chinese")

    def handle(self, *args: object, **options: object) -> None:
        out, english = Path(str(options["out"])), bool(options["english"])
        if out.suffix not in (".html", ".pdf"):
            raise CommandError(f"--out {out}: the name must end in .html or .pdf")
        codes = options["region"]
        regions = Region.objects.filter(pk__in=codes) if codes else Region.objects.filter(level=Level.CITY)
        paths = tuple(regions.order_by("path").values_list("path", flat=True))
        if not paths or (isinstance(codes, list) and len(paths) != len(set(codes))):
            raise CommandError("No such region: check the codes of --region, or import the regions first.")
        try:
            found = reports.report(
                _instant(str(options["since"])), _instant(str(options["until"])), paths, now()
            )
        except Refusal as refusal:
            raise CommandError(f"{refusal.zh} {refusal.en}") from refusal
        written = (
            pdf(found, english=english) if out.suffix == ".pdf" else html(found, english=english).encode()
        )
        out.write_bytes(written)
        self.stdout.write(f"{out}: {len(written)} bytes")


def html(report: reports.Row, *, english: bool) -> str:
    """The report as one page that needs nothing else."""
    facts = orjson.dumps(report).decode().replace("<", "\\u003c")  # no text of a bulletin ends the script
    return HTML.format(
        lang="en" if english else "zh-CN",
        title="After-action report" if english else "防御复盘报告",
        style=STYLE.read_text("utf-8"),
        facts=facts,
        script=DRAWN.read_text("utf-8"),
        english=str(english).lower(),
    )


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{text!r} is no ISO 8601 time, like 2023-09-07T18:00") from error
    return at if at.tzinfo else at.replace(tzinfo=SHENZHEN)
