"""The command ``semcompress``: what can be said on the command line, and which exit code says what.

Exit codes: 0 nothing to do, or done; 1 files changed, would change, or failed; 2 usage or policy error; 3 a bug of
ours; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from semcompress_plugin.errors import SemcompressError

USAGE, BUG, INTERRUPTED = 2, 3, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: this process's) and return the exit code."""
    arguments = parser().parse_args(argv)
    try:
        code: int = import_module(f"semcompress_plugin.commands.{arguments.command.replace('-', '_')}").run(arguments)
        sys.stdout.flush()
        return code
    except SemcompressError as error:
        print(f"semcompress: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("semcompress: interrupted; files are whole, and the next run goes on from here", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `semcompress … | head`: whoever read us has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        return report_bug(traceback.format_exc())


def report_bug(text: str) -> int:
    """Keep the traceback in a file, say where, and return the exit code for bugs."""
    handle, name = tempfile.mkstemp(prefix="semcompress-bug-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"semcompress {version('semcompress-plugin')}, Python {sys.version}, {sys.platform}\n\n{text}")
    last = text.strip().splitlines()[-1]
    print(f"semcompress: this is a bug of ours ({last}); please report it with {name}", file=sys.stderr)
    return BUG


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="semcompress",
        description="Shrink images to the smallest file for which a reader still sees the same.",
        epilog="Exit: 0 nothing to do, or done; 1 files changed, would change or failed; 2 usage or policy error; "
        "3 a bug of ours; 130 interrupted.",
    )
    top.add_argument("--version", action="version", version=f"semcompress {version('semcompress-plugin')}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, help: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".", parents=[*parents])

    form = argparse.ArgumentParser(add_help=False)
    form.add_argument("--format", choices=("text", "json"), default="text", help="how to report (default: text)")
    policy = argparse.ArgumentParser(add_help=False)
    policy.add_argument("--policy", type=Path, metavar="FILE", help="govern everything by FILE, not the nearest policy")
    work = argparse.ArgumentParser(add_help=False)
    work.add_argument("--jobs", type=_positive, metavar="N", help="worker threads (default: one per core)")
    work.add_argument("--quiet", action="store_true", help="say nothing but errors")
    paths = argparse.ArgumentParser(add_help=False)
    paths.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders (default: here)")
    redo = argparse.ArgumentParser(add_help=False)
    redo.add_argument("--refresh", action="store_true", help="also redo what older versions of the tools settled")
    redo.add_argument(
        "--allow-generation-loss",
        action="store_true",
        help="shrink again from our own lossy output where the original cannot be had",
    )

    hook = argparse.ArgumentParser(add_help=False)
    hook.add_argument(
        "--hook",
        action="store_true",
        help="as a git hook: without PATH the staged pictures; also stops where the lock was not staged",
    )

    command("compress", "shrink pictures in place", paths, policy, form, work, redo, hook)
    command("check", "say what `compress` would change, and write nothing", paths, policy, form, work, redo, hook)
    build = command("build", "derive a tree with shrunk pictures; sources stay as they are", policy, form, work)
    build.add_argument("source", type=Path, nargs="?", metavar="SRC", help="the tree to read")
    build.add_argument("out", type=Path, nargs="?", metavar="OUT", help="the tree to write")
    build.add_argument(
        "--in-place", type=Path, metavar="DIR", help="shrink inside DIR, which a generator has just made"
    )
    evaluate = command("evaluate", "say how a candidate fares against a reference", policy, form)
    evaluate.add_argument("reference", type=Path, metavar="REFERENCE")
    evaluate.add_argument("candidate", type=Path, metavar="CANDIDATE")
    explain = command("explain", "say which rule governs a picture, what its readers see, what was settled", policy)
    explain.add_argument("path", type=Path, metavar="PATH")
    restore = command("restore", "bring replaced originals back", policy, form, work)
    restore.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    restore.add_argument("--all", action="store_true", help="everything that the lock of this folder knows")
    validate = command("validate", "check a policy and say all that is wrong with it")
    validate.add_argument(
        "policy", nargs="*", type=Path, metavar="POLICY", help="default: the nearest .semcompress.yaml"
    )
    command("schema", "print the JSON schema of policies")
    command("plugins", "list compressors and evaluators", form)
    weights = command("weights", "get what evaluators look with, where it does not come with them")
    fetch = weights.add_subparsers(dest="action", metavar="ACTION", required=True).add_parser(
        "fetch", help="download the weights of an evaluator", description="Download the weights of an evaluator."
    )
    fetch.add_argument("evaluator", metavar="EVALUATOR", help="such as torchvision:resnet152")
    fetch.add_argument("--weights", metavar="NAME", help="which of several, such as IMAGENET1K_V1")
    init = command("init", "write a commented policy fitted to the pictures in this folder")
    init.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="FOLDER")
    init.add_argument("--force", action="store_true", help="overwrite a policy that is there")
    command("install-hook", "install a git hook that shrinks what is staged before it is committed")
    return top


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text}")
    return number
