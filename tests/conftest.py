"""What every test of the house stands on."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from replay.phones import Standin, start_standin

# A test is right or wrong, not slow: the machines that run it are shared. The same commit gives the same verdict, so
# the cases are drawn the same each time; HYPOTHESIS_PROFILE=search draws others, and more of them.
settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


@pytest.fixture(scope="session")
def running_standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    with start_standin(tmp_path_factory.mktemp("fcm")) as standin:
        yield standin


@pytest.fixture
def standin(running_standin: Standin) -> Standin:
    """The local vendors, well behaved and with empty counters."""
    for vendor in ("fcm", "huawei", "apns", "jpush"):
        running_standin.behave(vendor)
    running_standin.forget()
    return running_standin
