"""How long a field is where only its name says when it was: the mapping's key `field` (docs/sources.md). Dry."""

from hydrology.sources.fetched import fault

MOST_MIN = 30


def length_of(mapping: object) -> int:
    """Minutes each file was summed over. Raises Refusal naming the faulty key."""
    given = mapping.get("length_min") if isinstance(mapping, dict) and len(mapping) == 1 else None
    if type(given) is int and 1 <= given <= MOST_MIN:
        return given
    raise fault(
        "mapping.field",
        f'mapping.field 须为 {{"length_min": 5}}，1 至 {MOST_MIN} 的整数分钟。',
        f'mapping.field must be {{"length_min": 5}}, whole minutes from 1 to {MOST_MIN}.',
    )
