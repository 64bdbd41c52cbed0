"""How an import tells a person what it found: so many lines of a kind, a fault with its line and what to do."""

from collections.abc import Iterable, Iterator

from hydrology.science.register_rows import Fault

MOST_SHOWN = 200  # of a kind of line; the counts are always whole


def listed(head: str, lines: Iterable[str]) -> Iterator[str]:
    """Lines of one kind for the terminal, each with its end."""
    for number, line in enumerate(lines):
        if number == MOST_SHOWN:
            yield f"   {head} …\n"
            return
        yield f"   {head} {line}".rstrip() + "\n"


def fault_said(fault: Fault) -> str:
    """A fault in both languages."""
    return (
        f"第 {fault.line} 行 {fault.column} {fault.shown!r}：{fault.zh}。\n"
        f"     line {fault.line} {fault.column} {fault.shown!r}: {fault.en}."
    )
