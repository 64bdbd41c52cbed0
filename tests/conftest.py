"""What every test of the house stands on."""

from hypothesis import settings

# A test is right or wrong, not slow: the machines that run it are shared.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
