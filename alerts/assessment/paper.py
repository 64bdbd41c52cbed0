"""What kind of paper or photo these bytes are, by content and never by name: PDF, PNG, JPEG, DOCX, XLSX; WebP, HEIC. Dry.

Nothing is unpacked but the small table of contents of an office file. Macros, ActiveX and a table of contents that is
too long are refused. Sources: ISO 32000-1 7.5, PNG 5.2, ITU-T T.81 B.1.1.3, ECMA-376 part 2 (Open Packaging), RFC 9649
2.4 (WebP), ISO/IEC 23008-12 10.2 (the brands of HEIF).
"""

import io
import zipfile
from typing import Final

PDF: Final = "application/pdf"
PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
WEBP: Final = "image/webp"
HEIC: Final = "image/heic"
SUFFIXES: Final = {
    PDF: (".pdf",),
    PNG: (".png",),
    JPEG: (".jpg", ".jpeg"),
    DOCX: (".docx",),
    XLSX: (".xlsx",),
}
MOST_PARTS: Final = 5000
MOST_UNPACKED: Final = 500 * 1024 * 1024
MOST_TYPES: Final = 1024 * 1024
_CONTENTS: Final = "[Content_Types].xml"
_OFFICE: Final = {"word/document.xml": DOCX, "xl/workbook.xml": XLSX}
_HEIF: Final = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
_ACTIVE: Final = ("vbaproject", "vbadata", "activex", "macrosheets", "dialogsheets")


class BadPaper(ValueError):
    """It is none of the five, or holds what may act by itself; zh and en say which."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


UNKNOWN: Final = (
    "只能添加 PDF、PNG、JPEG、DOCX、XLSX 文件",
    "only PDF, PNG, JPEG, DOCX and XLSX files can be added",
)


def media_type(body: bytes) -> str:
    """One of the keys of SUFFIXES. Raises BadPaper, never anything else."""
    if body.startswith(b"%PDF-") and b"%%EOF" in body[-2048:]:
        return PDF
    if kind := _png_or_jpeg(body, body[-64:]):
        return kind
    if body.startswith(b"PK\x03\x04"):
        return _office(body)
    raise BadPaper(*UNKNOWN)


def photo_type(body: bytes) -> str | None:
    """PNG, JPEG, WEBP or HEIC; None for anything else and for what is cut off.

    A phone's JPEG may be followed by more, such as the film of a moving picture: its end may stand anywhere.
    """
    if kind := _png_or_jpeg(body, body):
        return kind
    if (
        body.startswith(b"RIFF")
        and body[8:12] == b"WEBP"
        and int.from_bytes(body[4:8], "little") + 8 <= len(body)
    ):
        return WEBP
    if body[4:8] == b"ftyp" and body[8:12] in _HEIF and b"mdat" in body:
        return HEIC
    return None


def named(name: str, kind: str) -> str:
    """The file's name without its folders and characters that act, with a suffix that fits; at most 120 characters."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(char for char in last if char.isprintable() and char not in '<>:"|?*').strip(" .")
    suffixes = SUFFIXES[kind]
    if kept.lower().endswith(suffixes):
        stem, suffix = kept[: kept.rindex(".")], kept[kept.rindex(".") :]
    else:
        stem, suffix = kept, suffixes[0]
    return (stem.strip(" .")[: 120 - len(suffix)] or "file") + suffix


def _png_or_jpeg(body: bytes, end: bytes) -> str | None:
    """By its head, and by what must close it somewhere in `end`."""
    if body.startswith(b"\x89PNG\r\n\x1a\n") and body[12:16] == b"IHDR" and b"IEND" in end:
        return PNG
    if body.startswith(b"\xff\xd8\xff") and b"\xff\xd9" in end:
        return JPEG
    return None


def _office(body: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as package:
            parts = package.infolist()
            names = {part.filename for part in parts}
            if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_UNPACKED:
                raise BadPaper("文件内容过大或条目过多", "the file unpacks to too much or has too many parts")
            kinds = {kind for part, kind in _OFFICE.items() if part in names}
            if _CONTENTS not in names or len(kinds) != 1:
                raise BadPaper(*UNKNOWN)
            with package.open(_CONTENTS) as contents:
                types = contents.read(MOST_TYPES)
    except BadPaper:
        raise
    except Exception as error:  # the zip module raises a dozen kinds for broken archives
        raise BadPaper("文件已损坏", f"the file is damaged ({type(error).__name__})") from None
    if b"macroEnabled" in types or any(word in part.lower() for part in names for word in _ACTIVE):
        raise BadPaper("文件含有宏，请另存为不含宏的文件", "the file holds macros; save it without")
    return kinds.pop()
