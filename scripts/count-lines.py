#!/usr/bin/env python3
"""Checks the numbers of lines in the table of examples/README.md: prints the wrong ones, and exits with 1.

    scripts/count-lines.py [--update]    with --update, writes the right ones

A line counts if it is neither blank nor a comment. Needs Python 3.8, nothing else.
"""
import os
import re
import sys

# The link to the program, the rest of its cell, its lines, the lines of the other program, and the link to that.
ROW = re.compile(r"^\| \[\w+\]\((\w+\.rs)\)([^|]*)\| (\d+) \| \[(\d+)\]\((octocrab/\w+\.rs)\) \|", re.M)


def count(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    return sum(1 for line in lines if line and not line.startswith("//"))


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "examples")
    table = os.path.join(folder, "README.md")
    with open(table, encoding="utf-8") as file:
        text = file.read()
    wrong = []

    def checked(row):
        ours, cell, our_lines, their_lines, theirs = row.groups()
        right = count(os.path.join(folder, ours)), count(os.path.join(folder, theirs))
        for path, shown, lines in zip((ours, theirs), (our_lines, their_lines), right):
            if int(shown) != lines:
                wrong.append(f"examples/{path} has {lines} lines, and the table says {shown}")
        name = ours[: -len(".rs")]
        return f"| [{name}]({ours}){cell}| {right[0]} | [{right[1]}]({theirs}) |"

    text, rows = ROW.subn(checked, text)
    programs = [name for name in os.listdir(os.path.join(folder, "octocrab")) if name.endswith(".rs")]
    if rows != len(programs):
        sys.exit(f"the table of examples/README.md has {rows} rows, for {len(programs)} programs")
    if "--update" in sys.argv[1:]:
        with open(table, "w", encoding="utf-8") as file:
            file.write(text)
    elif wrong:
        sys.exit("\n".join(wrong + ["run scripts/count-lines.py --update"]))


main()
