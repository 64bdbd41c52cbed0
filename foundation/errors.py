"""One error for everything a caller may do wrong: a stable code, a text in two languages, what to do next."""

from collections.abc import Mapping

from django.utils.translation.trans_real import parse_accept_lang_header


class Refusal(Exception):
    """What was asked cannot be done, and nothing was changed.

    `code` is stable English for programs; `zh` and `en` are for people and say what to do next; `fields` names the
    faulty fields, each with its reason in one language or as "中文 / English"; `status` is the HTTP status a door answers
    with; `retry_after_s` says when to ask again, where that is known.
    """

    def __init__(
        self,
        code: str,
        *,
        zh: str,
        en: str,
        status: int = 400,
        fields: Mapping[str, str] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {en}")
        self.code = code
        self.zh = zh
        self.en = en
        self.status = status
        self.fields = dict(fields or {})
        self.retry_after_s = retry_after_s

    def message(self, language: str) -> str:
        """The text in the reader's language; Chinese unless English is asked for."""
        return self.en if language.startswith("en") else self.zh

    def answer(self, language: str) -> dict[str, object]:
        """`{code, message, fields}` as every door says it."""
        fields = {name: in_one(why, language) for name, why in self.fields.items()}
        return {"code": self.code, "message": self.message(language), "fields": fields}


def language_of(accept: str) -> str:
    """ "en" where an Accept-Language header weighs English above Chinese; else "zh"."""
    wanted = (tongue[:2] for tongue, weight in parse_accept_lang_header(accept) if weight)
    return next((tongue for tongue in wanted if tongue in {"zh", "en"}), "zh")


def in_one(text: str, language: str) -> str:
    """Of a text said as "中文 / English" the reader's half; what is said in one language stays."""
    zh, _, en = text.partition(" / ")
    if not en or not any("\u4e00" <= sign <= "\u9fff" for sign in zh):
        return text
    return en if language.startswith("en") else zh


def not_found(what_zh: str, what_en: str) -> Refusal:
    """404: it does not exist or lies outside the caller's regions; the two look alike on purpose."""
    return Refusal(
        "not_found",
        zh=f"{what_zh}不存在，或不在您的管辖范围内。请核对编号。",
        en=f"No such {what_en}, or it lies outside your regions. Check the number.",
        status=404,
    )
