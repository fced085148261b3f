# SPDX-License-Identifier: Apache-2.0
"""prompt.messages: a prompt rendered by the model's own chat template, in every command that has a prompt, and what is refused."""
import json
import shutil

from run_twistor import QUICKSTART, SMALL, TINY, expect, main, run, succeed

TEMPLATE = ("{%- for m in messages %}{{ m.content if m.role == 'user' else 'one day ' + m.content }}{{ ' ' if not loop.last }}{%- endfor %}"
            "{%- if add_generation_prompt %} one day the {{ hero | default('fox') }} met a hen .{% endif %}")
STORY = "once upon a time there was a kind fox ."
MESSAGES = json.dumps([{"role": "user", "content": STORY}])
TEXT = STORY + " one day the fox met a hen ."


def model_with_template(folder, template=TEMPLATE):
    model = folder / "chat"
    if not model.exists():
        shutil.copytree(TINY, model)
    (model / "chat_template.jinja").write_text(template)
    return model


def gives_the_numbers_of_its_text(folder):
    model = model_with_template(folder)
    as_text = json.loads(succeed(0, "tokenize", model, "--messages", MESSAGES).out)
    expect(as_text["text"] == TEXT, f"expected the rendered text, got {as_text}")
    ids = json.loads(succeed(0, "tokenize", model, "--text", TEXT).out)
    expect(as_text["ids"] == ids, f"expected the ids of the text, got {as_text}")
    about = succeed(0, "info", model).out
    expect("chat template: " in about and "a user's message Hello becomes 'Hello one day" in about, f"expected the template, got {about}")
    few = [*SMALL, f"--model.path={model}"]
    chosen = [f"--prompt.messages={MESSAGES}", "--prompt.text="]
    succeed(1, "train", QUICKSTART, *few, f"--run.output={folder}/text", f"--prompt.text={TEXT}")
    done = succeed(2, "train", QUICKSTART, *few, *chosen, f"--run.output={folder}/messages")
    expect("rendered by the " in done.err and "one day the fox met" in done.err, f"expected the rendered prompt in the log, got {done}")
    found = [json.loads((folder / name / "summary.json").read_text()) for name in ("text", "messages")]
    for summary in found:
        for key in ("seconds", "config", "ranks", "cost"):
            summary.pop(key, None)
    expect(found[0]["log_z"] == found[1]["log_z"] and found[0]["kl"] == found[1]["kl"], "expected the numbers of the same text")
    succeed(1, "sample", QUICKSTART, *few, *chosen, "--sample.count=5", f"--run.output={folder}/messages")
    line = json.loads((folder / "messages/samples.jsonl").read_text().splitlines()[0])
    expect(line["prompt"] == TEXT, f"expected the rendered text beside samples, got {line}")
    # A checkpoint of the same tokens serves, however they were given; another prompt is refused.
    succeed(1, "sample", QUICKSTART, *few, f"--prompt.text={TEXT}", "--sample.count=5", f"--run.output={folder}/messages")
    other = run(1, "sample", QUICKSTART, *few, *chosen, '--prompt.template_arguments={"hero": "dog"}', f"--run.output={folder}/messages")
    expect(other.code == 78 and "prompt.template_arguments" in other.err, f"expected another prompt to be refused, got {other}")
    scored = succeed(0, "score-text", QUICKSTART, *few[-1:], *chosen, "--text", "the fox ate")
    expect("the fox ate" in scored.out, f"expected a score, got {scored}")


def the_assistant_s_last_message_is_continued(folder):
    model = model_with_template(folder)
    begun = json.dumps([{"role": "user", "content": STORY}, {"role": "assistant", "content": "the fox met a"}])
    got = json.loads(succeed(0, "tokenize", model, "--messages", begun).out)
    expect(got["text"] == STORY + " one day the fox met a", f"expected the text to end with the message, got {got}")


def refuses_what_it_cannot_render(folder):
    model = model_with_template(folder)
    few = [*SMALL, "--prompt.text=", f"--run.output={folder}/refused"]
    for messages, model_of, code, words in [
            ("[1]", model, 78, ["reading prompt.messages: message 1 has no role", "hint: give a JSON array such as"]),
            ("not JSON", model, 78, ["reading prompt.messages"]),
            (MESSAGES, TINY, 78, ["has no chat template", "prompt.text"])]:
        done = run(1, "evaluate", QUICKSTART, *few, f"--model.path={model_of}", f"--prompt.messages={messages}")
        expect(done.code == code and all(word in done.err for word in words), f"expected {words}, got {done}")
    done = run(1, "evaluate", QUICKSTART, *few[:-2], f"--prompt.messages={MESSAGES}", f"--run.output={folder}/refused")
    expect(done.code == 78 and "got prompt.text and prompt.messages" in done.err, f"expected both to be refused, got {done}")
    model_with_template(folder, "{{ messages | tabulate }}{{ 1 is prime }}")
    done = run(0, "tokenize", model, "--messages", MESSAGES)
    expect(done.code == 65 and "the filter 'tabulate' (line 1), the test 'prime' (line 1)" in done.err, f"expected both names, got {done}")
    expect("chat template: not usable" in succeed(0, "info", model).out, "expected info to say so")
    model_with_template(folder, "{{ raise_exception('roles must alternate') }}")
    done = run(0, "tokenize", model, "--messages", MESSAGES)
    expect(done.code == 78 and "the template refuses them: roles must alternate" in done.err, f"expected the template's words, got {done}")


main(gives_the_numbers_of_its_text, the_assistant_s_last_message_is_continued, refuses_what_it_cannot_render)
