# SPDX-License-Identifier: Apache-2.0
"""watch and report: a run followed while it goes on, several runs in one page and in tables whose numbers are worked out here again."""
import csv
import fcntl
import io
import json
import os
import pty
import re
import signal
import statistics
import struct
import subprocess
import termios
import time

from report_page import Page
from run_twistor import QUICKSTART, SMALL, TWISTOR, expect, finish, main, run, start, succeed, wait_until

T_OF_1 = 12.706204736432095  # Student's t, 0.975, one degree of freedom
LONG = [*SMALL, "--train.updates=100000", "--train.checkpoint_every=0", "--train.evaluate=false"]


def watch_follows_a_run(folder):
    """Until it is stopped (75, work is left) and until it has ended (0); --once looks and ends."""
    output = folder / "run"
    train = start(2, "train", QUICKSTART, *LONG, f"--run.output={output}")
    expect(wait_until(lambda: (output / "metrics.jsonl").exists() and (output / "metrics.jsonl").stat().st_size > 5000), "expected updates")
    once = succeed(0, "watch", output, "--once")
    expect(" of 100000, " in once.out and " s each, ETA " in once.out and "\nprocess " in once.out and "loss " in once.out, f"expected a picture, got {once}")
    watch = start(0, "watch", output)
    train.send_signal(signal.SIGINT)
    finish(train)
    done = finish(watch)
    expect(done.code == 75 and "nobody writes here now" in done.out, f"expected 75 after a run that was stopped, got {done}")
    expect("\x1b" not in done.out, "expected no control sequences in what is no terminal")
    succeed(2, "train", QUICKSTART, *SMALL, f"--run.output={folder}/ended")
    done = succeed(0, "watch", folder / "ended")
    expect("update 6 of 6" in done.out and "finished; report.html has the result" in done.out, f"expected a finished run, got {done}")
    summary = json.loads((folder / "ended/summary.json").read_text())
    shown = next(line for line in done.out.splitlines() if line.startswith("log Z, SMC lower bound"))
    expect(f"{summary['log_z']['smc_lower']['mean']:.4f}" in shown and "▁" in shown, f"expected the last bound and its course, got {shown}")


def a_terminal_shows_one_picture(folder):
    """It is drawn anew in place, cut to the terminal's width."""
    output = folder / "run"
    train = start(2, "train", QUICKSTART, *LONG, f"--run.output={output}")
    expect(wait_until(lambda: (output / "metrics.jsonl").exists() and (output / "metrics.jsonl").stat().st_size > 5000), "expected updates")
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 60, 0, 0))
    watch = subprocess.Popen([TWISTOR, "watch", str(output)], stdin=subprocess.DEVNULL, stdout=its, cwd="/tmp")
    os.close(its)
    time.sleep(2.5)
    train.send_signal(signal.SIGINT)
    finish(train)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the other end is closed: it has ended
        pass
    os.close(ours)
    expect(watch.wait(30) == 75, "expected 75 of a run that was stopped")
    pictures = re.split(r"\x1b\[\d+A\x1b\[J", shown.decode())
    expect(len(pictures) > 2, f"expected pictures one over the other, got {shown[-2000:]}")
    expect(all("loss " in picture and "of 100000, " in picture for picture in pictures), f"expected whole pictures, got {pictures[-1]}")
    expect(max(map(len, "".join(pictures).splitlines())) <= 60, f"expected lines of 60 characters at most, got {pictures[-1]}")


def half_width(values):
    return T_OF_1 * statistics.stdev(values) / len(values) ** 0.5


def reports_of_several_runs(folder):
    folders = []
    for objective in ["ctl", "dpg"]:
        for seed in [1, 2]:
            folders.append(folder / f"{objective}-{seed}")
            succeed(1, "train", QUICKSTART, *SMALL, f"--train.objective={objective}", f"--run.seed={seed}", "--train.epochs=2", f"--run.output={folders[-1]}",
                    f"--exact.path={folder}/exact.h5")
    page_file = folder / "all.html"
    done = succeed(0, "report", *folders, f"--output={page_file}")
    expect(done.out.splitlines() == [*(f"{run_folder}/report.html" for run_folder in folders), str(page_file)], f"expected the names of five pages, got {done}")
    text = page_file.read_text(encoding="utf-8")
    page = Page(text)
    expect(not page.problems and not page.open and not page.links, f"expected a page that is whole and alone, got {page.problems} {page.links}")
    expect(not page.tags & {"script", "link", "img", "iframe"}, f"expected nothing from outside, got {page.tags}")
    expect(page.headings[:3] == ["Means over seeds", "Differences", "Learning"], f"expected three sections, got {page.headings}")
    for figure in ["SMC lower bound of log Z", "KL(q ‖ σ)", "E log φ of what is sampled while learning"]:
        expect(f"<figcaption>{figure}</figcaption>" in text, f"expected the figure {figure}")
    # The numbers, once more.
    summaries = [json.loads((run_folder / "summary.json").read_text()) for run_folder in folders]
    lower = [s["log_z"]["smc_lower"]["mean"] for s in summaries]
    f_q = [s["proposal"]["f_q"]["mean"] for s in summaries]
    rows = json.loads(succeed(0, "report", *folders, "--format=json").out)
    expect([row["label"] for row in rows] == ["ctl", "dpg"] and [row["pairs"] for row in rows] == [0, 2], f"expected two rows and two pairs, got {rows}")
    for name, values, sign in [("smc_lower", lower, 1), ("kl_q_sigma", f_q, -1)]:
        difference = [sign * (values[2] - values[0]), sign * (values[3] - values[1])]
        got = rows[1]["difference"][name]
        expect(abs(got["mean"] - statistics.mean(difference)) < 1e-9 and abs(got["half_width_95"] - half_width(difference)) < 1e-9,
               f"expected the difference {difference}, got {got}")
    expect(abs(rows[0]["smc_lower"]["half_width_95"] - half_width(lower[:2])) < 1e-9, f"expected an interval over seeds, got {rows[0]}")
    expect(rows[0]["difference"]["smc_lower"]["mean"] is None, "expected no difference of the first row from itself")
    table = list(csv.DictReader(io.StringIO(succeed(0, "report", *folders, "--format=csv").out)))
    expect(float(table[1]["smc_lower.difference"]) == rows[1]["difference"]["smc_lower"]["mean"], f"expected the same numbers in CSV, got {table}")
    for form, begin in [("md", "|  | runs | KL(q"), ("latex", "\\begin{tabular}{lrrrrrrr}"), ("text", "  ")]:
        out = succeed(0, "report", *folders, f"--format={form}").out
        expect(out.startswith(begin) and "minus ctl" in out, f"expected two tables as {form}, got {out}")
    expect(succeed(0, "compare", *folders, "--format=latex").out == succeed(0, "report", *folders, "--format=latex").out, "expected compare's tables")
    file = folder / "table.tex"
    done = succeed(0, "report", *folders, "--format=latex", f"--output={file}")
    expect(done.out == f"{file}\n" and file.read_text().startswith("\\begin{tabular}"), f"expected a file, got {done}")
    expect(run(0, "report", folder, "--format=json").code == 66, "expected 66 for a folder of no run")
    # Single runs of other seeds that measured with the same 30 exact samples: KL(sigma || q) is paired by them.
    two = [folders[0], folders[3]]
    row = json.loads(succeed(0, "report", *two, "--format=json").out)[1]
    g_q = [summaries[i]["proposal"]["g_q"] for i in (0, 3)]
    got, independent = row["difference"]["kl_sigma_q"], 1.96 * (g_q[0]["se"] ** 2 + g_q[1]["se"] ** 2) ** 0.5
    expect(row["pairs"] == 0 and row["shared_samples"] == 30, f"expected 30 shared samples, got {row}")
    expect(abs(got["mean"] - (g_q[1]["mean"] - g_q[0]["mean"])) < 1e-9 and 0 < got["half_width_95"] < independent,
           f"expected the difference of G_q within less than {independent}, got {got}")
    expect("is paired by 30 exact samples" in succeed(0, "compare", *two).out, "expected a note about them")
    (two[1] / "results.h5").unlink()
    expect("does not have the numbers by sample" in succeed(0, "compare", *two).out, "expected a note about what is missing")
    # The layout of lm-evaluation-harness.
    harness = json.loads(succeed(0, "report", *folders, "--format=lm-eval").out)["results"]
    expect(len(harness) == 12 and set(harness) >= {"ctl-1", "dpg-2.base", "dpg-1.before"}, f"expected a task for each evaluation, got {list(harness)}")
    for name, summary in [("ctl-1", summaries[0]), ("dpg-2", summaries[3]), ("dpg-2.base", summaries[3]["base"])]:
        for metric, (section, key) in {"log_z_smc_lower": ("log_z", "smc_lower"), "kl_sigma_q": ("kl", "sigma_q")}.items():
            wanted = summary[section][key]
            got = [harness[name][f"{metric},none"], harness[name][f"{metric}_stderr,none"]]
            expect(got == [wanted["mean"], wanted["se"]], f"expected {wanted} of {name}, got {got}")


if __name__ == "__main__":
    main(watch_follows_a_run, a_terminal_shows_one_picture, reports_of_several_runs)
