import pytest

import browser


@pytest.fixture(scope="module")
def chromium():
    """The system's Chromium; of each module its own, since its driver keeps an event loop running."""
    with browser.launched() as found:
        yield found
