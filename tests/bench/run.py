"""Measure the hub beside its peers; write docs/performance.json, .md and the plots.

python tests/bench/run.py                                       everything, as `make bench` does
python tests/bench/run.py --only S2 --rounds 2 --scale 0.2      a part, merged into what there is
python tests/bench/run.py --report-only                         the page from the last figures
"""

from __future__ import annotations

import sys
from pathlib import Path

# Not this folder: its modules must not stand before those of the standard library.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
