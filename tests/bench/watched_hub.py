"""The hub as it is, which writes on SIGUSR1 what lives in it: tasks, topics, channels.

python watched_hub.py FILE serve …
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from collections import Counter
from pathlib import Path

from fhircast_hub.cli.main import main

_COUNTED = ("_Topic", "Subscription", "Channel", "Link", "Wire")
"""What the garbage collector knows of: values such as a session are none of its business."""


def _write(file: Path) -> None:
    gc.collect()
    names = ((type(it).__name__, getattr(type(it), "__module__", "")) for it in gc.get_objects())
    found = Counter(name for name, room in names if str(room).startswith("fhircast_hub."))
    tasks = len(asyncio.all_tasks(asyncio.get_running_loop()))
    counted = {"tasks": tasks, **{name: found[name] for name in _COUNTED}}
    new = file.with_suffix(".new")
    new.write_text(json.dumps(counted))
    new.replace(file)


if __name__ == "__main__":
    _file = Path(sys.argv.pop(1))
    signal.signal(signal.SIGUSR1, lambda *_: _write(_file))
    main()
