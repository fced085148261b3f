# SPDX-License-Identifier: Apache-2.0
"""What a run writes is what docs/file-formats.md promises: every part of every HDF5 file, with its type and number of dimensions."""
import json
import re
import shutil
import subprocess

from run_twistor import QUICKSTART, ROOT, SMALL, expect, info, main, succeed

PAGE = (ROOT / "docs/file-formats.md").read_text()
TYPES = {"H5T_IEEE_F64LE": "f64", "H5T_IEEE_F32LE": "f32", "H5T_STD_I64LE": "i64", "H5T_STD_U8LE": "u8", "H5T_STRING": "text"}
OF_ALL_KINDS = ["format", "format_version", "kind", "created_by", "directory_crc32c"]


def promised(page, section):
    """Rows of the table below "### section": (pattern of a name, dataset or attribute, type, dimensions or None, whether it must be there)."""
    text = page.split(f"### {section}\n")[1].split("\n#")[0]
    rows = []
    for names, what, kind, content in re.findall(r"^\| (`.*?`) \| (dataset|attribute) \| (.*?) \| (.*) \|$", text, re.MULTILINE):
        shape = re.search(r"\((.*)\)", kind)
        for name in re.findall(r"`([^`]+)`", names):
            pattern = re.escape(name).replace("WHEN", "(base|before|after)").replace("NAME", ".+")
            rows.append((pattern, what, kind.split()[0], shape and shape[1].count(",") + 1, "may be missing" not in content))
    return rows


def written(file):
    """Parts of an HDF5 file, without what all kinds have: {(name, dataset or attribute): (type, dimensions)}."""
    lines = subprocess.run(["h5dump", "-H", file], capture_output=True, text=True, check=True).stdout.splitlines()
    parts, path = {}, []  # path: what the open braces belong to
    for line in map(str.strip, lines):
        what = re.match(r'(GROUP|DATASET|ATTRIBUTE) "(.*)" {', line)
        owners = [name for name in path if name is not None]
        if line.startswith("DATATYPE") and owners:
            key, name = owners[-1][0].lower(), "/".join(n for _, n in owners if n != "/")
            parts[name, key] = (TYPES.get(line.split()[1], line.split()[1]), 0)
        if line.startswith("DATASPACE  SIMPLE"):
            key, name = owners[-1][0].lower(), "/".join(n for _, n in owners if n != "/")
            parts[name, key] = (parts[name, key][0], re.search(r"\( (.*?) \)", line)[1].count(",") + 1)
        if line.endswith("{"):
            path.append((what[1], what[2]) if what else None)
        if line.startswith("}"):
            path.pop()
    return {key: value for key, value in parts.items()
            if key[0] not in OF_ALL_KINDS and not (key[1] == "attribute" and key[0].endswith("/crc32c"))}


def disagreements(rows, parts):
    """In words, what a file has and the page does not know, and what the page promises and the file lacks."""
    said, used = [], set()
    for (name, what), (kind, dimensions) in parts.items():
        fits = [row for row in rows if re.fullmatch(row[0], name) and row[1] == what]
        exact = [row for row in fits if row[2] == kind and row[3] in (None, dimensions)]
        if not exact:
            said.append(f"{what} {name} ({kind}, {dimensions} dimensions) is not what the page says: {fits}")
        used |= set(exact)
    said += [f"the page promises {row[1]} {row[0]} ({row[2]}), which the file lacks" for row in rows if row[4] and row not in used]
    return said


def compare(file, section):
    rows, parts = promised(PAGE, section), written(file)
    expect(len(rows) > 8 and len(parts) > 8, f"expected a table and a file with parts, got {rows} and {parts}")
    for said in disagreements(rows, parts):
        expect(False, f"{file.name}: {said}")
    return rows, parts


def files_are_as_promised(folder):
    succeed(2, "train", QUICKSTART, *SMALL, f"--run.output={folder}/run")
    compare(folder / "run/checkpoint.h5", "Checkpoint")
    compare(folder / "run/exact.h5", "Exact samples")
    rows, parts = compare(folder / "run/results.h5", "Results")
    # The comparison can fail: a type, a name or a dimension that differs, a part that is missing or too many.
    counter, array = ("counter.token_forwards", "attribute"), ("arrays/after/smc_lower", "dataset")
    for key, value in [(counter, ("f64", 0)), (array, ("f64", 2)), (("counters", "attribute"), ("i64", 0)), (counter, None)]:
        wrong = {k: v for k, v in {**parts, key: value}.items() if v}
        expect(disagreements(rows, wrong), f"expected {key} = {value} to be noticed")
    # The same integers in both files and in people's words.
    counters = json.loads((folder / "run/summary.json").read_text())["counters"]
    named = {name.split(".", 1)[1] for name, _ in parts if name.startswith("counter.") or re.fullmatch(r"number\.[a-z]+_s", name)}
    expect(named == set(counters), f"expected the counters of summary.json in results.h5, got {counters} and {named}")
    text = info(folder / "run/results.h5").split("counters:\n")[1]
    for name, value in counters.items():
        if not name.endswith("_s"):
            expect(isinstance(value, int) and f"  {name} = {value}\n" in text, f"expected {name} = {value} from info, got {text[:600]}")
    expect(counters["token_forwards"] > 0 and counters["skipped_updates"] == 0, f"expected counts, got {counters}")


def evaluations_and_joint_draws_too(folder):
    keys = [*SMALL, f"--run.output={folder}/run", "--target.potential=continuation", "--target.words=", "--target.log_floor=-inf",
            "--target.observation_length=2", "--train.updates=2", "--train.positives=weighted",
            "--exact.source=auto"]
    succeed(2, "train", QUICKSTART, *keys)
    parts = compare(folder / "run/exact.h5", "Exact samples")[1]
    expect(("observations", "dataset") in parts, f"expected observations beside a joint draw, got {parts}")
    shutil.copy(folder / "run/checkpoint.h5", folder / "checkpoint.h5")
    succeed(1, "evaluate", QUICKSTART, *keys, f"--run.output={folder}/alone", f"--evaluate.checkpoint={folder}/checkpoint.h5")
    compare(folder / "alone/results.h5", "Results")


main(files_are_as_promised, evaluations_and_joint_draws_too)
