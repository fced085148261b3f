# SPDX-License-Identifier: Apache-2.0
"""Checks what the sources of each room include, and how long files are, against the table of docs/architecture.md.

usage: room_edges.py ROOT           every violation on a line of its own; exit code 1 if there is any
       room_edges.py --self-test    plants one violation of each kind in a temporary tree and expects it to be found
"""
import pathlib
import re
import sys
import tempfile

ROOMS = {  # room: rooms whose headers it may include
    "base": [],
    "config": ["base"],
    "format": ["base"],
    "text": ["base", "format"],
    "device": ["base"],
    "comm": ["base", "device"],
    "model": ["base", "format", "text", "device"],
    "potential": ["base", "config", "format", "text", "model"],
    "store": ["base"],
    "exact": ["base", "config", "comm", "model", "potential", "store"],
    "twist": ["base", "config", "device", "model"],
    "smc": ["base", "config", "comm", "device", "model", "potential", "twist"],
    "estimate": ["base", "config", "comm", "smc", "exact"],
    "learn": ["base", "config", "comm", "device", "twist", "smc", "exact", "store"],
    "report": ["base", "config", "format", "estimate", "store"],
    "run": ["base", "config", "comm", "format", "text", "device", "model", "potential", "store", "exact", "twist", "smc", "estimate", "learn", "report"],
    "app": ["base", "config", "comm", "format", "text", "device", "model", "potential", "store", "exact", "smc", "estimate", "learn", "report", "run"],
}
# (what is included, rooms where it may stand, whether public headers of those rooms may show it)
THIRD_PARTY = [
    (r"mpi\.h", ["comm"], True),
    (r"nccl\.h|cuda\.h", [], False),
    (r"cuda_runtime(_api)?\.h", ["device"], False),
    (r"hdf5\.h|hdf5_hl\.h|H5\w+\.h", ["store"], True),
    (r"boost/program_options.*", ["config"], True),
    (r"boost/.*", [], False),
    (r"nlohmann/json_fwd\.hpp", ["format", "text", "model", "report"], True),
    (r"nlohmann/.*", ["format", "text", "model", "report"], False),
    (r"utf8proc\.h|pcre2\.h", ["text"], False),
    (r"isa-l.*", ["store"], False),
    (r"immintrin\.h", ["device"], False),
    (r"torch/.*", [], False),
]
TORCH = re.compile(r"(ATen|c10|torch|caffe2)/.*")
LIGHT_TORCH_HEADER = "ATen/core/Tensor.h"
ABOVE_THE_ROOMS = {"include/twistor/plugin.h": "potential"}  # what others include from C, without our folders; and its room
HEADER_LINES, SOURCE_LINES = 250, 400  # a file must stay below
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def check_include(room, is_public, quote, name):
    """What is wrong with one include of a file in `room`, or None."""
    own = re.match(r"twistor/(\w+)/", name)
    if own:
        if own[1] not in ROOMS:
            return f"there is no room '{own[1]}'"
        if own[1] != room and own[1] not in ROOMS[room]:
            return f"room '{room}' may not use room '{own[1]}'"
        return None
    if ".." in name.split("/"):
        return "climbs out of its folder; name the header from twistor/ on"
    if quote == '"' and name.split("/")[0] in set(ROOMS) - {room}:
        return f"a private header of room '{name.split('/')[0]}'"
    if quote == '"' and is_public:
        return "public headers include others from twistor/ on"
    if TORCH.fullmatch(name) and is_public and name != LIGHT_TORCH_HEADER:
        return f"public headers include no Torch header but {LIGHT_TORCH_HEADER}"
    for pattern, rooms, in_headers in THIRD_PARTY:
        if re.fullmatch(pattern, name):
            if room not in rooms:
                return "belongs to " + (f"room {' and '.join(rooms)} alone" if rooms else "no room")
            if is_public and not in_headers:
                return "may stand in sources only, not in a public header"
            return None
    return None


def check_file(path, room, is_public):
    """Violations of one file as (line number, text)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = 2 if lines and lines[0].startswith("// SPDX-") else 1  # the licence counts nowhere
    lines = lines[first - 1:]
    is_header = path.suffix in (".hpp", ".h", ".cuh")
    limit = HEADER_LINES if is_header else SOURCE_LINES
    if len(lines) >= limit:
        yield len(lines), f"has {len(lines)} lines; {'headers' if is_header else 'sources'} stay below {limit}"
    if not lines or not lines[0].startswith("// "):
        yield 1, "must open with one sentence saying what it is for"
    if is_header and "#pragma once" not in lines:
        yield 1, "has no #pragma once"
    for number, line in enumerate(lines, first):
        found = INCLUDE.match(line)
        problem = found and check_include(room, is_public, found[1], found[2])
        if problem:
            yield number, f"includes {found[2]}: {problem}"


def edges_of(path, room):
    """Rooms other than its own whose headers a file includes."""
    includes = (INCLUDE.match(line) for line in path.read_text(encoding="utf-8").splitlines())
    names = (re.match(r"twistor/(\w+)/", found[2]) for found in includes if found)
    return {name[1] for name in names if name and name[1] != room}


def check_tree(root):
    """All violations under include/twistor and src as texts, and the number of files seen."""
    problems, n_files, used = [], 0, {room: set() for room in ROOMS}
    for top, is_public in (("include/twistor", True), ("src", False)):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".hpp", ".h", ".cpp", ".cu", ".cuh"):
                continue
            n_files += 1
            place = path.relative_to(root)
            room = ABOVE_THE_ROOMS.get(str(place)) or path.relative_to(root / top).parts[0]
            if room not in ROOMS:
                problems.append(f"{place}:1: is in no room of docs/architecture.md")
                continue
            problems += [f"{place}:{number}: {text}" for number, text in check_file(path, room, is_public)]
            used[room] |= edges_of(path, room)
    return problems, n_files, used


def check_unused(used):
    """Edges of ROOMS that no include needs. An edge that nobody uses is an invitation."""
    for room, rooms in ROOMS.items():
        for other in sorted(set(rooms) - used[room]):
            yield f"room '{room}' may use room '{other}', but no file of it does: strike the edge"


PLANTED = [  # (file, its text, part of the message expected; None: no message may come)
    ("src/base/a.cpp", "#include <vector>\n#include <fmt/format.h>\n", None),
    ("src/smc/b.cpp", '#include "twistor/model/cache.hpp"\n#include "local.hpp"\n#include <ATen/ATen.h>\n', None),
    ("include/twistor/comm/c.hpp", "#pragma once\n#include <mpi.h>\n", None),
    ("include/twistor/model/d.hpp", "#pragma once\n#include <ATen/core/Tensor.h>\n", None),
    ("src/base/e.cpp", '#include "twistor/comm/x.hpp"\n', "room 'base' may not use room 'comm'"),
    ("src/model/f.cpp", '  #  include   "twistor/smc/x.hpp"\n', "room 'model' may not use room 'smc'"),
    ("include/twistor/store/g.hpp", '#pragma once\n#include "twistor/smc/x.hpp"\n', "may not use room 'smc'"),
    ("src/smc/h.cpp", "#include <mpi.h>\n", "belongs to room comm alone"),
    ("src/smc/i.cu", "#include <cuda_runtime.h>\n", "belongs to room device alone"),
    ("src/app/j.cpp", "#include <hdf5.h>\n", "belongs to room store alone"),
    ("src/learn/k.cpp", "#include <boost/program_options.hpp>\n", "belongs to room config alone"),
    ("src/app/l.cpp", "#include <boost/asio.hpp>\n", "belongs to no room"),
    ("include/twistor/text/m.hpp", "#pragma once\n#include <nlohmann/json.hpp>\n", "sources only"),
    ("include/twistor/text/m2.hpp", "#pragma once\n#include <nlohmann/json_fwd.hpp>\n", None),
    ("src/smc/n.cpp", "#include <nlohmann/json_fwd.hpp>\n", "belongs to room format and text"),
    ("src/model/o.cpp", "#include <torch/nn.h>\n", "belongs to no room"),
    ("include/twistor/smc/p.hpp", "#pragma once\n#include <ATen/ATen.h>\n", "no Torch header but"),
    ("src/model/q.cpp", '#include "../text/bpe.hpp"\n', "climbs out"),
    ("src/potential/kinds/q2.cpp", '#include "q2.hpp"\n#include "twistor/store/x.hpp"\n', "may not use room 'store'"),
    ("src/app/q3.cpp", '#include "potential/kinds/q2.hpp"\n', "a private header of room 'potential'"),
    ("include/twistor/text/r.hpp", '#pragma once\n#include "bpe.hpp"\n', "from twistor/ on"),
    ("src/attic/s.cpp", "", "is in no room"),
    ("include/twistor/plugin.h", "#pragma once\n#include <stdint.h>\n", None),
    ("include/twistor/other.h", "#pragma once\n", "is in no room"),
    ("src/smc/t.cpp", '#include "twistor/attic/x.hpp"\n', "there is no room 'attic'"),
    ("include/twistor/base/u.hpp", "#pragma once\n" + "\n" * 248, "headers stay below 250"),
    ("include/twistor/base/v.hpp", "#pragma once\n" + "\n" * 247, None),
    ("src/base/w.cpp", "\n" * 399, "sources stay below 400"),
    ("include/twistor/base/x.hpp", "\n", "no #pragma once"),
]


def check_page(page):
    """What the table of rooms in docs/architecture.md says that ROOMS does not, and the other way round."""
    told = {}
    for row in re.findall(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE):
        rooms = row[1].split(" | ")[1].strip()
        others = [room for room in ROOMS if room != row[0]]
        told[row[0]] = others if rooms == "all" else [] if rooms == "–" else rooms.split(", ")
    for room in sorted(told.keys() | ROOMS.keys()):
        if sorted(told.get(room, ["no such row"])) != sorted(ROOMS.get(room, ["no such room"])):
            yield f"docs/architecture.md: room '{room}' may use {told.get(room)} there and {ROOMS.get(room)} here"


def self_test():
    """Each planted file gives exactly the message that it was planted for."""
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text, _ in PLANTED:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("// A planted file.\n" + text)
        bare = root / "src/base/no_sentence.cpp"
        bare.write_text("int x;\n")
        problems, n_files, used = check_tree(root)
        for name, _, expected in PLANTED + [("src/base/no_sentence.cpp", "", "must open with one sentence")]:
            found = [p for p in problems if p.startswith(name + ":")]
            if expected is None and found:
                failures.append(f"{name}: nothing is wrong with it, but: {found}")
            if expected is not None and (len(found) != 1 or expected not in found[0]):
                failures.append(f"{name}: expected one message with '{expected}', got {found}")
        page = "| room | what | may use | only here |\n" + "".join(
            f"| `{room}` | x | {', '.join(uses) or '–'} | |\n" for room, uses in ROOMS.items())
        if list(check_page(page)):
            failures.append(f"a true table is refused: {list(check_page(page))}")
        for wrong in (page.replace("`twist` | x | base, config, device, model", "`twist` | x | base, config, model"), page.replace("| `store`", "| store")):
            if len(list(check_page(wrong))) != 1:
                failures.append(f"a wrong table gives {list(check_page(wrong))}")
        everything = {room: set(rooms) for room, rooms in ROOMS.items()}
        if list(check_unused(everything)):
            failures.append(f"used edges are called unused: {list(check_unused(everything))}")
        everything["smc"].discard("comm")
        if len(list(check_unused(everything))) != 1:
            failures.append(f"one unused edge gives {list(check_unused(everything))}")
        if used["smc"] != {"model", "attic"}:
            failures.append(f"the planted files of smc use {used['smc']}")
        if n_files != len(PLANTED) + 1:
            failures.append(f"saw {n_files} files, {len(PLANTED) + 1} were planted")
    return failures


def main(arguments):
    if arguments == ["--self-test"]:
        failures = self_test()
        print("\n".join(failures) if failures else f"all {len(PLANTED) + 1} planted files judged rightly")
        return 1 if failures else 0
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 64
    problems, n_files, used = check_tree(pathlib.Path(arguments[0]))
    problems += check_unused(used)
    if n_files == 0:
        problems.append(f"no source under {arguments[0]}; is it the repository's root?")
    problems += check_page((pathlib.Path(arguments[0]) / "docs/architecture.md").read_text(encoding="utf-8"))
    print("\n".join(problems) if problems else f"{n_files} files keep to their rooms")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
