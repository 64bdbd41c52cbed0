"""The house's own rules, as far as a machine can see them: directions, writers, jobs, words."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

from backend import tasks  # noqa: F401  registers the jobs
from backend.celery import PERIODS_S, app

ROOT = Path(__file__).resolve().parents[1]
# who may write which model, besides migrations and tests; what is not listed is set up by commands
WRITERS = {
    "Region": {"hydrology/region_import.py", "replay/city.py"},
    "Feed": {
        "backend/management/commands/feeds.py",
        "hydrology/management/commands/sources.py",  # one that only we fetch for
        "replay/city.py",
    },
    "Observation": {"hydrology/ingest/readings.py"},
    "Latest": {"hydrology/ingest/readings.py"},
    "GridRun": {"hydrology/ingest/grids.py", "hydrology/ingest/forget.py"},
    "GridPart": {"hydrology/ingest/grids.py"},
    "RadarFrame": {"hydrology/ingest/radar.py", "hydrology/ingest/forget.py"},
    "Blob": {"hydrology/ingest/grids.py", "hydrology/ingest/radar.py", "hydrology/ingest/forget.py"},
    "FeedPost": {"hydrology/ingest/posts.py", "hydrology/ingest/forget.py"},
    "FeedMark": {"hydrology/ingest/posts.py"},
    "Source": {
        "hydrology/sources/polls.py",
        "hydrology/sources/mqtt.py",
        "hydrology/management/commands/sources.py",  # an engineer sets it up
    },
    "Telegram": {"hydrology/feeds/telegrams.py"},
    "RainTotal": {"hydrology/feeds/telegrams.py"},
    "Question": {"hydrology/feeds/questions.py"},
    "Session": {"officers/auth.py"},
    "Device": {"officers/devices.py", "replay/city.py"},  # the demo city comes with its phones
    "OneTimeCode": {"officers/codes.py"},
    "SpentFlow": {"officers/oidc.py"},
    "AuditEntry": {"officers/audit.py"},
    "Warning": {"alerts/warnings.py", "alerts/notices.py"},
    "WarningStreet": {"alerts/warnings.py"},
    "WarningEvent": {"alerts/warnings.py", "alerts/notices.py"},
    "Storm": {"alerts/storms.py"},
    "WatchMark": {"alerts/watch.py", "alerts/stages.py", "alerts/hand.py"},
    "Held": {"alerts/releases.py"},
    "ReleaseTable": {"alerts/releases.py"},
    "Follow": {"alerts/follows.py"},
    "Drill": {"alerts/drills.py"},  # and the storm's part of it, saved: drill_watch.py
    "DrillFrame": {"alerts/drill_frames.py"},
    "Check": {"alerts/checks.py"},
    "FeedAlarm": {"alerts/feedwatch.py"},
    "ResponseOrder": {"alerts/drafts.py", "alerts/orders.py"},  # born there, then moved here
    "OrderEvent": {"alerts/drafts.py", "alerts/orders.py"},
    "OrderTask": {"alerts/drafts.py"},
    "OrderMeasure": {"alerts/drafts.py"},
    "Attachment": {"alerts/papers.py"},
    "PlanTable": {"alerts/plans.py"},
    "Signal": {"alerts/signals.py"},
    "Proposal": {"alerts/signals.py", "alerts/proposals.py"},  # made there, decided here
    "Bulletin": {"alerts/bulletins.py"},
    "Dispatch": {
        "notifications/dispatch.py",
        "notifications/canaries.py",
    },  # there only canaries' own are let go
    "Delivery": {
        "notifications/dispatch.py",
        "notifications/drills.py",
        "notifications/delivery.py",
        "notifications/telephony.py",
        "notifications/receipts.py",
        "notifications/canaries.py",
    },
    "Receipt": {"notifications/receipts.py", "notifications/canaries.py"},
    "ProviderReport": {"notifications/reports.py"},
    "Provider": {"notifications/health.py"},
    "CoverageNight": {"notifications/nights.py"},
    "Climb": {"escalation/starts.py", "escalation/climb.py"},
    "Rung": {"escalation/climb.py"},
    "LadderTable": {"escalation/in_force.py"},
    "Incident": {"escalation/incidents.py"},
    "CallTask": {"escalation/climb.py", "escalation/calls.py"},  # made by the rung; the rest is the desk's
    "Feedback": {"hazards/feedback.py"},
    "UnreadForm": {"hazards/feedback.py"},
    "TaskReport": {"hazards/tasks.py"},
    "Reminder": {"hazards/reminders.py"},
    "GroundReport": {"hazards/ground.py"},  # and its life cycle, saved: ground_acts.py
    "GroundPhoto": {"hazards/ground.py"},
    "GroundEvent": {"hazards/ground.py"},
    "Sample": {"monitoring/samples.py"},
    "KeptAnswer": {"backend/doors.py"},
}
WRITES = {
    "create", "bulk_create", "get_or_create", "update_or_create", "update", "bulk_update", "delete", "_raw_delete",
}  # fmt: skip
SQL_WRITE = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+(\w+_\w+)")
ELSEWHERE = re.compile(r"/(?:work|tmp|root|home|Users)/\w|[A-Z]:\\\\?Users")
UNWANTED = re.compile(
    r"\b(?:pypi|pythonhosted|anaconda|"
    + "cla"
    + r"ude|anth"
    + r"ropic|open"
    + r"ai|chat"
    + r"gpt|copi"
    + r"lot|ll"
    + r"ms?)\b",
    re.IGNORECASE,
)


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git working tree: nothing says which files belong to the repository")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def rooms() -> list[str]:
    return sorted(config.name for config in apps.get_app_configs() if Path(config.path).parent == ROOT)


def product_code() -> Iterator[tuple[str, ast.Module]]:
    for room in (*rooms(), "foundation"):
        for path in sorted((ROOT / room).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def test_imports_keep_the_floors_and_the_dry_rooms_dry() -> None:
    lint = "from importlinter.cli import lint_imports_command as lint; lint()"
    ran = subprocess.run(
        [sys.executable, "-c", lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 broken" in ran.stdout


def test_every_room_stands_on_a_floor() -> None:
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter")
    assert {*rooms(), "foundation"} <= set(contracts["importlinter"]["root_packages"].split())
    assert {*rooms(), "foundation"} <= set(
        re.split(r"[\s|]+", contracts["importlinter:contract:floors"]["layers"])
    )


def writes(tree: ast.Module) -> Iterator[str]:
    """Models written through their managers, and tables written in SQL, by model name."""
    by_table = {model._meta.db_table: model.__name__ for model in apps.get_models()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
            base: ast.expr = node.func.value
            while isinstance(base, ast.Call | ast.Attribute):
                base = base.func if isinstance(base, ast.Call) else base.value
            if isinstance(base, ast.Name):
                yield base.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (by_table[table] for table in SQL_WRITE.findall(node.value) if table in by_table)


def test_every_table_has_its_single_writer() -> None:
    found: dict[str, set[str]] = {}
    for path, tree in product_code():
        for model in writes(tree):
            found.setdefault(model, set()).add(path)
    strangers = {model: found.get(model, set()) - owners for model, owners in WRITERS.items()}
    assert not {model: paths for model, paths in strangers.items() if paths}
    unseen = {model for model in WRITERS if model not in found}
    assert unseen <= {"Session"}  # saved row by row; anything else here means this test sees nothing


def test_every_job_has_a_queue_that_is_declared_and_a_period() -> None:
    jobs = {name for name in app.tasks if not name.startswith("celery.")}
    declared = {queue.name for queue in settings.CELERY_TASK_QUEUES}
    routed = {name: app.amqp.router.route({}, name)["queue"].name for name in jobs}
    assert set(routed.values()) <= declared
    assert {name for name, queue in routed.items() if queue == "routine"} == {
        name for name in jobs if name.startswith("routine.")
    }
    assert jobs == set(PERIODS_S)
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} == jobs


def test_every_nudge_names_a_job() -> None:
    nudged = {
        node.args[0].value
        for _, tree in product_code()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"nudge", "nudge_at_most"}
        and isinstance(node.args[0], ast.Constant)
    }
    assert {"watch.assess", "dispatch.sweep", "delivery.send"} <= nudged <= set(PERIODS_S)


def test_every_lock_has_a_number_of_its_own() -> None:
    """Two rooms once shared one: while forms were taken up nobody looked whether a chase had stopped."""
    numbers = [
        node.value.value
        for _, tree in product_code()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        if any(isinstance(name, ast.Name) and name.id.endswith("_LOCK") for name in node.targets)
        if isinstance(node.value.value, int)
    ]
    assert len(numbers) == len(set(numbers)) >= 5


def test_only_the_edges_read_the_clock() -> None:
    """`now` is an argument elsewhere, so that a test may move time."""
    edges = {"api.py", "views.py", "tasks.py", "consumers.py", "doors.py", "health.py", "clock.py", "auth.py"}
    readers = {
        path
        for path, tree in product_code()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"datetime.now", "clock.now", "now", "timezone.now"}
        if not path.startswith(("replay/", "backend/"))
        and not {"management", "doors"} & set(Path(path).parts)
    }
    assert {path for path in readers if Path(path).name not in edges} == set()


@pytest.mark.parametrize(
    ("pattern", "what"),
    [(ELSEWHERE, "a path of one machine"), (UNWANTED, "a word that is not the product's")],
)
def test_the_tree_names_nothing_foreign(pattern: re.Pattern[str], what: str) -> None:
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # pictures and grids
        found += [f"{path.relative_to(ROOT)}: {what}: {match[0]}" for match in pattern.finditer(text)]
    assert not found


def test_no_test_sleeps_to_let_time_pass() -> None:
    """Time is moved. A short nap may poll for another process, inside a deadline of its own."""
    naps = {
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep", "sleep"}
        if not (isinstance(node.args[0], ast.Constant) and node.args[0].value <= 0.2)
    }
    assert not naps


def test_a_coroutine_asks_the_database_through_channels() -> None:
    """Django's own words for it (`aget`) leave a connection open in their thread: the test database cannot be dropped."""
    words = {f"a{word}" for word in (*WRITES, "get", "first", "last", "count", "exists", "aggregate", "save")}
    asked = {
        f"{path.relative_to(ROOT).as_posix()}: {node.attr}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in words
    }
    assert not asked
