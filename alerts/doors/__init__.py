"""HTTP doors of the alerts room beside api.py: parameters and scope; no rules, no SQL."""
