"""Files that appear in a folder of this machine: listed, left alone while they grow, taken once, oldest first.

Owns which file is new and where it goes: to done/ or refused/ beside it, or nowhere (`"after": "leave"`, for folders
we may only read). Writes nothing else. A file is known by name, size and mtime. No inotify: shared folders have none.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Final

from foundation.clock import local
from foundation.errors import Refusal
from hydrology.models import Source
from hydrology.sources.fetched import Fetched, Mark, fault
from hydrology.sources.url import MOST_BYTES, MOST_OTHER_BYTES

UNFINISHED: Final = (".part", ".tmp", ".filepart", ".writing")
MOST_SEEN: Final = (
    5000  # names kept in the mark; beyond, files as old as the oldest of them are taken as seen
)
_NS: Final = 1_000_000_000
_NUMBERS: Final = {"settled_s": 10, "window_s": 2 * 86400}
Stamp = list[int]  # size in bytes, mtime in ns: as JSON gives it back


@dataclass(frozen=True, slots=True)
class _Plan:
    root: Path
    glob: str
    folders: tuple[Path, ...]
    leave: bool
    settled_s: int
    window_s: int
    most_bytes: int


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    path: Path
    stamp: Stamp


def fetch(source: Source, now: datetime) -> Iterator[Fetched]:
    """The settled files not taken yet, oldest first. Raises Refusal at the end, naming a file that could not be read."""
    plan = check(source, now)
    now_ns = int(now.timestamp() * _NS)
    mark, files = _listed(plan, source.mark, now_ns)
    failed: Refusal | None = None
    for file in files:
        if file.stamp[0] > plan.most_bytes:
            yield Fetched("", b"", mark, note=_too_large(plan, file))
            continue
        try:
            body = _read(plan, file)
        except Refusal as refusal:
            failed = refusal
            continue
        if body is None:  # it grew while it was read
            continue
        mark = {**mark, "seen": {**mark["seen"], file.name: file.stamp}}
        settle = None if plan.leave else partial(_put_away, plan, file)
        yield Fetched(source.door, body, mark, name=file.name, settle=settle)
    yield Fetched("", b"", _bounded(mark))
    if failed:
        raise failed


def check(source: Source, now: datetime) -> _Plan:
    """Raises Refusal when the folder is not there or the mapping cannot be meant."""
    root, mapping = Path(source.address), source.mapping
    if not root.is_absolute() or not root.is_dir():
        raise fault(
            "address",
            f"文件夹 {source.address} 不存在或不是绝对路径，请检查挂载与权限。",
            f"the folder {source.address} is not there or not an absolute path: check the mount and its rights.",
        )
    numbers = {name: mapping.get(name, default) for name, default in _NUMBERS.items()}
    for name, number in numbers.items():
        if type(number) is not int or number < 0:
            raise fault(
                f"mapping.{name}", f"mapping.{name} 须为整秒。", f"mapping.{name} must be whole seconds."
            )
    glob, after, days = (mapping.get(k, d) for k, d in (("glob", "*"), ("after", "move"), ("subfolders", "")))
    if not isinstance(glob, str) or not isinstance(days, str) or after not in ("move", "leave"):
        raise fault(
            "mapping.after",
            "mapping.glob、subfolders 须为文本，after 须为 move 或 leave。",
            "mapping.glob and subfolders must be texts, after must be move or leave.",
        )
    dates = [local(now - timedelta(days=back)).strftime(days) for back in (1, 0)] if days else ["."]
    return _Plan(
        root, glob, tuple(root / date for date in dict.fromkeys(dates)), after == "leave", **numbers,
        most_bytes=MOST_BYTES.get(source.door, MOST_OTHER_BYTES),
    )  # fmt: skip


def _listed(plan: _Plan, old: Mark, now_ns: int) -> tuple[Mark, list[_File]]:
    """The mark without names that are gone, and the settled new files, oldest first."""
    oldest_ns = max(old.get("floor", 0), now_ns - plan.window_s * _NS if plan.leave else 0)
    seen_before, growing_before = old.get("seen", {}), old.get("growing", {})
    seen: dict[str, Stamp] = {}
    growing: dict[str, list[int]] = {}
    files = []
    for file in _candidates(plan):
        if file.stamp == seen_before.get(file.name):
            seen[file.name] = file.stamp
        elif file.stamp[1] <= oldest_ns:
            continue
        elif _settled(plan, file.stamp, growing_before.get(file.name), now_ns):
            files.append(file)
        else:
            before = growing_before.get(file.name)
            growing[file.name] = before if before and before[:2] == file.stamp else [*file.stamp, now_ns]
    files.sort(key=lambda file: (file.stamp[1], file.name))
    return {"seen": seen, "growing": growing, "floor": old.get("floor", 0)}, files


def _settled(plan: _Plan, stamp: Stamp, before: list[int] | None, now_ns: int) -> bool:
    """Unchanged for `settled_s`: by its mtime, or, where the file server's clock is ahead, since we first saw it so."""
    quiet_ns = now_ns - plan.settled_s * _NS
    return stamp[1] <= quiet_ns or (before is not None and before[:2] == stamp and before[2] <= quiet_ns)


def _candidates(plan: _Plan) -> Iterator[_File]:
    inside = cache(partial(_inside, plan))
    try:
        for folder in plan.folders:
            for path in folder.glob(plan.glob):
                name = _name(path.relative_to(plan.root))
                if name.startswith((".", "done/", "refused/")) or path.name.startswith("."):
                    continue
                if path.name.lower().endswith(UNFINISHED) or path.is_symlink():
                    continue
                if not inside(path.parent):
                    continue
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue  # gone between two looks: it was never ours
                if path.is_file() and status.st_size:  # an empty one is still to be filled
                    yield _File(name, path, [status.st_size, status.st_mtime_ns])
    except OSError as error:
        raise fault(
            "address",
            f"文件夹 {plan.root} 无法列出（{error.strerror}），请检查挂载与权限。",
            f"the folder {plan.root} cannot be listed ({error.strerror}): check the mount and its rights.",
        ) from error


def _inside(plan: _Plan, folder: Path) -> bool:
    """Whether it lies in the source's folder, links followed: a linked directory leads to files that are not ours."""
    return folder.resolve().is_relative_to(plan.root.resolve())


def _name(path: Path) -> str:
    """As text the database can keep: names in GBK are no UTF-8."""
    return os.fsencode(path.as_posix()).decode(errors="backslashreplace")


def _read(plan: _Plan, file: _File) -> bytes | None:
    """The whole file; None when it changed meanwhile. Raises Refusal with its name."""
    try:
        with file.path.open("rb") as opened:
            body = opened.read(plan.most_bytes + 1)
        status = file.path.stat()
    except OSError as error:
        raise fault(
            "address",
            f"文件 {file.name} 无法读取（{error.strerror}），请检查权限。",
            f"the file {file.name} cannot be read ({error.strerror}): check its rights.",
        ) from error
    return body if [status.st_size, status.st_mtime_ns] == file.stamp else None


def _too_large(plan: _Plan, file: _File) -> str:
    most_mb = plan.most_bytes // 1024 // 1024
    return (
        f"文件 {file.name} 超过 {most_mb} MB，未读取，请移走或拆分。 "
        f"The file {file.name} is larger than {most_mb} MB and was not read: move it away or split it."
    )


def _put_away(plan: _Plan, file: _File, taken: bool) -> None:
    target = plan.root / ("done" if taken else "refused") / file.path.relative_to(plan.root)
    if not _inside(plan, target.parent):
        raise fault(
            "mapping.after",
            f"文件 {file.name} 未移走：{target.parent.name}/ 链接到来源文件夹之外，请改为普通文件夹。",
            f"the file {file.name} was not moved: {target.parent.name}/ leads out of the folder; make it a plain one.",
        )
    if target.exists():  # another one of that name was taken before
        target = target.with_name(f"{target.stem}~{file.stamp[1]}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file.path.rename(target)
    except OSError as error:
        raise fault(
            "mapping.after",
            f"文件 {file.name} 已入库但无法移走（{error.strerror}）。请给予写权限，或在映射中写 after=leave。",
            f"the file {file.name} was taken but cannot be moved ({error.strerror}): give the right to write, or set "
            "after=leave.",
        ) from error


def _bounded(mark: Mark) -> Mark:
    newest = sorted(mark["seen"].items(), key=lambda item: item[1][1], reverse=True)
    if len(newest) <= MOST_SEEN:
        return mark
    return {**mark, "seen": dict(newest[:MOST_SEEN]), "floor": newest[MOST_SEEN][1][1]}
