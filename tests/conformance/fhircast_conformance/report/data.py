"""The report as data: JSON for programs, JUnit XML for CI systems."""

from __future__ import annotations

import re
from dataclasses import asdict
from xml.etree import ElementTree as ET

import msgspec

from fhircast_conformance.results import Run, Verdict

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_json(run: Run) -> str:
    """Return the run as one JSON object: rows with their verdicts, checks with their exchanges."""
    value = {
        "subject": run.subject,
        "profile": run.profile,
        "started_at": run.started_at,
        "seconds": round(run.seconds, 1),
        "facts": run.facts,
        "conformant": run.is_conformant,
        "counts": {str(verdict): run.counts[verdict] for verdict in Verdict},
        "rows": [
            {
                "id": it.row.id,
                "strength": it.row.strength,
                "source": it.row.source,
                "requirement": it.row.requirement,
                "verdict": it.verdict,
                "reason": it.reason,
                "checks": [check.name for check in it.checks],
            }
            for it in run.rows
        ],
        "checks": [asdict(check) for check in run.checks],
    }
    return msgspec.json.format(msgspec.json.encode(value).decode(), indent=1)


def render_junit(run: Run) -> str:
    """Return the run as JUnit XML, a test case for each row."""
    suite = ET.Element("testsuite", name=f"FHIRcast 3.0.0, profile {run.profile}")
    suite.set("tests", str(len(run.rows)))
    suite.set("failures", str(run.counts[Verdict.FAILED]))
    suite.set("errors", str(run.counts[Verdict.INCONCLUSIVE]))
    suite.set("skipped", str(run.counts[Verdict.NOT_APPLICABLE]))
    suite.set("time", f"{run.seconds:.1f}")
    suite.set("timestamp", run.started_at.removesuffix("Z"))
    tags = {
        Verdict.FAILED: "failure",
        Verdict.INCONCLUSIVE: "error",
        Verdict.NOT_APPLICABLE: "skipped",
    }
    for found in run.rows:
        seconds = sum(check.seconds for check in found.checks)
        case = ET.SubElement(suite, "testcase", classname=found.row.family, time=f"{seconds:.3f}")
        case.set("name", f"{found.row.id} {found.row.requirement}")
        if found.verdict in tags:
            said = ET.SubElement(case, tags[found.verdict], message=_xml(found.reason))
            said.text = _xml(
                "\n".join(
                    f"{it.at_seconds:.3f} s {it.sender} → {it.receiver}: {it.label}\n{it.text}"
                    for check in found.checks
                    if check.verdict is Verdict.FAILED
                    for it in check.exchanges
                )
            )
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
