#!/usr/bin/python3
"""Prints the share of lines that tests ran, a line a source file. Usage: tools/coverage.py BUILD_FOLDER

The folder holds objects compiled with --coverage and the .gcda files of the programs that were run. A line counts as run
when it ran in any of them; tests' own sources are left out.
"""
import collections
import json
import pathlib
import subprocess
import sys


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    lines = collections.defaultdict(dict)
    data = sorted(str(path) for path in pathlib.Path(sys.argv[1]).rglob("*.gcda"))
    if not data:
        sys.exit(f"coverage: no .gcda file in {sys.argv[1]}")
    for path in data:
        report = subprocess.run(["gcov", "--json-format", "--stdout", path], check=True, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout
        for document in filter(None, report.splitlines()):
            for file in json.loads(document)["files"]:
                name = file["file"].removeprefix("./")
                if name.startswith(("/", "tests/")):
                    continue
                for line in file["lines"]:
                    known = lines[name]
                    known[line["line_number"]] = known.get(line["line_number"], False) or line["count"] > 0
    ran = total = 0
    for name, known in sorted(lines.items()):
        ran += sum(known.values())
        total += len(known)
        print(f"{100 * sum(known.values()) / len(known):5.1f} %  {len(known):5} lines  {name}")
    print(f"{100 * ran / total:5.1f} %  {total:5} lines  of files that a unit test links")


main()
