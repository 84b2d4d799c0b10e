"""The style of the HTML report; in the file itself, so that the report can be mailed."""

from __future__ import annotations

STYLE = """
:root { --ink:#1c2430; --dim:#5d6878; --line:#d9dee6; --page:#f6f7f9; --card:#fff;
  --good:#1a7f4b; --bad:#b3261e; --open:#9a6700; --na:#77808c; --mark:#1f5fa8; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6e9ee; --dim:#9aa5b4; --line:#333c48;
  --page:#12161c; --card:#1a2028; --good:#5cc58d; --bad:#f2867e; --open:#e3b341; --na:#8b95a3;
  --mark:#7fb2f0; } }
* { box-sizing:border-box }
body { margin:0; background:var(--page); color:var(--ink);
  font:15px/1.5 system-ui,"Segoe UI",Roboto,sans-serif }
main { max-width:1100px; margin:0 auto; padding:32px 20px 80px }
h1 { font-size:24px; margin:0 0 16px } h2 { font-size:19px; margin:40px 0 8px }
h3 { font-size:16px; margin:24px 0 6px } small { color:var(--dim); font-weight:400 }
.facts { display:flex; flex-wrap:wrap; gap:8px 28px; margin:0 0 16px }
.facts dt { color:var(--dim); font-size:12px } .facts dd { margin:0; overflow-wrap:anywhere }
.verdict { font-weight:600; border-left:4px solid; padding:8px 12px; background:var(--card) }
.verdict.passed { border-color:var(--good) } .verdict.failed { border-color:var(--bad) }
.bar { display:flex; gap:2px; height:26px; font-size:12px; color:#fff }
.bar span { display:grid; place-items:center; min-width:26px; border-radius:3px }
.bar .passed { background:var(--good) } .bar .failed { background:var(--bad) }
.bar .open { background:var(--open) } .bar .na { background:var(--na) }
@media (prefers-color-scheme: dark) { .bar { color:#12161c } }
.legend span { margin-right:18px } .legend .passed, tr.passed .sign { color:var(--good) }
.legend .failed, tr.failed .sign { color:var(--bad) }
.legend .open, tr.open .sign { color:var(--open) } .legend .na, tr.na .sign { color:var(--na) }
.finding { background:var(--card); border:1px solid var(--line); border-radius:8px;
  padding:4px 18px 16px; margin:14px 0 }
.source { color:var(--dim); margin:0 0 8px } .seen b { color:var(--bad) }
.scroll { overflow-x:auto } svg.sequence { display:block; max-width:none; margin:8px 0 }
svg .lane { stroke:var(--line) } svg text { fill:var(--ink); font-size:11px; text-anchor:middle }
svg text.reason { fill:var(--bad); font-size:12px; font-weight:600; text-anchor:start }
svg .who { font-weight:600; font-size:12px }
svg line.from-hub { stroke:var(--mark) } svg polygon.from-hub { fill:var(--mark) }
svg line.to-hub { stroke:var(--dim) } svg polygon.to-hub { fill:var(--dim) }
details summary { cursor:pointer; color:var(--mark) }
pre { background:var(--page); border:1px solid var(--line); border-radius:4px; padding:8px;
  font-size:12px; white-space:pre-wrap; overflow-wrap:anywhere; margin:4px 0 10px }
table { border-collapse:collapse; width:100%; min-width:760px; table-layout:fixed;
  background:var(--card) }
th,td { text-align:left; vertical-align:top; padding:7px 10px; border-bottom:1px solid var(--line) }
th { font-size:12px; color:var(--dim) } td { overflow-wrap:anywhere } code { font-size:13px }
td ul { margin:2px 0 0; padding-left:18px; color:var(--dim); font-size:13px }
.sign { font-weight:700 } .why { margin:4px 0 0; color:var(--bad) }
tr.na .why, tr.na { color:var(--dim) } tr.open .why { color:var(--open) } a { color:var(--mark) }
"""
