"""Reading an Accept header as far as DICOMweb needs it (PS3.18 8.7)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = re.compile(r'(?:[^,"]|"[^"]*")+')
_PARAMETER = re.compile(r';\s*([\w-]+)\s*=\s*("[^"]*"|[^;\s]+)')


@dataclass(frozen=True, slots=True)
class Range:
    """One media range; `transfer_syntax` is None where the header names none."""

    media_type: str
    inner_type: str
    transfer_syntax: str | None

    def covers(self, media_type: str) -> bool:
        """Say whether this range allows the media type itself."""
        return _covers(self.media_type, media_type)

    def covers_part(self, media_type: str) -> bool:
        """Say whether this range allows multipart/related with parts of the media type."""
        if self.media_type == "multipart/related":
            return _covers(self.inner_type or "*/*", media_type)
        return self.media_type in ("*/*", "multipart/*")


def parse_accept(header: str) -> list[Range]:
    """Return the media ranges in the order of preference; an empty header allows anything."""
    weighted = []
    for text in _PART.findall(header.strip() or "*/*"):
        media_type = text.partition(";")[0].strip().lower()
        given = {key.lower(): value.strip('"') for key, value in _PARAMETER.findall(text)}
        quality = _quality(given.get("q", "1"))
        if media_type and quality > 0:
            inner = given.get("type", "").lower()
            weighted.append((quality, Range(media_type, inner, given.get("transfer-syntax"))))
    return [item for _, item in sorted(weighted, key=lambda pair: -pair[0])]


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _covers(pattern: str, media_type: str) -> bool:
    if pattern in ("*/*", media_type):
        return True
    return pattern.endswith("/*") and media_type.startswith(pattern[:-1])
