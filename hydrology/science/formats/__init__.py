"""One file per outside grid format; each turns bytes into a `grids.Grid` or raises `grids.BadGrid`."""
