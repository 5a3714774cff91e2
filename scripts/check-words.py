#!/usr/bin/env python3
"""Checks that no banned word and no retired name is used: prints each with its replacement, and exits with 1.

    scripts/check-words.py [FOLDER]    default: the repository

The list is words.txt, whose head describes its form. Needs Python 3.8, nothing else.
"""
import os
import re
import subprocess
import sys

ENDINGS = (".rs", ".md", ".toml", ".sh", ".py", ".yml", ".yaml", ".js", ".css", ".html", ".lua")
# Between the words of a phrase: blanks, `_`, or a line break and a comment's leader.
GAP = r"(?:[ \t_]|\r?\n[ \t]*(?://[/!]?|[#*>])?[ \t]*)+"


def pattern(old):
    """A lower-case word in any case, also as a part of an identifier; any other name as it is written."""
    if re.search(r"[^a-z ]", old):
        return rf"(?<![\w-]){re.escape(old)}(?![\w-])"
    words = GAP.join(old.split())
    return rf"(?:(?<![A-Za-z])(?i:{words})|{old.capitalize()})(?![a-z])"


def read_words(path):
    entries = []
    for line in open(path, encoding="utf-8"):
        if line.strip() and not line.startswith("#"):
            olds, _, replacement = line.strip().partition(" => ")
            for old in olds.split(", "):
                # A text without the first word needs no search.
                entries.append((old.lower().split()[0], re.compile(pattern(old)), replacement))
    return entries


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(here)
    entries = read_words(os.path.join(here, "words.txt"))
    files = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                           cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    found = 0
    for path in files:
        if not path.endswith(ENDINGS):
            continue
        try:
            text = open(os.path.join(root, path), encoding="utf-8").read()
        except FileNotFoundError:
            continue
        lower = text.lower()
        for first, entry, replacement in entries:
            for match in entry.finditer(text) if first in lower else ():
                found += 1
                line = text.count("\n", 0, match.start()) + 1
                print(f"{path}:{line}: {' '.join(match.group().split())} -> {replacement}")
    if found:
        sys.exit(f"{found} banned words or retired names")


if __name__ == "__main__":
    main()
