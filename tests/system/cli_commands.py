# SPDX-License-Identifier: Apache-2.0
"""Runs the real executable with right and wrong words, and looks at exit codes, stdout and stderr.

usage: cli_commands.py TWISTOR ROOT MPIEXEC
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

TWISTOR, ROOT, MPIEXEC = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
REFERENCE = str(ROOT / "configs/reference.cfg")
failures = []


def run(*words, ranks=0):
    """(exit code, stdout, stderr); ranks = 0 starts the program without a launcher."""
    launcher = [MPIEXEC, "--timeout", "60", "-n", str(ranks)] if ranks else []
    done = subprocess.run([*launcher, TWISTOR, *words], capture_output=True, text=True, timeout=120, cwd="/tmp")
    return done.returncode, done.stdout, done.stderr


def expect(condition, what):
    if not condition:
        failures.append(what)
        print("FAILED:", what)


def expect_run(words, code, out=(), err=(), ranks=0):
    got = run(*words, ranks=ranks)
    what = f"twistor {' '.join(words)}: exit code {got[0]}, stdout {got[1]!r}, stderr {got[2]!r}"
    expect(got[0] == code, f"expected exit code {code}; {what}")
    for piece in out:
        expect(piece in got[1], f"expected '{piece}' on stdout; {what}")
    for piece in err:
        expect(piece in got[2], f"expected '{piece}' on stderr; {what}")
    if code == 0:
        expect(got[1] != "", f"expected something on stdout; {what}")
    else:
        expect(got[1] == "", f"expected nothing on stdout; {what}")
    return got


def check_words():
    commands = ["train", "distill", "evaluate", "sample", "score-text", "tokenize", "score", "info"]
    expect_run(["--help"], 0, out=["usage: twistor COMMAND", *commands])
    expect_run(["--version"], 0, out=["twistor "])
    for command in [*commands, "compare"]:
        expect_run([command, "--help"], 0, out=[f"usage: twistor {command}"])
        what = "folders of runs" if command == "compare" else "one file"
        expect_run([command], 64, err=[f"{command} takes {what}, got 0", "hint: usage: twistor " + command])
    expect_run(["compare", "/tmp", "--format=xml"], 64, err=["--format: expected one of: text, markdown, md, csv, json, latex, html, lm-eval, got 'xml'"])
    expect_run(["watch"], 64, err=["watch takes one file, got 0"])
    expect_run(["watch", "/nowhere/at/all"], 66, err=["watching /nowhere/at/all", "there is no such folder"])
    expect_run(["compare", "/nowhere/at/all"], 66, err=["reading /nowhere/at/all/summary.json", "run.output"])
    expect_run(["completion", "bash"], 0, out=["complete -F _twistor twistor", "--smc.particles=", "words='cpu cuda emulated'"])
    expect_run(["completion", "fish"], 64, err=["expected `completion bash` or `man`", "got `completion fish`"])
    expect_run(["man"], 0, out=[".TH TWISTOR 1", ".SS train CONFIG", ".SS [smc]", "smc.particles", ".SH EXIT STATUS"])
    expect_run(["man", "x"], 64, err=["expected `completion bash` or `man`"])
    expect_run([], 64, err=["expected a command", "usage: twistor COMMAND"])
    expect_run(["trian", "x"], 64, err=["unknown command 'trian'"])
    expect_run(["train", REFERENCE, "--frobnicate"], 64, err=["unknown option --frobnicate"])
    expect_run(["tokenize", "x"], 64, err=["tokenize needs exactly one of --text"])


def check_configurations(folder):
    for command in ["train", "distill", "evaluate", "sample"]:
        expect_run([command, REFERENCE, "--smc.particels=3"], 78, err=["'smc.particels'", "hint: did you mean smc.particles?"])
        expect_run([command, REFERENCE, "--smc.particles=0"], 78, err=["smc.particles", "at least 1", "got 0"])
        expect_run([command, str(folder / "missing.cfg")], 66, err=["missing.cfg"])
    bad = folder / "bad.cfg"
    bad.write_text("[smc]\nparticles = many\n")
    expect_run(["train", str(bad)], 78, err=[f"reading {bad}, line 2: smc.particles: expected an integer", "got 'many'"])
    _, _, err = expect_run(["train", str(bad)], 78, err=["[rank 0/2] "], ranks=2)
    expect(err.count("got 'many'") == 1, f"expected the message once on two ranks, got: {err}")


def check_files(folder):
    expect_run(["info", str(folder / "missing")], 66, err=["there is no such file"])
    (folder / "text").write_text("hello")
    expect_run(["info", str(folder / "text")], 65, err=["text"])
    (folder / "cut.gguf").write_bytes(b"GGUF\x03\0\0\0")
    expect_run(["info", str(folder / "cut.gguf")], 65, err=["cut.gguf"])
    (folder / "bert").mkdir()
    (folder / "bert" / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nfox\n##es\n")
    expect_run(["tokenize", str(folder / "bert"), "--text", "Foxes"], 0, out=["[4, 5]"])
    expect_run(["tokenize", str(folder / "bert"), "--special", "--text", "Foxes"], 0, out=["[2, 4, 5, 3]"])
    (folder / "empty").mkdir()
    expect_run(["tokenize", str(folder / "empty"), "--text", "a"], 66, err=["the folder has no tokenizer"])
    expect_run(["score", str(folder / "empty"), "--text", "a"], 66, err=["the folder has no tokenizer", "--ids"])
    expect_run(["score", str(folder / "none"), "--ids", "1,2"], 66, err=["none"])
    score = ["score", str(ROOT / "models/tiny"), "--text", "once upon a time there was a kind fox . the fox ate"]
    plain, tuned = (expect_run([*score, *more], 0, out=["log_probs"])[1] for more in ([], ["--adapter", str(ROOT / "models/tiny-policy")]))
    expect(plain != tuned, "expected an adapter to change the scores")
    expect_run([*score, "--adapter", str(folder)], 66, err=["there is no adapter_model.safetensors in it"])


def check_isa():
    """A wrong instruction set is refused before any work, with and without ranks; words about the program are not."""
    os.environ["TWISTOR_ISA"] = "sse9"
    for words in [["score", str(ROOT / "models/tiny"), "--text", "once"], ["tokenize", str(ROOT / "models/tiny"), "--text", "once"]]:
        expect_run(words, 78, err=["TWISTOR_ISA=sse9 is not known (expected avx2"])
    expect_run(["--version"], 0, out=["twistor "])
    del os.environ["TWISTOR_ISA"]


def check_model(model, text):
    _, out, _ = expect_run(["tokenize", model, "--text", text], 0)
    ids = json.loads(out)
    expect(len(ids) > 1 and all(isinstance(i, int) for i in ids), f"expected a JSON array of ids, got {out!r}")
    _, out, _ = expect_run(["score", model, "--text", text], 0)
    scored = json.loads(out)
    expect(list(scored) == ["ids", "log_probs"] and scored["ids"] == ids, f"expected the ids of tokenize, got {out!r}")
    expect(len(scored["log_probs"]) == len(ids) - 1, f"expected one log-probability per predicted token, got {out!r}")
    expect(all(x < 0 for x in scored["log_probs"]), f"expected logarithms of probabilities, got {out!r}")
    expect(run("score", model, "--ids", ",".join(map(str, ids)))[1] == out, "expected --ids to score as --text does")
    expect(run("score", model, "--text", text, "--dtype=float32")[1] == out, "expected float32 to be the default")
    rounded = json.loads(run("score", model, "--text", text, "--dtype=bfloat16")[1])["log_probs"]
    expect(all(abs(a - b) < 0.2 for a, b in zip(rounded, scored["log_probs"])), f"expected bfloat16 to be near, got {rounded}")
    prefix = json.loads(run("score", model, "--ids", ",".join(map(str, ids[:-1])))[1])["log_probs"]
    expect(prefix == scored["log_probs"][:-1], "expected a token's score to depend on the tokens before it alone")
    expect_run(["score", model, "--ids", "0,1000000000"], 64, err=["1000000000"])
    expect_run(["info", model], 0, out=["language model: ", "vocabulary: ", "tokenizer: ", "model sha256: "])


def check_score_text(folder):
    quickstart = str(ROOT / "configs/quickstart.cfg")
    words = ["score-text", quickstart, "--text", "the fox ate", "--text", "the fox met", "--target.log_floor=-3"]
    expect_run(words, 0, out=["contains: 1 if", "    0.000000  'the fox ate'\n", "   -3.000000  'the fox met'\n"])
    _, out, _ = expect_run([*words, "--json"], 0)
    expected = [{"text": "the fox ate", "log_phi": 0}, {"text": "the fox met", "log_phi": -3}]
    expect([json.loads(line) for line in out.splitlines()] == expected, f"expected {expected}, got {out!r}")
    lines, objects = folder / "texts.txt", folder / "texts.jsonl"
    lines.write_text("the fox ate\r\nthe fox met\n")
    objects.write_text('"the fox ate"\n{"text": "the fox met"}\n')
    for file in (lines, objects):
        again = run("score-text", quickstart, "--file", str(file), "--target.log_floor=-3", "--json")[1]
        expect(again == out, f"expected {file.name} to give {out!r}, got {again!r}")
    never = ["score-text", quickstart, "--text", "the", "--target.log_floor=-inf", "--json"]
    expect_run(never, 0, out=['{"text":"the","log_phi":"-inf"}'])
    expect_run(["score-text", quickstart, "--text="], 64, err=["the text ''", "no tokens"])
    expect_run(["score-text", quickstart, "--file", str(folder / "none")], 66, err=["none"])
    objects.write_text('"a"\n{"texts": 1}\n')
    expect_run(["score-text", quickstart, "--file", str(objects)], 65, err=["line 2", "text"])
    # Raw U+2028 ends no line of JSON, a line may be long, and half a surrogate is no text.
    long = "the fox " + "a " * 2500000 + "ate"
    objects.write_bytes(('"the fox\u2028ate"\r\n{"text": "the fox met"}\r\n' + json.dumps({"text": long}) + "\n").encode())
    _, out, _ = expect_run(["score-text", quickstart, "--file", str(objects), "--json"], 0)
    texts = [json.loads(line) for line in out.split("\n")[:-1]]
    expect([t["text"] for t in texts] == ["the fox\u2028ate", "the fox met", long], f"expected three texts, got {len(texts)}")
    objects.write_text('"a"\n"b"\n{"text": "\\ud83d alone"}\n')
    expect_run(["score-text", quickstart, "--file", str(objects)], 65, err=["line 3", "surrogate"])
    objects.write_text('"a"\n{"text": NaN}\n')
    expect_run(["score-text", quickstart, "--file", str(objects)], 65, err=["line 2: text: expected a string, got NaN"])
    expect_run(["score-text", quickstart, "--text=the", "--target.scope=generation"], 78, err=["target.scope is set, but"])
    # The same log p0 as `score` gives for the continuation after the prompt.
    keys = ["--target.potential=continuation", "--target.words=", "--target.text=ate the hen", "--target.log_floor=-inf"]
    _, out, _ = expect_run(["score-text", quickstart, *keys, "--text=the fox", "--json"], 0)
    prompt = "once upon a time there was a kind fox . one day the fox met a hen . the fox"
    scored = json.loads(run("score", str(ROOT / "models/tiny"), "--text", prompt + " ate the hen")[1])["log_probs"]
    expect(abs(json.loads(out)["log_phi"] - sum(scored[-3:])) < 1e-5, f"expected the sum of {scored[-3:]}, got {out}")


def main():
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as name:
        check_words()
        check_isa()
        check_configurations(pathlib.Path(name))
        check_files(pathlib.Path(name))
        check_score_text(pathlib.Path(name))
    check_model(str(ROOT / "models/tiny"), TINY_TEXT)
    print(f"{len(failures)} failures")
    return 1 if failures else 0


TINY_TEXT = "once upon a time there was a kind fox ."

if __name__ == "__main__":
    sys.exit(main())
