"""The Hub is asked once whether it answers; its libraries don't try again and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from persona_sweeps import hub


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.hub_answers.cache_clear()
    yield
    hub.hub_answers.cache_clear()


def test_a_hub_that_does_not_answer_is_asked_once_and_libraries_go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the port of discarded packets: nobody listens
    asked: list[Any] = []
    session = huggingface_hub.get_session
    monkeypatch.setattr(huggingface_hub, "get_session", lambda: asked.append(1) or session())
    assert [hub.hub_answers() for _ in range(3)] == [False] * 3 and len(asked) == 1
    assert constants.HF_HUB_OFFLINE
    with pytest.raises(LocalEntryNotFoundError):
        hf_hub_download("someone/unknown", "config.json")


def test_offline_by_the_user_s_wish_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub, "get_session", lambda: pytest.fail("it was asked"))
    assert not hub.hub_answers()
