"""pytest plugin (`-p backend.pytest_embedded`): throw-away servers, up before pytest-django reads the settings.

A root conftest.py would be too late. Workers of pytest-xdist inherit the controller's environment.
"""

import contextlib
import os
from collections.abc import Generator

import pytest

from backend.embedded import throw_away


@pytest.hookimpl(wrapper=True)  # a wrapper runs before pytest-django's own hook, which is tryfirst
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        servers = contextlib.ExitStack()
        servers.enter_context(throw_away())
        early_config.add_cleanup(servers.close)
    return (yield)
