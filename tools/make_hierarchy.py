"""Make the hierarchy of ImageNet's 1000 classes that the evaluator ``classifier`` ships, from WordNet 3.0.

    apt-get install wordnet-base
    python tools/make_hierarchy.py IDS [--wordnet /usr/share/wordnet/data.noun]

IDS lists the classes' ImageNet ids, one a line, in the order of the classes. An id such as n02123159 is the offset of
a noun's entry in WordNet 3.0's data.noun; its hypernyms, and theirs, are all that is taken from there.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

TABLE = Path(__file__).parents[1] / "semcompress_plugin" / "evaluators" / "models" / "wordnet_imagenet.txt"
HYPERNYMS = ("@", "@i")
HEAD = """\
# The hypernyms of ImageNet's 1000 classes, derived from WordNet 3.0 (data.noun, sha256 {sha256})
# by tools/make_hierarchy.py. WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved; its licence
# stands in NOTICE. A line is a synset: its first word, and the lines (from 0) of its hypernyms in WordNet's order.
# The first 1000 are the classes, in their order.
"""

Synset = tuple[str, list[str]]
"""A first word and the offsets of the hypernyms."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", type=Path, metavar="IDS")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet/data.noun"), metavar="DATA.NOUN")
    arguments = parser.parse_args()
    data = arguments.wordnet.read_bytes()
    classes = [line.removeprefix("n") for line in arguments.ids.read_text(encoding="ascii").split()]
    TABLE.write_text(
        HEAD.format(sha256=hashlib.sha256(data).hexdigest()) + table(classes, nouns(data.decode("ascii"))),
        encoding="utf-8",
    )
    print(f"{TABLE}: {TABLE.stat().st_size:,} bytes")


def nouns(text: str) -> dict[str, Synset]:
    """Offset -> synset, of every noun. For the format see WordNet's wndb(5)."""
    found = {}
    for line in text.splitlines():
        if line.startswith("  "):  # the licence
            continue
        offset, _, _, words, *rest = line.split(" | ")[0].split()
        after = rest[2 * int(words, 16) :]
        pointers = after[1 : 1 + 4 * int(after[0])]
        parents = [pointers[i + 1] for i in range(0, len(pointers), 4) if pointers[i] in HYPERNYMS]
        found[offset] = (rest[0].replace("_", " "), parents)
    return found


def table(classes: list[str], known: dict[str, Synset]) -> str:
    """The classes and everything above them as text, parents by line."""
    order = list(classes)
    for offset in order:  # grows while it is walked
        order += [parent for parent in known[offset][1] if parent not in order]
    line = {offset: number for number, offset in enumerate(order)}
    above = set().union(*(known[offset][1] for offset in order))
    assert not above & set(classes), "a class that is above another one would need a height of its own"
    rows = ["\t".join([known[offset][0], *(str(line[parent]) for parent in known[offset][1])]) for offset in order]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
