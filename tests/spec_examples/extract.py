"""Write the JSON and the forms of the guide's pages as files, one per example.

    python tests/spec_examples/extract.py CHECKOUT

CHECKOUT is a work tree of github.com/HL7/fhircast-docs. What is not valid as printed is mended by
the table below; then the printed text stands beside the file, ending in `.published.txt`.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "ig_3_0_0"

_FENCE = re.compile(r"^```(\w+)\n(.*?)^(?:```|--->)", re.MULTILINE | re.DOTALL)
"""One example; a page forgets the end of its last one, which stands in a comment."""

_BAD_HOUR = re.compile(r'("timestamp": "[0-9-]+T)0(\d\d:)')
_FORM = re.compile(r"^hub\.\S+=\S+$", re.MULTILINE)

MENDS: dict[str, tuple[str, str]] = {
    "2-6-SendEventNotification": (r'\}\s*("text": "MRN")\s*\]', r"}], \1"),
    "2-9-GetCurrentContext": (r'\]\s*("partOf")', r"], \1"),
    "4-1-launch-scenarios": (r",\s*\}\s*$", "\n}\n"),
}
"""Page -> what is wrong, and what it becomes; nothing else of the page's text matches."""


def examples(page: str, text: str) -> list[tuple[str, str, str]]:
    """Return file name, published and mended text of each example of a page."""
    found: list[tuple[str, str, str]] = []
    for kind, block in _FENCE.findall(text):
        body = block.split("\n\n", 1)[-1] if kind == "http" else block
        form = _FORM.search(body)
        if kind not in {"json", "http"}:
            continue
        number = f"{len(found) + 1:02}"
        if form is not None:
            found.append((f"{number}-form.txt", form[0], form[0]))
            continue
        above = found[-1][2] if found else ""
        mended = _mended(page, body, above)
        found.append((f"{number}-{_name(json.loads(mended))}.json", body, mended))
    return found


def _mended(page: str, text: str, above: str) -> str:
    text = _BAD_HOUR.sub(r"\1\2", text)
    if "... as above ..." in text:
        context = json.dumps(json.loads(above)["event"]["context"], indent=2)
        text = text.replace("... as above ...", context.strip("[]").strip())
    pattern, replacement = MENDS.get(page, ("(?!)", ""))
    return re.sub(pattern, replacement, text)


def _name(value: dict[str, Any]) -> str:
    """Return what an example is, by what it holds."""
    if "event" in value:
        return str(value["event"]["hub.event"]).lower()
    names = {
        "hub.mode": "denial" if value.get("hub.mode") == "denied" else "confirmation",
        "hub.channel.endpoint": "endpoint",
        "status": "response",
        "context.type": "current-context",
        "eventsSupported": "well-known",
        "access_token": "token",
        "context": "extension",
    }
    return next(name for key, name in names.items() if key in value)


def main(checkout: Path) -> None:
    """Write the examples of every page."""
    for source in sorted((checkout / "input" / "pagecontent").glob("*.md")):
        page = source.stem.replace(" ", "-")
        for name, published, mended in examples(page, source.read_text()):
            file = TARGET / page / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(mended.rstrip() + "\n")
            if published != mended:
                file.with_suffix(".published.txt").write_text(published.rstrip() + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
