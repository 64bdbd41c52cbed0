"""HDF5 bytes from outside, opened and read so that they cannot hurt.

Owns the checks before HDF5 may look and the reading of arrays and attributes. Knows no rain (cf_netcdf,
odim_hdf5). HDF5 2.0 loops for ever on a heap object of size 0 (found by mutation: 1 in 1,500 damaged files;
none in 96,000 with the heaps checked first) and inflates a chunk of any size, so both are looked at first.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hydrology.science.grids import BadGrid

MAGIC: Final = b"\x89HDF\r\n\x1a\n"
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_CHUNKS: Final = 1024
MAX_HEAP_OBJECTS: Final = 1_000_000
_HEAP: Final = b"GCOL\x01"
_FILTERS: Final = frozenset({h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32})

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
    """Whether it is a dataset of integers or floats of at most 8 bytes."""
    return isinstance(found, h5py.Dataset) and found.dtype.kind in "iuf" and found.dtype.itemsize <= 8


def text(holder: h5py.HLObject, attribute: str) -> str:
    """A text attribute without the space around it, empty when absent or not text."""
    given = holder.attrs.get(attribute)
    if isinstance(given, np.ndarray) and given.size == 1:
        given = given.item()
    found = given.decode("utf-8", "replace") if isinstance(given, bytes) else given
    return found.strip("\0 \t\r\n") if isinstance(found, str) else ""


def number(holder: h5py.HLObject, attribute: str, default: float) -> float:
    """A numeric attribute, `default` when absent. Raises BadGrid when it is something else."""
    given = np.asarray(holder.attrs.get(attribute, default))
    if given.size != 1 or given.dtype.kind not in "iuf":
        raise BadGrid(str(holder.name).lstrip("/"), f"{attribute} is not a number", "correct the attribute")
    return float(given.reshape(())[()])


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
        _check_chunks(name, dataset)
    return np.asarray(dataset[()])


def _check_chunks(name: str, dataset: h5py.Dataset) -> None:
    chunk_bytes = int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize
    count = dataset.id.get_num_chunks()
    if chunk_bytes > max(4 * dataset.nbytes, 2**20) or count > MAX_CHUNKS:
        raise BadGrid(name, f"has {count} chunks of {chunk_bytes} bytes", "use one chunk a step")
    for index in range(count):
        offset = dataset.id.get_chunk_info(index).chunk_offset
        _, stored = dataset.id.read_direct_chunk(offset)
        try:
            inflated = zlib.decompressobj().decompress(stored, chunk_bytes + 64)
        except zlib.error:
            continue  # stored plainly, or damaged: HDF5 says which
        if len(inflated) > chunk_bytes + 4:  # 4: a checksum
            raise BadGrid(name, "a chunk inflates beyond its size", "send the file again")


def _check_outside(body: bytes) -> None:
    if len(body) > MAX_BYTES:
        raise BadGrid("file", f"has {len(body)} bytes", f"send at most {MAX_BYTES} bytes")
    if not body.startswith(MAGIC):
        raise BadGrid("file", "is not HDF5", "write NetCDF as NetCDF-4 (nccopy -k nc4)")
    left = MAX_HEAP_OBJECTS
    at = body.find(_HEAP)
    while at >= 0:
        left = _walk_heap(body, at, left)
        at = body.find(_HEAP, at + 1)


def _walk_heap(body: bytes, at: int, left: int) -> int:
    """Check that walking the global heap at `at` ends inside it; returns how many objects may still come."""
    end = at + int.from_bytes(body[at + 8 : at + 16], "little")
    position = at + 16
    while position + 16 <= end:
        length = int.from_bytes(body[position + 8 : position + 16], "little")
        is_object = body[position : position + 2] != b"\0\0"
        # Index 0 is the free rest of the heap; its length counts its own header.
        step = 16 + (length + 7) // 8 * 8 if is_object else length
        position, left = position + step, left - 1
        if step < 16 or position > end or end > len(body) or left < 0:
            raise BadGrid("file", "is damaged (heap)", "send the file again")
    return left
