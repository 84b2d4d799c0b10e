"""The command `fhircast`, as it is typed: output, exit codes, and a hub that runs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from builders import PATIENT, TOPIC, item
from click.testing import CliRunner, Result
from fhircast_conformance.wire import Wire
from fhircast_hub import __version__
from fhircast_hub.cli.main import main
from hub_server import running_hub
from wire_messages import ALL_EVENTS

VERBS = (
    *("serve", "demo", "sub", "pub", "context", "audit", "token"),
    *("conform", "conform-subscriber", "plan", "bench"),
)
KEY = "a key for tests only, 32 characters and more"


def fhircast(*arguments: str, **environment: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, arguments, env=environment)


async def talking(*arguments: str, **environment: str) -> Result:
    """Run the command beside a hub that this event loop runs."""
    return await asyncio.to_thread(fhircast, *arguments, **environment)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    done = fhircast(verb, "--help")
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: main {verb}")


def test_help_lists_the_verbs_and_the_exit_codes() -> None:
    done = fhircast("--help")
    assert done.exit_code == 0
    assert all(f"\n  {verb} " in done.output for verb in VERBS)
    assert "Exit codes" in done.output


def test_the_version() -> None:
    assert fhircast("--version").output == f"fhircast, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("serve", "--nonsense"),
        ("serve", "--port", "high", "--check"),
        ("serve", "--host", "0.0.0.0", "--check"),
        ("serve", "--strict", "all", "--check"),
        ("serve", "--dialects", "post", "--check"),
        ("serve", "--tls-cert", "no-such-file.pem", "--tls-key", "x.pem", "--check"),
        ("context",),
        ("pub", TOPIC),
        ("pub", TOPIC, "Patient-zap"),
        ("pub", TOPIC, "Patient-open", "--file", "no-such-file.json"),
        ("token", "mint"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_2(arguments: tuple[str, ...]) -> None:
    """And says what is wrong."""
    done = fhircast(*arguments)
    assert done.exit_code == 2
    assert "Error: " in done.output


def test_check_says_yes() -> None:
    done = fhircast("serve", "--check", "--profile", "ira")
    assert (done.exit_code, done.output) == (0, "the settings are fine\n")


def test_check_warns_of_a_misspelt_variable() -> None:
    done = fhircast("serve", "--check", FHIRCAST_PROFIL="ira")
    assert done.exit_code == 0
    assert "did you mean FHIRCAST_PROFILE?" in done.output


def test_a_taken_port_is_exit_1() -> None:
    """One line that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = fhircast("serve", "--port", str(port))
    assert done.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.output
    assert "--port" in done.output


def test_no_hub_is_exit_1() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        done = fhircast("context", TOPIC, "--hub", f"http://127.0.0.1:{port}/api/hub")
    assert done.exit_code == 1
    assert "no answer from" in done.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve_runs_until_it_is_told_to_stop(number: signal.Signals) -> None:
    """It prints hub.url, answers there, says good-bye, and ends with exit code 0."""
    environment = {key: it for key, it in os.environ.items() if not key.startswith("FHIRCAST_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fhircast_hub", "serve", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        async with asyncio.timeout(60):
            assert process.stdout is not None
            name, hub_url = (await process.stdout.readline()).decode().split()
            assert name == "hub.url"
            async with Wire(hub_url) as wire:
                socket = await wire.join(TOPIC, ALL_EVENTS)
                process.send_signal(number)
                assert (await socket.next())["hub.reason"] == "hub shut down"
                assert await socket.close_code() == 1001
            output, errors = await process.communicate()
        assert process.returncode == 0, errors
        assert b"no authentication" in output
        secrets = (TOPIC, socket.endpoint.rsplit("/", 1)[-1])
        assert not [it for it in ("Traceback", "Aborted", *secrets) if it in errors.decode()]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_serve_says_where_sessions_are_and_not_what_opens_it() -> None:
    """SEC-03: nothing of user and password; that nobody answers there is a warning."""
    environment = {key: it for key, it in os.environ.items() if not key.startswith("FHIRCAST_")}
    backend = "redis://user:a-password@127.0.0.1:1/3?client_name=a-name"
    with subprocess.Popen(
        (sys.executable, "-m", "fhircast_hub", "serve", "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "FHIRCAST_BACKEND": backend},
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.terminate()
        output, errors = process.communicate(timeout=60)
    assert "sessions   in Redis, redis://127.0.0.1:1/3\n" in lines
    said = "".join(lines) + output + errors
    assert not [it for it in ("user:", "a-password", "a-name") if it in said]


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="shows no limits here")
@pytest.mark.parametrize(("connections", "is_warned"), [("100", False), ("1000", True)])
def test_serve_says_if_the_system_allows_too_few_files(connections: str, is_warned: bool) -> None:
    """D-43: the soft limit is raised; beyond the hard one the operator has to do something."""
    command = f"ulimit -n 400 && ulimit -Sn 120 && exec {sys.executable} -m fhircast_hub serve"
    with subprocess.Popen(
        ("sh", "-c", f"{command} --port 0 --max-connections {connections}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        process.terminate()
        _, errors = process.communicate(timeout=60)
    [soft] = [line.split()[3] for line in limits.splitlines() if line.startswith("Max open files")]
    assert soft == ("400" if is_warned else "164")
    assert ("ulimit -n" in errors) is is_warned
    assert ("takes 336 connections" in errors) is is_warned


def test_serve_with_a_certificate_of_its_own_says_how_to_trust_it() -> None:
    """GEN-01: its fingerprint, and a file for clients that is gone with the hub."""
    environment = {key: it for key, it in os.environ.items() if not key.startswith("FHIRCAST_")}
    with subprocess.Popen(
        (sys.executable, "-m", "fhircast_hub", "serve", "--port", "0", "--tls-self-signed"),
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            told = ""
            for line in process.stdout:
                told += line
                if "SSL_CERT_FILE=" in line:
                    break
            file = Path(told.rstrip().rpartition("SSL_CERT_FILE=")[2])
            assert file.stat().st_mode & 0o777 == 0o600
            certificate = file.read_text()
            assert "PRIVATE" not in certificate
            digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest()
            assert digest.hex(":").upper() in told
            trust = ssl.create_default_context(cafile=str(file))
            url = f"{told.split()[1]}/{TOPIC}"
            assert httpx.get(url, verify=trust, trust_env=False).status_code == 404
        finally:
            process.terminate()
        assert process.wait(60) == 0
        assert not file.exists()


async def test_pub_and_context_against_a_hub() -> None:
    """What is published is broadcast, and shown."""
    async with running_hub() as hub:
        viewer = await hub.wire.join(TOPIC, ALL_EVENTS)
        done = await talking("pub", TOPIC, "patient-open", "--patient", "4438001", "--hub", hub.url)
        assert done.exit_code == 0, done.output
        frame = await viewer.next()
        version = frame["event"]["context.versionId"]
        assert done.output == f"accepted  Patient-open  id {frame['id']}  version {version}\n"
        assert frame["event"]["context"][0]["resource"]["id"] == "4438001"
        shown = await talking("context", TOPIC, FHIRCAST_HUB=hub.url)
        assert shown.output.startswith(f"Patient  (version {version})\n  patient   Patient/4438001")
        assert "content   0 shared" in shown.output


async def test_context_without_one() -> None:
    async with running_hub() as hub:
        await hub.wire.join(TOPIC)
        shown = await talking("context", TOPIC, "--hub", hub.url)
        assert shown.output.startswith("no current context")
        raw = await talking("context", TOPIC, "--hub", hub.url, "--json")
        assert json.loads(raw.output) == await hub.wire.context(TOPIC)


async def test_pub_from_a_file(tmp_path: Path) -> None:
    """A context array, or a whole notification, which gets a new id."""
    array, whole = tmp_path / "array.json", tmp_path / "whole.json"
    array.write_text(json.dumps([item(PATIENT)]))
    whole.write_text(json.dumps({"id": "old", "event": {"context": [item(PATIENT)]}}))
    async with running_hub() as hub:
        viewer = await hub.wire.join(TOPIC, ALL_EVENTS)
        for path in (array, whole):
            done = await talking(
                "pub", TOPIC, "Patient-open", "--file", str(path), "--hub", hub.url
            )
            assert done.exit_code == 0, done.output
            frame = await viewer.next()
            assert frame["event"]["context"] == [item(PATIENT)]
            assert frame["id"] != "old"


async def test_a_refusal_is_exit_1() -> None:
    """With the hub's own words."""
    async with running_hub() as hub:
        unknown = await talking("context", TOPIC, "--hub", hub.url)
        assert unknown.exit_code == 1
        assert "the hub says 404: hub.topic" in unknown.output
        await hub.wire.join(TOPIC)
        empty = await talking("pub", TOPIC, "Patient-open", "--hub", hub.url)
        assert empty.exit_code == 1
        assert "the hub says 400: context.patient" in empty.output


async def test_a_minted_token_opens_the_hub() -> None:
    """Only with it, and only what its scopes allow."""
    minted = fhircast("token", "mint", "--key", KEY, "--scope", "fhircast/Patient-open.*")
    assert minted.exit_code == 0
    token = minted.output.strip()
    async with running_hub(auth="jwt", jwt_key=KEY) as hub:
        without = await talking("context", TOPIC, "--hub", hub.url)
        assert (without.exit_code, "says 401" in without.output) == (1, True)
        await (await hub.client(token)).join(TOPIC, ["Patient-open"])
        arguments = ("--hub", hub.url, "--token", token)
        allowed = await talking("pub", TOPIC, "Patient-open", "--patient", "1", *arguments)
        assert allowed.exit_code == 0, allowed.output
        refused = await talking("pub", TOPIC, "Patient-close", "--patient", "1", *arguments)
        assert (refused.exit_code, "says 403" in refused.output) == (1, True)
        assert token not in refused.output


def test_a_key_may_begin_with_a_dash() -> None:
    """Random ones do, and a flag must not be seen in them."""
    done = fhircast("serve", "--check", "--auth", "jwt", "--jwt-key", "-" + "k" * 40)
    assert (done.exit_code, done.output) == (0, "the settings are fine\n")
