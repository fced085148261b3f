# SPDX-License-Identifier: Apache-2.0
"""The container files make one image by the scripts that README names, and setup.sh --runtime installs all that the program loads.

usage: container_files.py TWISTOR ROOT      exits with 77 (skipped) where dpkg or readelf is missing
"""
import pathlib
import re
import shutil
import subprocess
import sys

twistor, root = sys.argv[1], pathlib.Path(sys.argv[2])
failures = []


def expect(condition, what):
    if not condition:
        failures.append(what)
        print("FAILED:", what)


def lines_of(file):
    text = (root / file).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def steps_of_docker(lines):
    """Commands by stage, split at &&."""
    stages = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([f"from {rest.split()[0]}"])
        elif word == "RUN":
            stages[-1] += [command.strip() for command in rest.split("&&")]
    return stages


def steps_of_apptainer(lines):
    stages, section = [], None
    for line in lines:
        if line.startswith("From: "):
            stages.append([f"from {line.split()[1]}"])
        elif line.startswith("%"):
            section = line.split()[0]
        elif line.startswith("Bootstrap:"):
            section = None
        elif section == "%post":
            stages[-1].append(line)
    return stages


docker, apptainer = steps_of_docker(lines_of("container/Dockerfile")), steps_of_apptainer(lines_of("container/twistor.def"))
expect(docker == apptainer and len(docker) == 2, f"expected the same steps in both files, got {docker} and {apptainer}")
expect(all(stage[0] == "from debian:12" for stage in docker), f"expected debian:12, which README names, got {docker}")
expect("Debian 12" in (root / "README.md").read_text(), "expected README to name Debian 12")
for stage in docker:
    for command in stage[1:]:
        script = re.match(r"/(?:opt/)?twistor/(launch/\w+\.sh)", command)
        expect(script is None or (root / script[1]).exists(), f"there is no script for '{command}'")
for script in ("launch/setup.sh", "launch/install.sh"):
    expect(any(script in command for command in docker[0]), f"expected {script} among the steps of the build, got {docker[0]}")
expect("/opt/twistor/launch/setup.sh --runtime" in docker[1], f"expected the packages that the program loads, got {docker[1]}")

if not shutil.which("dpkg") or not shutil.which("readelf"):
    print("skipped: dpkg or readelf is missing")
    sys.exit(1 if failures else 77)
setup = (root / "launch/setup.sh").read_text()
runtime = set(re.search(r"^runtime_packages=\((.*?)\)", setup, re.MULTILINE | re.DOTALL)[1].split())
needed = re.findall(r"\(NEEDED\).*\[(.*)\]", subprocess.run(["readelf", "-d", twistor], capture_output=True, text=True, check=True).stdout)
owners = {}
for library in needed:
    found = subprocess.run(["dpkg", "-S", f"*/{library}"], capture_output=True, text=True).stdout
    owners[library] = {line.split(":")[0] for line in found.splitlines()}
# What every Debian has, and LibTorch's, which no package has and launch/install.sh brings along.
for library, packages in owners.items():
    if re.match(r"lib(torch|c10)", library):
        expect(not packages, f"{library} is in {packages} now: let setup.sh install it")
    else:
        expect(packages & (runtime | {"libc6", "libgcc-s1"}), f"{library} of {sorted(packages)} is not in runtime_packages of launch/setup.sh")
expect(len(needed) > 10, f"expected the program's libraries, got {needed}")
unused = {package for package in runtime if package not in ("openmpi-bin", "openssh-client")} - set().union(*owners.values())
expect(not unused, f"runtime_packages has {unused}, which the program does not load")
print(f"{len(owners)} libraries, {len(failures)} failures")
sys.exit(1 if failures else 0)
