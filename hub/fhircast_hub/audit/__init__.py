"""The audit trail: what applications did at the hub, as FHIR R4 AuditEvents.

A fact (`facts`) becomes an AuditEvent (`events`, pure). The `recorder` hands facts to lanes, one
for each place that keeps them: a file whose lines are chained by hashes (`jsonl`, `chain`) or a
FHIR server (`repository`). A lane has a bounded queue and works beside the requests, never in them.
"""
