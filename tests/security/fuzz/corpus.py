"""What inputs are made from: the standard's examples, our messages, some lines of each kind."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import jwt
import msgspec
from builders import (
    ENCOUNTER,
    OBSERVATION,
    PATIENT,
    REPORT,
    STUDY,
    bundle,
    delete,
    item,
    message,
    opened,
    put,
    ref,
)
from client_frames import any_frame, closing, in_pieces, masked
from fhircast_hub.protocol.views import encode_current_context
from golden import FOLDER, events
from security.fuzz.hub_targets import KEY
from websockets.frames import Opcode

if TYPE_CHECKING:
    from collections.abc import Iterable

_REPORT = ref("DiagnosticReport/dr-1", "report")
_POST: dict[str, Any] = {"request": {"method": "POST"}, "resource": {"resourceType": "Observation"}}
_OURS = [
    message("DiagnosticReport-open", [item(it) for it in (REPORT, PATIENT, STUDY)]),
    message("DiagnosticReport-open", [item(STUDY)]),
    message("DiagnosticReport-close", [item(REPORT)]),
    message("DiagnosticReport-close", [item(REPORT), item(STUDY)]),
    message(
        "DiagnosticReport-update",
        [_REPORT, item(bundle(put(PATIENT), put(OBSERVATION)), "updates")],
        version_id="v1",
    ),
    message("DiagnosticReport-update", [item(STUDY), item(bundle(_POST), "updates")]),
    message("DiagnosticReport-select", [_REPORT, ref("Observation/ob-1", "select")]),
    message(
        "DiagnosticReport-select",
        [_REPORT, {"key": "select", "reference": [{"reference": "Observation/ob-1"}]}],
    ),
    message("Encounter-open", [item(ENCOUNTER), item(PATIENT)]),
    message("Home-open", []),
    message("org.example.thing", [item(PATIENT), {"key": "extension", "data": {}}]),
]
_CLAIMS: list[dict[str, Any]] = [
    {"exp": 4_000_000_000, "sub": "u", "client_id": "c", "scope": "fhircast/*.*"},
    {
        "exp": 4e9,
        "nbf": 1,
        "iat": 1.5,
        "iss": "https://as.example",
        "aud": ["hub"],
        "hub.topic": "t",
    },
    {"exp": [], "sub": [], "scope": ["fhircast/*.*"], "client_id": None},
]


_FORM = {
    "hub.channel.type": "websocket",
    "hub.mode": "subscribe",
    "hub.topic": "t",
    "hub.events": "Patient-open,SyncError",
    "hub.lease_seconds": "60",
    "subscriber.name": "Viewer",
    "hub.channel.endpoint": "wss://hub.example/ws/abc",
}
_TOKEN_ANSWER = {
    "access_token": "x",
    "token_type": "Bearer",
    "expires_in": 60,
    "scope": "fhircast/*.*",
    "hub.url": "https://hub.example",
    "hub.topic": "t",
}
_HUB_URL = {
    "url": "http://fhircast.hl7.org/StructureDefinition/fhircast-configuration",
    "extension": [{"url": "hub.url", "valueUri": "https://hub.example"}],
}
_CAPABILITIES = {"eventsSupported": ["Patient-open"], "rest": [{"extension": [_HUB_URL]}]}


_ACK = masked(Opcode.TEXT, b'{"id":"e-1","status":200}')
_FRAMES = [
    _ACK * 3,
    masked(Opcode.PING, b"p") + _ACK + masked(Opcode.PONG),
    b"".join(in_pieces(Opcode.TEXT, b'{"id":"e-1"}', [3, 7])) + _ACK,
    masked(Opcode.TEXT, b"x" * 126) + masked(Opcode.BINARY, b"\xff") + closing(1000, "bye"),
    masked(Opcode.TEXT, "ü".encode()) + _ACK + any_frame(0xC1, b"{}"),
]
_HEAD = (
    b"POST /api/hub HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer x\r\n"
    b"Content-Length: %b\r\nContent-Type: application/json\r\n\r\n"
)


def _lines(text: str) -> list[bytes]:
    return [line.encode() for line in text.strip().splitlines()]


def _files(*suffixes: str) -> list[bytes]:
    return [it.read_bytes() for it in sorted(FOLDER.rglob("*")) if it.name.endswith(suffixes)]


def _encoded(values: Iterable[object]) -> list[bytes]:
    return [msgspec.json.encode(it) for it in values]


@cache
def seeds(kind: str) -> tuple[bytes, ...]:
    """Inputs of one kind, right ones mostly."""
    return tuple(_SEEDS[kind]())


_SEEDS = {
    "json": lambda: _files(".json"),
    "event": lambda: [*_encoded(_OURS), *(it.encode() for it in events().values())],
    "frame": lambda: [
        b'{"id":"e-1","status":200}',
        b'{"id":"e-1","status":"409"}',
        b'{"id":"e-1"}',
        b'{"hub.mode":"subscribe","hub.topic":"t","hub.events":"Patient-open","hub.lease_seconds":9}',
        b'{"hub.mode":"denied","hub.topic":"t","hub.events":"","hub.reason":"lease ended"}',
    ],
    "wire": lambda: [b"\x05\x63" + it for it in _FRAMES],
    "request": lambda: [
        _HEAD % b"12" + _HEAD % b"5" + b"x" * 5,
        _HEAD % b"0" + (_HEAD % b"0").lower(),
        _HEAD % b"12" + b"POST /api/hub HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    "bundle": lambda: _encoded(
        [
            bundle(put(PATIENT), put(OBSERVATION), delete("Observation/ob-2")),
            bundle(_POST),
            bundle(put(OBSERVATION), type="batch"),
            bundle(
                {"request": {"method": "GET", "url": "Patient?name=x&_sort=-_id"}}, type="batch"
            ),
        ]
    ),
    "context": lambda: [
        encode_current_context(opened(), lambda _name: True),
        *(it.read_bytes() for it in FOLDER.rglob("*current-context.json")),
    ],
    "discovery": lambda: [
        *(it.read_bytes() for it in FOLDER.rglob("*well-known.json")),
        *_encoded([_CAPABILITIES]),
    ],
    "answer": lambda: [
        *_encoded([_TOKEN_ANSWER]),
        *(it.read_bytes() for it in FOLDER.rglob("*token.json")),
    ],
    "form": lambda: [
        *(it for it in _files(".txt") if b"hub.mode=" in it),
        urlencode(_FORM).encode(),
        b"hub.channel.type=websocket&hub.mode=unsubscribe&hub.topic=t&endpoint=wss%3A%2F%2Fx%2Fabc",
    ],
    "url": lambda: _lines(
        "wss://hub.example/api/hub/ws/Zk3vO0m4mQd8Tn1yB7cX2p\n"
        "https://app.example/back?state=kept&code=abc\n"
        "https://app.example/back?state=kept&error=access_denied\n"
        "https://app.example/?hub.url=https%3A%2F%2Fhub.example&hub.topic=t\n"
        "https://x.example/fhir/Patient/pt-1/_history/3\n"
        "http://[::1]:80/x\n"
    ),
    "name": lambda: _lines(
        "Patient-open\nDiagnosticReport-update\nSyncError\nHome-open\norg.example.thing\nPatient/pt-1"
    ),
    "time": lambda: _lines(
        "2026-03-02T12:00:00.005Z\n2018-01-08T01:37:05.14\n2026-03-02 12:00+01:00\n2026-03\n"
        "0001-01-01T00:00:00+14:00\n9999-12-31T23:59:59-12:00\n2026-W10-1T12\n"
    ),
    "scope": lambda: _lines(
        "fhircast/Patient-open.read fhircast/*.write openid\nfhircast/DiagnosticReport-update.*"
    ),
    "token": lambda: [
        b"Bearer " + jwt.encode(_CLAIMS[0], KEY, algorithm="HS256").encode(),
        b"Bearer " + jwt.encode(_CLAIMS[1], KEY, algorithm="HS256", headers={"kid": "a"}).encode(),
        b"Bearer eyJhbGciOiJub25lIn0.e30.",
        b"Bearer eyJhbGciOiJFUzI1NiJ9.e30." + b"A" * 86,
        b"Basic dTpw",
    ],
    "claims": lambda: _encoded(_CLAIMS),
    "setting": lambda: _lines(
        "\x0190\n\x02https://hub.example/x\n\x04/a,/b\n\x13" + "1.5\n\x15strict\n"
        "\x00PORT=1\n\x00LEASE_MAX_SECONDS=1\n\x00ALLOWED_ORIGINS=https://a:1,*\n\x00PROFILE=ira"
    ),
    "query": lambda: _lines(
        "\x00name=Ada&_sort=-birthdate,name&_count=2&_offset=1\n"
        "\x01patient=Patient/pt-1&_include=DiagnosticReport:study&status=unknown\n"
        "\x02identifier=urn:dicom:uid|urn:oid:2.999.9.1&started=ge2026-03&modality=CT,MR\n"
        "\x00StudyDate=20260301-20260302&PatientName=Fict*&limit=2&offset=1\n"
        "\x01includefield=all&00100020=MRN-1&StudyInstanceUID=2.999.1,2.999.2\n"
    ),
    "accept": lambda: _lines(
        'multipart/related; type="application/dicom"; transfer-syntax=*;q=0.5, a/b\n*/*;q=nan'
    ),
    "refusal": lambda: [
        b"10\nhub.topic: missing\nSUB-03\n",
        b"0.5\ncontext.versionId: version mismatch",
    ],
}
