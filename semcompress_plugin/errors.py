"""What users can cause. Anything else that escapes is our bug."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semcompress_plugin.types import Status


class SemcompressError(Exception):
    """Base of all errors that a user can cause and mend; its text is one line, or one line per finding."""


class UsageError(SemcompressError):
    """A command line that cannot be carried out (exit 2)."""


class PolicyError(SemcompressError):
    """A policy with mistakes; ``findings`` holds one ``file:line:column: text`` each."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class PluginError(SemcompressError):
    """A plugin that is unknown, doubled, broken or lacks its extra."""


class UnusablePluginError(PluginError):
    """A plugin whose code cannot be loaded, whatever the picture."""


class ModelError(SemcompressError):
    """A model file that is missing or is not the one that was shipped."""


class LockError(SemcompressError):
    """A lock that cannot be used: conflict markers, damaged lines, a newer format."""


class BaselineError(SemcompressError):
    """A baseline that cannot be used: conflict markers, damaged lines, a newer format."""


class OriginalsError(SemcompressError):
    """An original that cannot be kept or brought back."""


class ImageError(SemcompressError):
    """A picture that is damaged, too large or not a picture: reported as failed; the others go on."""


class UnsupportedImageError(ImageError):
    """A sound picture that we would damage (animated, CMYK, 16-bit): reported as skipped."""


NOT_THEIRS = (KeyboardInterrupt, GeneratorExit)
"""What comes out of a third party's code and is no fault of its. All else is, whatever it derives from: a plugin that
exits, or a library in Rust that panics, must not take us along."""


def failure(error: Exception) -> tuple[Status, str, str | None]:
    """Status and reason of what ended a picture, and the traceback if it is a bug of ours."""
    if isinstance(error, UnsupportedImageError):
        return "skipped", str(error), None
    if isinstance(error, (ImageError, PluginError)) and not isinstance(error, UnusablePluginError):
        return "failed", str(error), None
    if isinstance(error, MemoryError):
        return "failed", "needs more memory than there is", None
    if isinstance(error, SemcompressError):
        raise error  # concerns the whole run
    import traceback

    text = "".join(traceback.format_exception(error))
    return "failed", f"bug of ours: {type(error).__name__}: {error}", text


BARE = "exiftool -all= -tagsfromfile @ -icc_profile -orientation"
"""What takes metadata out of a picture and leaves what says how its pixels are to be shown."""
