"""One product for all of these tests; each finds it whole and quiet."""

from collections.abc import Iterator

import pytest

from tests.survival.stack import Stack, running


@pytest.fixture(scope="session")
def everything() -> Iterator[Stack]:
    with running(Stack) as stack:
        yield stack


@pytest.fixture
def stack(everything: Stack) -> Stack:
    """All processes alive, well-behaved phones that have forgotten what they took."""
    everything.phones.behave()
    everything.phones.forget()
    return everything
