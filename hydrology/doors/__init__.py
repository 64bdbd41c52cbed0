"""The HTTP doors of the water room: parameters and scope; no rules, no SQL."""
