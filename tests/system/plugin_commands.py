# SPDX-License-Identifier: Apache-2.0
"""target.potential = plugin with the real executable: examples/plugin gives the numbers of the built-in potential of the same
meaning on 1 and 2 ranks, another file is another target, and objects that do not fit end a run with their reason.
"""
import os
import subprocess

from run_twistor import ROOT, SMALL, TINY, difference, estimates, expect, main, parameters, run, succeed

CONFIG = ROOT / "examples/plugin/whole_word.cfg"
SHORT = [*SMALL, f"--model.path={TINY}"]
BUILT_IN = ["--target.potential=keywords", "--target.any_of=ate", "--target.log_floor=-5", "--target.plugin=", "--target.plugin_options="]


def build(file, *words, source="examples/plugin/whole_word.c"):
    """A shared object, as docs/library.md says."""
    command = [os.environ.get("CC", "cc"), "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC", "-O2",
               f"-I{ROOT}/include", *words, "-o", str(file), str(ROOT / source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    expect(done.returncode == 0, f"expected {' '.join(command)} to succeed, got {done.stderr}")
    return f"--target.plugin={file}"


def equals_the_built_in(folder):
    plugin = build(folder / "whole_word.so")
    done = succeed(2, "train", CONFIG, *SHORT, plugin, f"--run.output={folder}/two")
    expect("the word 'ate'" in done.out + done.err, f"expected the plugin's description, got {done}")
    succeed(1, "train", CONFIG, *SHORT, plugin, f"--run.output={folder}/one")
    succeed(2, "train", CONFIG, *SHORT, *BUILT_IN, f"--run.output={folder}/built_in")
    for other in ["one", "built_in"]:
        found = difference(estimates(folder / "two"), estimates(folder / other))
        expect(not found, f"expected the numbers of {other}, they differ in {found}")
        expect(parameters(folder / "two") == parameters(folder / other), f"expected the twist of {other}")
    # The comparison can fail.
    succeed(1, "train", CONFIG, *SHORT, plugin, "--target.plugin_options=ate -4", f"--run.output={folder}/floor")
    expect(difference(estimates(folder / "two"), estimates(folder / "floor")), "expected other numbers with another floor")


def another_file_is_another_target(folder):
    plugin = build(folder / "whole_word.so")
    shared, output = f"--exact.path={folder}/exact.h5", f"--run.output={folder}/run"
    succeed(1, "train", CONFIG, *SHORT, plugin, shared, output)
    moved = folder / "elsewhere.so"
    moved.write_bytes((folder / "whole_word.so").read_bytes())
    changed = [build(folder / "changed.so", "-O1", "-DCHANGED=1", "-g")]
    base = ["evaluate", CONFIG, *SHORT, "--smc.proposal=base", shared, f"--run.output={folder}/base"]
    succeed(1, *base, f"--target.plugin={moved}")
    for words in (changed, [plugin, "--target.plugin_options=ate -4"]):
        done = run(1, *base, *words)
        expect(done.code == 78 and "exact" in done.err, f"expected that exact samples of another potential are refused, got {done}")
        done = run(1, "evaluate", CONFIG, *SHORT, *words, shared, output)
        expect(done.code == 78, f"expected that the checkpoint of another potential is refused, got {done}")


def scores_texts(folder):
    plugin = build(folder / "whole_word.so")
    (folder / "texts").write_text("the fox ate\nthe plates\n")
    done = succeed(0, "score-text", CONFIG, plugin, f"--file={folder}/texts")
    lines = [line.split() for line in done.out.splitlines()]
    expect([line[0] for line in lines[-2:]] == ["0.000000", "-5.000000"], f"expected 0 and -5, got {done.out}")


def refuses_what_does_not_fit(folder):
    test = "tests/support/test_plugin.c"
    (folder / "text.so").write_text("no machine code")
    cases = [
        ([build(folder / "version.so", "-DVERSION=77", source=test)], 78, "version 77 of twistor/plugin.h (expected 1)"),
        ([build(folder / "nameless.so", "-DFUNCTION=another", source=test)], 78, "does not define the function twistor_plugin"),
        ([f"--target.plugin={folder}/text.so"], 78, "it is no shared object that loads here"),
        ([f"--target.plugin={folder}/none.so"], 66, "none.so does not exist"),
        (["--target.plugin="], 78, "needs target.plugin"),
        ([build(folder / "word.so"), "--target.plugin_options=ate"], 78, "its options are 'ate' (expected a word"),
        ([build(folder / "nan.so", source=test), "--target.plugin_options=nan"], 65, "is nan (expected a finite number or -inf)"),
        ([build(folder / "fail.so", source=test), "--target.plugin_options=fail"], 65, "the scale is broken"),
    ]
    for words, code, text in cases:
        done = run(2, "train", CONFIG, *SHORT, *words, f"--run.output={folder}/refused")
        expect(done.code == code and text in done.err, f"expected exit code {code} and '{text}' with {words}, got {done}")


if __name__ == "__main__":
    main(equals_the_built_in, another_file_is_another_target, scores_texts, refuses_what_does_not_fit)
