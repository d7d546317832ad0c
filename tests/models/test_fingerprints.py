from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.models.fingerprints import file_sha256, files_sha256
from persona_sweeps.models.loading import load_tokenizer, tokenizer_fingerprint

Composer = Callable[..., ModelConfig]


def test_a_files_hash_is_that_of_its_bytes_each_time_they_change(tmp_path: Path, own_cache: Path) -> None:
    path = tmp_path / "weights"
    for content in (b"one", b"two", b"longer"):
        path.write_bytes(content)
        os.utime(path, ns=(0, int.from_bytes(content[:3], "big")))
        for _ in range(2):
            assert file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_remembered_hash_that_is_damaged_is_taken_again(tmp_path: Path, own_cache: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    expected = file_sha256(path)
    (note,) = (own_cache / "hashes").iterdir()
    for damage in ("", "[]", "{}"):
        note.write_text(damage)
        assert file_sha256(path) == expected


def test_a_hash_that_cannot_be_noted_costs_only_the_memory(tmp_path: Path, own_cache: Path) -> None:
    own_cache.mkdir()
    (own_cache / "hashes").write_text("not a folder")
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    assert file_sha256(path) == hashlib.sha256(b"one").hexdigest()


def test_the_hash_of_several_files_follows_names_and_bytes_but_not_order(tmp_path: Path, own_cache: Path) -> None:
    first, second, third = (tmp_path / name for name in "abc")
    for path, content in ((first, b"1"), (second, b"2"), (third, b"2")):
        path.write_bytes(content)
    assert files_sha256([first, second]) == files_sha256([second, first])
    assert files_sha256([first, second]) != files_sha256([first, third])


def test_a_tokenizers_fingerprint_ignores_padding_but_not_its_template(compose_card: Composer) -> None:
    card = compose_card("qwen3_32b", "scale=tiny")
    tokenizer = load_tokenizer(card)
    before = tokenizer_fingerprint(card, tokenizer)
    tokenizer(["a", "longer text"], padding=True, truncation=True, max_length=2)
    assert tokenizer_fingerprint(card, tokenizer) == before
    assert tokenizer_fingerprint(card, load_tokenizer(card)) == before
    tokenizer.chat_template += " "
    assert tokenizer_fingerprint(card, tokenizer) != before


def test_cards_that_share_a_tokenizer_share_its_fingerprint(compose_card: Composer) -> None:
    prints = {}
    for name in ("llama32_1b", "qwen25_14b", "gemma2_27b_it", "smollm2_135m_instruct"):
        card = compose_card(name, "scale=tiny")
        prints[name] = tokenizer_fingerprint(card, load_tokenizer(card))
    assert prints["llama32_1b"] == prints["qwen25_14b"]
    assert len(set(prints.values())) == 3
