"""HDF5 bytes from outside, opened and read so that they cannot hurt.

Owns the checks before HDF5 may look and the reading of arrays and attributes. Knows no rain (cf_netcdf,
odim_hdf5). What HDF5 2.0 does to a process, found by mutation: it loops for ever on a heap object of size 0, it
inflates a chunk of any size and writes over the end of one that is not its size, it allocates whatever length a text
in a heap is said to have (up to 4 GB), and it ends the process on damaged types and group names. So all of these are
looked at before it may read.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hydrology.science.grids import BadGrid

MAGIC: Final = b"\x89HDF\r\n\x1a\n"
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_CHUNKS: Final = 1024
MAX_HEAPS: Final = 64
MAX_GROUPS: Final = 2048
MAX_FREE_BLOCKS: Final = 256
MAX_HEAP_OBJECTS: Final = 1_000_000
MAX_TEXT: Final = 2**20
_HEAP: Final = re.compile(b"GCOL\x01")
_NAMES: Final = re.compile(rb"HEAP\0\0\0\0")
_NO_BLOCK: Final = 1
_POINTER_BYTES: Final = 16
# As many bytes a pointer, to unsigned numbers of 1 byte (HDF5 format 3.0, IV.A.2.d)
_TEXT_TYPE: Final = bytes.fromhex("10000000 10000000 01000000")
_FILTERS: Final = frozenset({h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32})

_PLAIN: Final = tuple(
    getattr(h5py.h5t, f"{kind}{bits}{order}")
    for kind, widths in (("STD_I", (8, 16, 32, 64)), ("STD_U", (8, 16, 32, 64)), ("IEEE_F", (32, 64)))
    for bits in widths
    for order in ("LE", "BE")
)

Array = NDArray[Any]


@contextmanager
def opened(body: bytes) -> Iterator[h5py.File]:
    """The file in `body`; whatever h5py raises inside the block leaves it as BadGrid. At most 64 MB."""
    _check_outside(body)
    try:
        with h5py.File(h5py.h5f.open_file_image(body)) as file:
            yield file
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        # What h5py raises on damaged files; our own findings are BadGrid and pass through.
        raise BadGrid("file", f"is damaged ({type(error).__name__})", "send the file again") from error


def is_own(group: h5py.Group, name: str) -> bool:
    """Whether `name` lies in this file: soft and external links could lead to other files of this machine."""
    return isinstance(group.get(name, getlink=True), h5py.HardLink)


def is_numeric(found: object) -> bool:
    """Whether it is a dataset of ordinary integers or floats."""
    return isinstance(found, h5py.Dataset) and _is_plain(found.id.get_type())


def text(holder: h5py.HLObject, attribute: str) -> str:
    """A text attribute without the space around it, empty when absent or not text."""
    given = _attribute(holder, attribute, _is_text)
    if isinstance(given, np.ndarray) and given.size == 1:
        given = given.item()
    found = given.decode("utf-8", "replace") if isinstance(given, bytes) else given
    return found.strip("\0 \t\r\n") if isinstance(found, str) else ""


def number(holder: h5py.HLObject, attribute: str, default: float) -> float:
    """A numeric attribute, `default` when absent. Raises BadGrid when it is something else."""
    if attribute not in holder.attrs:
        return default
    given = _attribute(holder, attribute, _is_number)
    if given is None:
        raise BadGrid(str(holder.name).lstrip("/"), f"{attribute} is not a number", "correct the attribute")
    return float(np.asarray(given).reshape(())[()])


def numbers(holder: h5py.HLObject, attribute: str) -> tuple[float, ...]:
    """Up to 4 numbers of an attribute; empty when it is absent or something else."""
    given = _attribute(holder, attribute, _is_number, most=4)
    return () if given is None else tuple(float(value) for value in np.asarray(given).ravel())


def _attribute(
    holder: h5py.HLObject, name: str, allowed: Callable[[h5py.h5a.AttrID], bool], most: int = 1
) -> object:
    """One to `most` values of an allowed type, None for all else."""
    if name not in holder.attrs:
        return None
    attribute = holder.attrs.get_id(name)
    few = 1 <= int(np.prod(attribute.shape or (), dtype=object)) <= most
    return holder.attrs[name] if few and allowed(attribute) else None


def _is_text(attribute: h5py.h5a.AttrID) -> bool:
    kind, stored = attribute.get_type(), attribute.get_storage_size()
    if kind.get_class() != h5py.h5t.STRING:
        return False
    return bool(stored == _POINTER_BYTES if kind.is_variable_str() else stored <= MAX_TEXT)


def _is_number(attribute: h5py.h5a.AttrID) -> bool:
    return _is_plain(attribute.get_type())


def _is_plain(kind: h5py.h5t.TypeID) -> bool:
    return kind.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT) and any(kind == plain for plain in _PLAIN)


def read(dataset: h5py.Dataset, most: int) -> Array:
    """All numbers, at most `most`, inflated only where they come out at the size they should."""
    name = str(dataset.name).lstrip("/")
    if not 0 < dataset.size <= most:
        raise BadGrid(name, f"has {dataset.size} values", f"send 1 to {most}")
    if dataset.is_virtual or dataset.external:
        raise BadGrid(name, "lies in another file", "send one file")
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(index)[0] for index in range(plan.get_nfilters())]
    if not _FILTERS.issuperset(filters) or len(set(filters)) < len(filters):
        raise BadGrid(name, f"is compressed with filters {filters}", "use deflate and shuffle")
    if dataset.chunks is not None:
        _check_chunks(name, dataset, frozenset(filters))
    return np.asarray(dataset[()])


def _check_chunks(name: str, dataset: h5py.Dataset, filters: frozenset[int]) -> None:
    """Every chunk comes out at exactly its size: HDF5 writes over the end of its memory where one does not."""
    chunk_bytes = int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize
    count = dataset.id.get_num_chunks()
    if chunk_bytes > max(4 * dataset.nbytes, 2**20) or count > MAX_CHUNKS:
        raise BadGrid(name, f"has {count} chunks of {chunk_bytes} bytes", "use one chunk a step")
    sizes = {chunk_bytes, chunk_bytes + 4} if h5py.h5z.FILTER_FLETCHER32 in filters else {chunk_bytes}
    for index in range(count):
        chunk = dataset.id.get_chunk_info(index)
        size = chunk.size
        if size > MAX_BYTES:
            raise BadGrid(name, "a chunk is larger than the file", "send the file again")
        if h5py.h5z.FILTER_DEFLATE in filters and not chunk.filter_mask:
            _, stored = dataset.id.read_direct_chunk(chunk.chunk_offset)
            try:
                size = len(zlib.decompressobj().decompress(stored, chunk_bytes + 64))
            except zlib.error as error:
                raise BadGrid(name, "a chunk is damaged", "send the file again") from error
        if size not in sizes:
            raise BadGrid(name, f"a chunk inflates to {size} of {chunk_bytes} bytes", "send the file again")


def _check_outside(body: bytes) -> None:
    if len(body) > MAX_BYTES:
        raise BadGrid("file", f"has {len(body)} bytes", f"send at most {MAX_BYTES} bytes")
    if not body.startswith(MAGIC):
        raise BadGrid("file", "is not HDF5", "write NetCDF as NetCDF-4 (nccopy -k nc4)")
    left = MAX_HEAP_OBJECTS
    heaps = [found.start() for found in islice(_HEAP.finditer(body), MAX_HEAPS + 1)]
    if len(heaps) > MAX_HEAPS:
        raise BadGrid("file", "has too many texts", "send the rain grid alone")
    for at in heaps:
        left = _walk_heap(body, at, left)
        _check_lengths(body, at)
    groups = [found.start() for found in islice(_NAMES.finditer(body), MAX_GROUPS + 1)]
    if len(groups) > MAX_GROUPS or not all(_names_lie_inside(body, at) for at in groups):
        raise BadGrid("file", "is damaged (names)", "send the file again")


def _names_lie_inside(body: bytes, at: int) -> bool:
    """Whether a group's heap of names and its free blocks do; HDF5 ends the process where they do not."""
    size, free, segment = (_uint64(body, at + n) for n in (8, 16, 24))
    for _ in range(MAX_FREE_BLOCKS):
        if free == _NO_BLOCK:
            return segment + size <= len(body)
        if segment + size > len(body) or free + 16 > size:
            return False
        following, length = _uint64(body, segment + free), _uint64(body, segment + free + 8)
        if free + length > size:
            return False
        free = following
    return False


def _uint64(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 8], "little")


def _check_lengths(body: bytes, heap: int) -> None:
    """A text is kept as its type and, soon behind it, length (4 bytes), heap (8), number: no length may be absurd."""
    pointer = heap.to_bytes(8, "little")
    at = body.find(pointer, 4)
    while at >= 0:
        length = int.from_bytes(body[at - 4 : at], "little")
        # Rain that looks like a pointer has no type before it.
        if length > MAX_TEXT and _TEXT_TYPE in body[max(0, at - 68) : at - 4]:
            raise BadGrid("file", "is damaged (heap)", "send the file again")
        at = body.find(pointer, at + 1)


def _walk_heap(body: bytes, at: int, left: int) -> int:
    """Check that walking the global heap at `at` ends inside it; returns how many objects may still come."""
    end = at + _uint64(body, at + 8)
    position = at + 16
    while position + 16 <= end:
        length = _uint64(body, position + 8)
        is_object = body[position : position + 2] != b"\0\0"
        # Index 0 is the free rest of the heap; its length counts its own header.
        step = 16 + (length + 7) // 8 * 8 if is_object else length
        position, left = position + step, left - 1
        if step < 16 or position > end or end > len(body) or left < 0:
            raise BadGrid("file", "is damaged (heap)", "send the file again")
    return left
