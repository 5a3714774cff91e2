#!/usr/bin/env python3
"""Checks that no retired name and no banned word is used.

    scripts/check-words.py              prints path:line: `found` -> replacement; exits with 1 if there is any
    scripts/check-words.py --pending    prints how often each name of [to retire] still occurs
    scripts/check-words.py --list       prints every occurrence of [banned] and [to retire]; exits with 0
    ... --root DIR --words FILE         default: the parent of this script's folder; words.txt beside it

The list is words.txt, whose head describes its form. Needs Python 3.8, nothing else.
"""
import argparse
import collections
import fnmatch
import os
import re
import sys

ROOTS = ("src crates examples tests bench scripts fuzz/fuzz_targets docs .github build.rs Cargo.toml "
         "README.md CONTRIBUTING.md CHANGELOG.md GLOSSARY.md openapi/overlay.yaml").split()
SKIPPED = ("target", "node_modules", ".git")
# Between the words of a phrase: blanks, `_` (test names), or a line break and a comment's leader.
GAP = re.compile(r"(?:[ \t_]|\r?\n[ \t]*(?://[/!]?|[#*>]|--)?[ \t]*)+")
WORD = re.compile(r"GitHub|[A-Z]?[a-z]+|[A-Z]+(?![a-z])")  # two in `LaneKeeper` and in `lane_keeper`
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
# A comment of a line, one in a block, a raw string, a string, a character.
RUST = re.compile(r"//[^\n]*|/\*.*?\*/|(?<!\w)[bc]?r(#*)\".*?\"\1|\"(?:\\.|[^\"\\])*\"|'(?:\\[^']+|[^'\\\n])'", re.S)
SPAN = re.compile(r"`[^`\n]+`")

Entry = collections.namedtuple("Entry", "text replacement paths banned line")


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def spans(text, fenced):
    """The code in a line of Markdown, the rest blank."""
    if fenced:
        return text
    kept, end = "", 0
    for span in SPAN.finditer(text):
        kept += " " * (span.start() - end) + span.group()
        end = span.end()
    return kept + " " * (len(text) - end)


def markdown_code(text, leader=r"\s*"):
    fenced, lines = False, []
    for line in text.split("\n"):
        if re.match(leader + "```", line):
            fenced = not fenced
            lines.append(" " * len(line))
        else:
            lines.append(spans(line, fenced))
    return "\n".join(lines)


def rust_code(text):
    """The text without strings and without what comments say outside of code spans and doc examples."""
    strings_gone = RUST.sub(lambda m: m.group() if m.group().startswith("//") else blank(m.group()), text)
    fenced, lines = False, []
    for line in strings_gone.split("\n"):
        comment = re.match(r"(.*?)(//[/!]?)(.*)$", line)
        if not comment:
            lines.append(line)
        elif not comment[1].strip() and comment[3].lstrip().startswith("```"):
            fenced = not fenced
            lines.append(blank(line))
        else:
            lines.append(comment[1] + "  " + blank(comment[2][2:]) + spans(comment[3], fenced))
    return "\n".join(lines)


def code_of(path, text):
    if path.endswith(".rs"):
        return rust_code(text)
    if path.endswith(".md"):
        return markdown_code(text)
    # The comments of shell, TOML, YAML and Python are prose, as those of Rust are.
    return re.sub(r"(?m)(?<!\S)#(?=\s).*$", lambda comment: spans(comment.group(), False), text)


def read_words(path):
    entries, allowed, section = [], [], None
    for number, raw in enumerate(open(path, encoding="utf-8"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = line.strip("[]")
            if section not in ("banned", "to retire", "allow"):
                sys.exit(f"{path}:{number}: unknown section {line}")
        elif section == "allow":
            pattern, words, *contains = (part.strip() for part in line.split("|"))
            allowed.append([pattern, words, contains[0] if contains else "", number, False])
        else:
            head, arrow, replacement = line.partition(" => ")
            if not arrow or section is None:
                sys.exit(f"{path}:{number}: expected `old => new` below a section")
            replacement, _, where = replacement.partition(" @ ")
            for old in re.findall(r"`[^`]+`|[^,`]+", head):
                if old.strip():
                    entries.append(Entry(old.strip(), replacement.strip(), tuple(where.split()), section == "banned", number))
    return entries, allowed


def files(root):
    for start in ROOTS:
        start = os.path.join(root, start)
        if os.path.isfile(start):
            yield start
        for folder, inner, names in os.walk(start):
            inner[:] = sorted(name for name in inner if name not in SKIPPED)
            yield from (os.path.join(folder, name) for name in sorted(names))


def index(entries):
    """Entries by their first identifier or word, each with a pattern that matches from there."""
    names, words = collections.defaultdict(list), collections.defaultdict(list)
    for entry in entries:
        if entry.text.startswith("`"):
            code = entry.text.strip("`")
            pattern = re.escape(code).replace(r"\ ", r"\s+") + (r"(?!:)" if code.endswith(":") else r"(?!\w)")
            names[IDENTIFIER.match(code).group()].append((entry, re.compile(pattern)))
        else:
            first = re.match(r"[a-z]+", entry.text.lower()).group()
            pattern = GAP.pattern.join(re.escape(word) for word in entry.text.split())
            words[first].append((entry, re.compile(f"(?i:{pattern})(?![a-z]|-[a-z])")))
    return names, words


def occurrences(path, text, names, words):
    """Each (entry, offset, found) of one file."""
    def found(table, view, tokens):
        for key, start in tokens:
            for entry, pattern in table.get(key, ()):
                if entry.paths and not any(path == p or path.startswith(p.rstrip("/") + "/") for p in entry.paths):
                    continue
                match = pattern.match(view, start)
                if match and not ("-" in entry.text and view[start - 1:start] == "-"):
                    yield entry, start, " ".join(match.group().split())

    if names:
        code = code_of(path, text)
        yield from found(names, code, ((name.group(), name.start()) for name in IDENTIFIER.finditer(code)))
    yield from found(words, text, ((word.group().lower(), word.start()) for word in WORD.finditer(text)))


def is_allowed(allowed, path, entry, line):
    for rule in allowed:
        listed = rule[1] == "*" or entry.text.strip("`") in (word.strip(" `") for word in rule[1].split(","))
        if listed and fnmatch.fnmatch(path, rule[0]) and rule[2] in line:
            rule[4] = True
            return True
    return False


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    options = argparse.ArgumentParser(description="Checks that no retired name and no banned word is used.")
    options.add_argument("--root", default=os.path.dirname(here))
    options.add_argument("--words", default=os.path.join(here, "words.txt"))
    options.add_argument("--pending", action="store_true")
    options.add_argument("--list", action="store_true")
    given = options.parse_args()

    entries, allowed = read_words(given.words)
    moved = [e for e in entries if e.paths and not any(os.path.exists(os.path.join(given.root, p)) for p in e.paths)]
    with_pending = given.pending or given.list
    names, words = index([e for e in entries if e.banned or with_pending])
    counts, violations = collections.Counter(), 0
    for file in files(given.root):
        path = os.path.relpath(file, given.root).replace(os.sep, "/")
        try:
            text = open(file, encoding="utf-8").read()
        except UnicodeDecodeError:
            continue
        if os.path.samefile(file, given.words) or os.path.samefile(file, __file__):
            continue
        lines = text.split("\n")
        for entry, offset, found in sorted(occurrences(path, text, names, words), key=lambda hit: hit[1]):
            number = text.count("\n", 0, offset) + 1
            if is_allowed(allowed, path, entry, lines[number - 1]):
                continue
            counts[entry] += 1
            violations += entry.banned
            if given.list or entry.banned and not given.pending:
                print(f"{path}:{number}: `{found}` -> {entry.replacement}")
    if given.pending:
        for entry in entries:
            if not entry.banned:
                ready = "" if counts[entry] else "   gone: move it to [banned]"
                ready = "   its path is gone: name the new one, or drop the line" if entry in moved else ready
                print(f"{counts[entry]:6} {entry.text}{' @ ' + ' '.join(entry.paths) if entry.paths else ''}{ready}")
        return 0
    if given.list:
        return 0
    faults = [f"{rule[3]}: allows `{rule[1]}` in {rule[0]}, where it does not occur" for rule in allowed if not rule[4]]
    faults += [f"{e.line}: none of {' '.join(e.paths)} exists: name the new path, or drop the line" for e in moved if e.banned]
    for fault in faults:
        print(f"{given.words}:{fault}")
    if violations or faults:
        print(f"{violations} banned words or retired names", file=sys.stderr)
    return 1 if violations or faults else 0


if __name__ == "__main__":
    sys.exit(main())
