"""GRIB messages for tests, written by ecCodes in a process of its own: run as a file, never imported.

Stdin: a pickled list of (sample, [(key, value), …], values or None). Stdout: the messages, or with the argument
`together` one message that holds all the fields.
"""

import pickle
import sys

import eccodes

together = eccodes.codes_grib_multi_new() if "together" in sys.argv else None
for sample, keys, values in pickle.load(sys.stdin.buffer):
    handle = eccodes.codes_grib_new_from_samples(sample)
    for key, value in keys:
        eccodes.codes_set(handle, key, value)
    if values is not None:
        eccodes.codes_set_array(handle, "values", values)
    if together is None:
        sys.stdout.buffer.write(eccodes.codes_get_message(handle))
    else:
        eccodes.codes_grib_multi_append(handle, 4, together)
    eccodes.codes_release(handle)
if together is not None:
    eccodes.codes_grib_multi_write(together, sys.stdout.buffer)
