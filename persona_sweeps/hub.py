"""Ask once whether the Hub answers; where it doesn't, only what is on this machine is used, without retries."""

from __future__ import annotations

import logging
from functools import cache

SECONDS = 5.0
"""to wait for an answer"""
log = logging.getLogger(__name__)


@cache
def hub_answers() -> bool:
    """Return whether the Hub answers; if not, tell its libraries, which would try again and again.

    It stays so for this process.
    """
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)
    except Exception as error:  # whatever a network, a proxy or a client of another version makes it raise
        log.debug("the Hub doesn't answer: %s", error)
        constants.HF_HUB_OFFLINE = True
        return False
    return True
