"""The command ``semcompress``: what can be said on the command line, and which exit code says what.

Exit codes: 0 nothing to do, or done; 1 files changed, would change, or failed; 2 usage or policy error; 3 a bug of
ours; 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from semcompress_plugin import bugs
from semcompress_plugin.cores import keep_blas_to_one_thread
from semcompress_plugin.errors import SemcompressError
from semcompress_plugin.streams import patient, silence

USAGE, INTERRUPTED = 2, 130
_PATHS = frozenset({"candidate", "in_place", "path", "policy", "reference", "source"})
"""Arguments that name a file or folder which a policy may govern, or a policy."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: this process's) and return the exit code."""
    keep_blas_to_one_thread()
    given = sys.argv[1:] if argv is None else argv
    arguments, unknown = parser(given[0] if given else None).parse_known_args(given)
    if unknown:
        arguments.refuse(f"unrecognized arguments: {' '.join(unknown)}")
    with patient():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    warnings.filterwarnings("ignore", module="PIL")  # about damaged pictures, in words that help nobody
    try:
        _follow_to_repositories(arguments)
        code: int = import_module(f"semcompress_plugin.commands.{arguments.command.replace('-', '_')}").run(arguments)
        sys.stdout.flush()
        return code
    except SemcompressError as error:
        from semcompress_plugin.words import printable

        print("\n".join(f"semcompress: {printable(line)}" for line in str(error).splitlines()), file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("semcompress: interrupted; files are whole, and the next run goes on from here", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if not _is_somewhere():
            print("semcompress: the working folder is not there any more: go to another (cd)", file=sys.stderr)
            return USAGE
        if error.errno != errno.ENOSPC or error.filename is not None:
            return _report_this_bug()
        silence(sys.stdout)
        print(f"semcompress: the report cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    except (SystemExit, GeneratorExit):
        raise
    except BaseException:
        return _report_this_bug()


def _follow_to_repositories(arguments: argparse.Namespace) -> None:
    """Have what was named through a link to a repository called as policies there call it."""
    from semcompress_plugin.walk import in_their_repositories

    for name, given in vars(arguments).items():
        if name in _PATHS and isinstance(given, Path):
            setattr(arguments, name, next(in_their_repositories([given])))
        elif name == "paths":
            arguments.paths = list(in_their_repositories(given))


def _is_somewhere() -> bool:
    """Whether there still is a working folder."""
    try:
        os.getcwd()  # noqa: PTH109  # as Path.cwd does
    except OSError:
        return False
    return True


def _report_this_bug() -> int:
    import traceback

    return bugs.report(traceback.format_exc())


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line; if ``only`` is a command, other commands are not known to it.

    Making the parsers of all commands takes longer than looking at a hundred pictures that are settled.
    """
    top = argparse.ArgumentParser(
        prog="semcompress",
        description="Shrink images to the smallest file for which a reader still sees the same.",
        epilog="Exit: 0 nothing to do, or done; 1 files changed, would change or failed; 2 usage or policy error; "
        "3 a bug of ours; 130 interrupted.",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the program's version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, help: str, *parents: argparse.ArgumentParser) -> Any:
        if only not in (None, name):
            return _NotGiven()
        return _added(commands, name, help, *parents)

    form = argparse.ArgumentParser(add_help=False)
    form.add_argument("--format", choices=("text", "json"), default="text", help="how to report (default: text)")
    policy = argparse.ArgumentParser(add_help=False)
    policy.add_argument(
        "--policy",
        type=_path,
        metavar="FILE",
        help="govern everything below FILE's folder by FILE, not by the nearest policy",
    )
    quiet = argparse.ArgumentParser(add_help=False)
    quiet.add_argument("--quiet", action="store_true", help="say nothing but errors")
    work = argparse.ArgumentParser(add_help=False, parents=[quiet])
    work.add_argument("--jobs", type=_positive, metavar="N", help="worker threads (default: one per core)")
    effort = argparse.ArgumentParser(add_help=False)
    effort.add_argument(
        "--effort",
        choices=("fast", "best"),
        default="fast",
        help="what to spend on files that are kept; readers must see the same in both (default: fast)",
    )
    paths = argparse.ArgumentParser(add_help=False)
    paths.add_argument("paths", nargs="*", type=_path, metavar="PATH", help="files or folders (default: here)")
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

    redo.add_argument("--no-baseline", action="store_true", help="also shrink what stands in the baseline")
    compress = command("compress", "shrink pictures in place", paths, policy, form, work, effort, redo, hook)
    compress.add_argument("--dry-run", action=_DryRun, nargs=0, help=argparse.SUPPRESS)
    command(
        "check", "say what `compress` would change, and write nothing", paths, policy, form, work, effort, redo, hook
    )
    verify = command(
        "verify", "measure what was shrunk against its original again, and write nothing", paths, policy, form, work
    )
    verify.add_argument(
        "--tolerance",
        type=float,
        metavar="T",
        default=1e-4,
        help="how far beyond its bound a metric may lie, in its own unit (default: 0.0001)",
    )
    verify.add_argument(
        "--require-originals", action="store_true", help="exit 1 also where an original is not here to compare with"
    )
    baseline = command("baseline", "let pictures that are there now stay as they are", policy)
    baseline.add_argument("--renew", action="store_true", help="add to a baseline that is there, not only tidy it")
    build = command("build", "derive a tree with shrunk pictures; sources stay as they are", policy, form, work, effort)
    build.add_argument("source", type=_place, nargs="?", metavar="SRC", help="the tree to read: a folder, or an URL")
    build.add_argument("out", type=_place, nargs="?", metavar="OUT", help="the tree to write: a folder, or an URL")
    build.add_argument(
        "--executor",
        metavar="WHERE",
        help="build over shards: threads, dask (workers here), dask:tcp://scheduler:8786 (see docs/scale.md)",
    )
    build.add_argument("--shard-size", type=_positive, metavar="N", help="files per shard, about (default: 500)")
    build.add_argument(
        "--in-place", type=_path, metavar="DIR", help="shrink inside DIR, which a generator has just made"
    )
    build.add_argument(
        "--no-pages", dest="pages", action="store_false", help="leave HTML and CSS alone, whatever lies beside pictures"
    )
    build.add_argument(
        "--site-url",
        metavar="URL",
        help="where pages say the tree will be, such as https://example.org/repo/ or /repo/ (default: /)",
    )
    evaluate = command("evaluate", "say how a candidate fares against a reference", policy, form)
    evaluate.add_argument("reference", type=_path, metavar="REFERENCE")
    evaluate.add_argument("candidate", type=_path, metavar="CANDIDATE")
    explain = command("explain", "say which rule governs a picture, what its readers see, what was settled", policy)
    explain.add_argument("path", type=_path, metavar="PATH")
    restore = command("restore", "bring replaced originals back", policy, form, quiet)
    restore.add_argument("paths", nargs="*", type=_path, metavar="PATH")
    restore.add_argument("--all", action="store_true", help="everything that the lock of this folder knows")
    originals = command("originals", "list, hand on or prune the originals of replaced pictures")
    actions = originals.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, help: str, *parents: argparse.ArgumentParser) -> Any:
        return _added(actions, name, help, policy, *parents)

    action("list", "say what is kept, of which pictures, and which remote has it", form)
    push = action("push", "push originals to a remote, private metadata included")
    push.add_argument("--yes", action="store_true", help="push without asking")
    fetched = action("fetch", "fetch the originals that others have pushed")
    for sub in (push, fetched):
        sub.add_argument("remote", nargs="?", metavar="REMOTE", help="default: origin, or the only one")
    pruned = action("prune", "say which originals nobody needs any more, and with --yes let go of them")
    pruned.add_argument("--yes", action="store_true", help="really remove them")
    lock = command("lock", "say whether the lock is sound, or merge locks")
    lock.add_argument(
        "--merge",
        nargs="*",
        metavar=("%O", "%A %B"),
        help="resolve locks that a merge left in conflict; with three files, as git's merge driver",
    )
    validate = command("validate", "check a policy and say all that is wrong with it")
    validate.add_argument(
        "policy", nargs="*", type=_path, metavar="POLICY", help="default: the nearest .semcompress.yaml"
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
    init.add_argument("folder", nargs="?", type=_path, default=Path(), metavar="FOLDER")
    init.add_argument("--force", action="store_true", help="overwrite a policy that is there")
    command("install-hook", "install a git hook that shrinks what is staged before it is committed")
    return top if commands.choices else parser()


def _added(commands: Any, name: str, help: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """A parser of its own for a command, whose ``refuse`` shows its usage and not that of the whole."""
    description = help[0].upper() + help[1:] + "."
    added: argparse.ArgumentParser = commands.add_parser(name, help=help, description=description, parents=[*parents])
    added.set_defaults(refuse=added.error)
    return added


class _NotGiven:
    """Takes the place of the parser of a command that was not given: what is added to it goes nowhere."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self


class _DryRun(argparse.Action):
    """What many tools call this, and people try."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.error("--dry-run is a command here: semcompress check")


class _Version(argparse.Action):
    """Says the version, which takes a while to find out, when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"semcompress {bugs.version()}")
        parser.exit()


def _place(text: str) -> Path | str:
    """A folder, or an URL, from which a path would take a slash."""
    return text if "://" in text else _path(text)


def _path(text: str) -> Path:
    """A path; an empty text, such as of a variable that is not set, is not taken for the working folder, nor an URL for
    a folder that is not there.
    """
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got an empty text")
    if "://" in text and not os.path.exists(text):  # noqa: PTH110  # a name that is too long is not there
        raise argparse.ArgumentTypeError(f"expected a path, got {text!r}: only `semcompress build SRC OUT` takes URLs")
    return Path(text)


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return number
