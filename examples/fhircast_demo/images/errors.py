"""Why an image request is refused: plain text with a status."""

from __future__ import annotations


class ImageError(Exception):
    """A request that cannot be answered as asked; `status` is the HTTP status.

    The reason never holds patient data.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def not_found(what: str) -> ImageError:
    """A 404."""
    return ImageError(404, f"no such {what}")


def bad_request(reason: str) -> ImageError:
    """A 400."""
    return ImageError(400, reason)


def not_acceptable(reason: str) -> ImageError:
    """A 406."""
    return ImageError(406, reason)
