"""GRIB messages for tests, written by ecCodes in a process of its own: run as a file, never imported.

Stdin: a pickled list of (sample, [(key, value), …], values or None). Stdout: the messages.
"""

import pickle
import sys

import eccodes

for sample, keys, values in pickle.load(sys.stdin.buffer):
    handle = eccodes.codes_grib_new_from_samples(sample)
    for key, value in keys:
        eccodes.codes_set(handle, key, value)
    if values is not None:
        eccodes.codes_set_array(handle, "values", values)
    sys.stdout.buffer.write(eccodes.codes_get_message(handle))
    eccodes.codes_release(handle)
