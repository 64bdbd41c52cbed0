"""The variables of a CF file: what each says it is, and its numbers.

Owns finding them by attribute, never by name. What they mean is cf_netcdf.py's (rain, time) and cf_place.py's.
"""

from collections.abc import Iterator
from typing import Any, Final

import h5py
from numpy.typing import NDArray

from hydrology.science.formats import hdf5
from hydrology.science.grids import BadGrid

MAX_VARIABLES: Final = 64
Array = NDArray[Any]


class Variable:
    """One numeric dataset of the root group: what it says it is, and its numbers."""

    def __init__(self, name: str, dataset: h5py.Dataset) -> None:
        self.name = name
        self.dataset = dataset
        self.standard_name = self.text("standard_name")
        self.units = self.text("units")

    def text(self, attribute: str) -> str:
        """A text attribute in lower case, empty when absent or not text."""
        return hdf5.text(self.dataset, attribute).lower()

    def number(self, attribute: str, default: float) -> float:
        return hdf5.number(self.dataset, attribute, default)

    def dimensions(self) -> tuple[str, ...]:
        """The names of its dimensions; empty names where no scale is attached."""
        if self.dataset.ndim == 1 and self.dataset.is_scale:
            return (self.name,)
        return tuple(str(axis[0].name).lstrip("/") if len(axis) else "" for axis in self.dataset.dims)

    def read(self, most: int) -> Array:
        return hdf5.read(self.dataset, most)


def variables_of(file: h5py.File) -> list[Variable]:
    """All numeric variables of the root group; raises BadGrid when the file holds more than 64."""
    if len(file) > MAX_VARIABLES:
        raise BadGrid("file", f"has {len(file)} variables", "send the rain grid alone")
    return list(_numeric(file))


def _numeric(file: h5py.File) -> Iterator[Variable]:
    for name in file:
        if hdf5.is_own(file, name) and hdf5.is_numeric(file[name]):
            yield Variable(name, file[name])


def only(field: str, found: list[Variable]) -> Variable:
    """The one variable found; raises BadGrid that names `field` when there are none or several."""
    if len(found) != 1:
        names = ", ".join(sorted(v.name for v in found)) or "none"
        raise BadGrid(field, f"found {names}", f"send exactly one variable with the CF attributes of {field}")
    return found[0]
