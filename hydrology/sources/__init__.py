"""Fetching from those who do not post: polls.py says when, one file a kind says how. Single writer of Source's mark."""
