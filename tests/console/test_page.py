"""The pages: the same for everybody, Chinese first, nothing from elsewhere and nothing inline."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from console.views import CONTENT_POLICY
from hazards.models import CloseReason, GroundKind, GroundSeverity, GroundStatus
from hydrology.models import SourceKind, Verdict
from hydrology.science.feed_states import Doubt, FeedState
from hydrology.science.stages import LimitKind, Stand
from officers.models import Platform

STATIC = Path(__file__).parents[2] / "console" / "static" / "console"
SCRIPTS = sorted(STATIC.glob("*.js"))
WORDS = "".join(path.read_text() for path in sorted(STATIC.glob("words*.js")))


PAGES = {
    "/console/": 3,
    "/console/danger": 4,
    "/console/orders": 4,
    "/console/ground": 4,
    "/console/people": 4,
    "/console/drills": 4,
    "/console/water": 4,
    "/console/feeds": 4,
    "/console/slo": 4,
    "/console/report": 4,
}  # address -> static files it names


@pytest.fixture(params=PAGES)
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def html(address: str) -> str:
    return Client().get(address).content.decode()


def test_page_allows_scripts_and_styles_only_from_ourselves(address: str) -> None:
    policy = Client().get(address)["Content-Security-Policy"]
    assert policy == CONTENT_POLICY
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy


def test_page_is_read_only(address: str) -> None:
    assert Client().post(address).status_code == 405


def test_every_page_leads_to_the_others(html: str) -> None:
    assert set(PAGES) <= set(re.findall(r'<a href="([^"]+)"', html))


def test_page_is_chinese_until_the_reader_chooses_english(html: str) -> None:
    assert '<html lang="zh-CN">' in html
    assert re.search(r'data-word="sign_in">登录<', html)


def test_page_has_no_inline_script_style_or_listener(html: str) -> None:
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", html)
    assert all("src=" in script for script in re.findall(r"<script[^>]*>", html))


def test_every_file_the_page_names_is_served(address: str, html: str) -> None:
    names = re.findall(r"static/(console/[\w.]+)", html)
    assert len(names) == PAGES[address]
    assert all(finders.find(name) for name in names)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_imports_only_files_beside_it(script: Path) -> None:
    imported = re.findall(r'from "([^"]+)"', script.read_text())
    assert all((STATIC / name).is_file() for name in imported)
    assert not re.search(r"https?://(?!www\.w3\.org/)", script.read_text())


def test_every_fixed_text_has_both_languages(html: str) -> None:
    wanted = set(re.findall(r'data-(?:word|withheld)="(\w+)"', html))
    for script in SCRIPTS:
        wanted |= set(re.findall(r'\bword\("(\w+)"\)', script.read_text()))
    missing = {
        key for key in wanted if not re.search(rf'^  {key}: \["[^"]+", "[^"]+"\]', WORDS, re.MULTILINE)
    }
    assert len(wanted) > 50
    assert not missing


def test_every_page_says_of_what_its_parts_are_drawn_and_reads_that(html: str) -> None:
    read = set(re.findall(r'\bread\("(\w+)"', "".join(script.read_text() for script in SCRIPTS)))
    read |= {
        "feeds",
        "checks",
        "telegrams",
        "posts",
        "calls",
        "coverage",
        "probes",
        "nights",
        "rain",
        "radar",
    }  # by a variable
    named = {name for names in re.findall(r'data-reads="([^"]*)"', html) for name in names.split()}
    assert named
    assert named <= read


def test_every_code_feeds_levels_and_reports_speak_has_its_words_in_both_languages() -> None:
    spoken = {
        "feed_state": set(FeedState),
        "doubt": set(Doubt) - {Doubt.NONE},
        "source_kind": set(SourceKind),
        "verdict": set(Verdict),
        "stand": set(Stand),
        "limit": set(LimitKind),
        "ground_kind": set(GroundKind),
        "ground_severity": set(GroundSeverity),
        "ground_status": set(GroundStatus),
        "ground_reason": set(CloseReason),
        "platform": set(Platform),
    }
    for kind, codes in spoken.items():
        [line] = re.findall(rf"^  {kind}: \{{(.*)\}},$", WORDS, re.MULTILINE)
        assert {str(code) for code in codes} <= set(re.findall(r'(\w+): \["[^"]+", "[^"]+"\]', line)), kind


def test_only_pictures_may_come_from_what_scripts_have_fetched(address: str) -> None:
    policy = Client().get(address)["Content-Security-Policy"]
    assert re.findall(r"([a-z-]+) [^;]*blob:", policy) == ["img-src"]
