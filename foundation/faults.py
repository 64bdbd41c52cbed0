"""What a serializer finds wrong, as every door says it: flat, one text a field, in the reader's language. Dry."""

from collections.abc import Iterator

from foundation.errors import in_one
from foundation.texts import UNKEEPABLE

WHOLE = "non_field_errors"  # DRF's name for what is wrong with all of it
WORDS = {  # where its own say nothing, or not in Chinese: (code, text, or any) -> ours
    ("null", "No data provided"): "请求体不能为空，须为 JSON 对象 / must not be empty: send a JSON object",
    (
        "null_characters_not_allowed",
        "",
    ): "不能含有空字符，请删去 / must not hold a NUL character; take it out",
    ("surrogate_characters_not_allowed", ""): UNKEEPABLE,
}


def flat(detail: object, language: str) -> dict[str, str]:
    """DRF's nested faults as field -> text, what lies deeper with its place within the field."""
    if not isinstance(detail, dict):
        detail = {WHOLE: detail}
    faults = {}
    for name, its in detail.items():
        said = (
            f"{place.removeprefix('.')}: {why}".removeprefix(": ") for place, why in _leaves(its, language)
        )
        faults["body" if name == WHOLE else str(name)] = "; ".join(said)
    return faults


def _leaves(detail: object, language: str, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(detail, dict):
        for name, its in detail.items():
            yield from _leaves(its, language, place if name == WHOLE else f"{place}.{name}")
    elif isinstance(detail, list):
        deep = any(isinstance(its, dict | list) for its in detail)
        for index, its in enumerate(detail):
            if its:
                yield from _leaves(its, language, f"{place}.{index}" if deep else place)
    else:
        code = getattr(detail, "code", "")
        yield place, in_one(WORDS.get((code, str(detail)), WORDS.get((code, ""), str(detail))), language)
