"""Where we fetch from those who do not post: one file a kind, polled by polls.py."""
