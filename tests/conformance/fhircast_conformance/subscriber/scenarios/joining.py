"""Joining a session: subscribe, connect (2.4; RAD-146, RAD-147)."""

from __future__ import annotations

from fhircast_conformance.subscriber.stage import Stage, scenario

SUBSCRIBE_ROWS = ("SUB-01", "SUB-02", "SUB-03", "SUB-04", "SUB-05", "SUB-10", "IRA-SUB-01")


@scenario(
    "IRA-SUB-02",
    "WK-06",
    title="it subscribes and connects to the endpoint that it was given",
    gives=SUBSCRIBE_ROWS,
    joins=False,
)
async def joins(stage: Stage) -> None:
    """Start the application and wait until its socket is confirmed."""
    hub, findings = stage.hub, stage.findings
    try:
        await stage.joined()
    except Exception:
        asked = [it for it in hub.record.forms() if it.is_subscribe]
        if asked:
            accepted = any(it.status == 202 for it in asked)
            what = "it did not connect to its endpoint" if accepted else "no subscribe was accepted"
            findings.judge("IRA-SUB-02", f"{what} within {stage.waits.join:g} s")
        elif hub.record.reads("well-known"):
            findings.judge("WK-06", "it read the well-known document and did not go on")
        raise
    findings.judge("IRA-SUB-02")
    if hub.record.reads("well-known"):
        findings.judge("WK-06")
    else:
        findings.not_applicable("WK-06", "it did not read the well-known document")
