"""Papers by content: what they are called never decides, what acts by itself is refused, nothing crashes the reading."""

import io
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rest_framework.test import APIClient

from alerts import papers
from alerts.assessment.paper import (
    DOCX,
    HEIC,
    JPEG,
    PDF,
    PNG,
    SUFFIXES,
    WEBP,
    XLSX,
    BadPaper,
    media_type,
    named,
    photo_type,
)
from alerts.models import Attachment
from hydrology.models import Region
from officers.models import Duty
from tests.alerts.conftest import DISTRICT, signed_in
from tests.alerts.test_doors import order

Regions = dict[str, Region]


def picture(form: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, form)
    return out.getvalue()


def package(*parts: str, types: str = "<Types/>", contents: bool = True) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        if contents:
            file.writestr("[Content_Types].xml", types)
        for part in parts:
            file.writestr(part, "<x/>")
    return out.getvalue()


PAPERS = {
    PDF: b"%PDF-1.7\n1 0 obj\n%%EOF\n",
    PNG: picture("PNG"),
    JPEG: picture("JPEG"),
    DOCX: package("word/document.xml", "docProps/app.xml"),
    XLSX: package("xl/workbook.xml", "xl/printerSettings/printerSettings1.bin"),
}


@pytest.mark.parametrize(("kind", "body"), PAPERS.items())
def test_five_kinds_are_known_by_their_content(kind: str, body: bytes) -> None:
    assert media_type(body) == kind


@pytest.mark.parametrize(
    "body",
    [
        b"", b"MZ\x90\x00", b"<html><script>", b"GIF89a", b"%PDF-1.7 cut off", picture("PNG")[:40],
        picture("JPEG")[:-200] + b"\x00" * 200, package("a.txt"), package("word/document.xml", contents=False),
        package("word/document.xml", "xl/workbook.xml"), PAPERS[DOCX][:200], b"PK\x03\x04" + b"\x00" * 99,
        package("word/document.xml", "word/vbaProject.bin"), package("xl/workbook.xml", "xl/macrosheets/sheet1.xml"),
        package("word/document.xml", "word/activeX/activeX1.xml"),
        package("word/document.xml", types="application/vnd.ms-word.document.macroEnabled.main+xml"),
    ],
)  # fmt: skip
def test_anything_else_and_whatever_acts_by_itself_is_refused(body: bytes) -> None:
    with pytest.raises(BadPaper) as caught:
        media_type(body)
    assert caught.value.zh and caught.value.en


def test_a_package_that_unpacks_to_too_much_is_refused_unread() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("word/document.xml", b"\x00" * 1024)
        for n in range(5001):
            file.writestr(f"{n}", b"")
    with pytest.raises(BadPaper, match="too many parts"):
        media_type(out.getvalue())


@given(
    st.sampled_from(
        [b"", b"%PDF-", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"PK\x03\x04", PAPERS[DOCX][:120]]
    ),
    st.binary(),
)
def test_no_bytes_crash_the_reading(head: bytes, rest: bytes) -> None:
    try:
        assert media_type(head + rest) in SUFFIXES
    except BadPaper as bad:
        assert bad.zh


PHOTOS = {
    JPEG: picture("JPEG"),
    PNG: picture("PNG"),
    WEBP: picture("WEBP"),
    HEIC: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x08mdat",
}


@pytest.mark.parametrize(("kind", "body"), PHOTOS.items())
def test_a_photo_is_known_by_its_content_and_whole(kind: str, body: bytes) -> None:
    assert photo_type(body) == kind
    assert photo_type(body + b"the film of a moving picture") == kind
    assert photo_type(body[: len(body) // 2]) is None


@given(st.sampled_from([b"", *(body[:12] for body in PHOTOS.values())]), st.binary())
def test_no_bytes_crash_the_look_at_a_photo(head: bytes, rest: bytes) -> None:
    assert photo_type(head + rest) in {None, *PHOTOS}


@pytest.mark.parametrize("body", [PAPERS[PDF], PAPERS[DOCX], b"GIF89a", b"<svg/>", b"RIFF\x04\0\0\0WAVE"])
def test_what_is_no_photo_is_none(body: bytes) -> None:
    assert photo_type(body) is None


@given(st.text(), st.sampled_from(sorted(SUFFIXES)))
def test_a_name_is_only_a_name_and_its_suffix_tells_the_content(name: str, kind: str) -> None:
    given_name = named(name, kind)
    assert 0 < len(given_name) <= 120
    assert given_name.lower().endswith(SUFFIXES[kind])
    assert not set(given_name) & set('/\\<>:"|?*\r\n\x00')
    assert not given_name.startswith(".")


def test_names_are_kept_where_they_can_be() -> None:
    assert named("防汛Ⅱ级通知.PDF", PDF) == "防汛Ⅱ级通知.PDF"
    assert named("C:\\tmp\\..\\run.exe", PDF) == "run.exe.pdf"
    assert named("../../etc/passwd", PNG) == "passwd.png"


@pytest.fixture
def desk(regions: Regions) -> APIClient:
    return signed_in((regions[DISTRICT], Duty.DESK))


@pytest.fixture
def path(desk: APIClient) -> str:
    pk = desk.post("/api/v1/orders", order(), format="json").json()["id"]
    return f"/api/v1/orders/{pk}/attachments"


def send(api: APIClient, path: str, body: bytes, name: str = "a.pdf", **how: Any) -> Any:
    return api.post(path, {"file": SimpleUploadedFile(name, body, content_type="text/html")}, **how)


@pytest.mark.parametrize(("kind", "body"), PAPERS.items())
def test_what_the_sender_calls_it_does_not_matter(desk: APIClient, path: str, kind: str, body: bytes) -> None:
    answer = send(desk, path, body, "x.html")
    assert (answer.status_code, answer.json()["media_type"]) == (201, kind)
    row = Attachment.objects.get()
    assert (bytes(row.body), row.size, row.name) == (body, len(body), f"x.html{SUFFIXES[kind][0]}")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"<html>", 415, "paper_type"),
        (b"%PDF-" + b"0" * papers.MOST_BYTES + b"%%EOF", 413, "paper_too_large"),
        (b"", 413, "paper_too_large"),
    ],
    ids=["type", "large", "empty"],
)
def test_a_wrong_file_is_refused_in_both_languages(
    desk: APIClient, path: str, body: bytes, status: int, code: str
) -> None:
    zh, en = (send(desk, path, body, HTTP_ACCEPT_LANGUAGE=language) for language in ("zh", "en"))
    assert (zh.status_code, zh.json()["code"], en.json()["code"]) == (status, code, code)
    assert zh.json()["message"] != en.json()["message"]
    assert not Attachment.objects.exists()


def test_without_a_file_the_field_is_named(desk: APIClient, path: str) -> None:
    answer = desk.post(path, {"file": "text"})
    assert (answer.status_code, answer.json()["fields"]) == (400, {"file": "required"})


def test_an_order_has_ten_papers_at_most(desk: APIClient, path: str) -> None:
    for n in range(papers.MOST_PAPERS):
        assert send(desk, path, PAPERS[PDF] + b" " * n).status_code == 201
    answer = send(desk, path, PAPERS[PNG])
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_papers")


def test_another_districts_desk_adds_nothing(path: str, regions: Regions) -> None:
    neighbour = signed_in((regions["440304"], Duty.DESK))
    assert send(neighbour, path, PAPERS[PDF]).status_code == 404
    commander = signed_in((regions[DISTRICT], Duty.COMMAND))
    assert send(commander, path, PAPERS[PDF]).status_code == 403
    assert not Attachment.objects.exists()
