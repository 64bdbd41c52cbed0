"""What PostgreSQL keeps of a text from outside, in text or in JSON: neither NUL nor half a surrogate pair. Dry."""

UNKEEPABLE = "含有无法保存的字符 / contains characters that cannot be kept"


def storable(text: str) -> bool:
    """Whether it can be kept as it is."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def printable(text: str, most: int | None = None) -> str:
    """What can be kept and shown of so many signs: any other is a question mark."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:most])
