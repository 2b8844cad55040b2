"""The platform hooks, run in a folder that represents the instance's root."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path

import pytest

PLATFORM = Path(__file__).parents[2] / ".platform"
AGENT = "opt/aws/amazon-cloudwatch-agent"
ACCESS_LOG = "hooks/predeploy/20-access-log.sh"


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    """An instance with a CloudWatch agent that records its arguments, and the platform's tool."""
    script(tmp_path / AGENT / "bin/amazon-cloudwatch-agent-ctl", f'echo "$@" >>{tmp_path}/calls')
    (tmp_path / AGENT / "etc").mkdir()
    script(
        tmp_path / "opt/elasticbeanstalk/bin/get-config",
        'case "$*" in\n'
        '"environment -k AUDIT_LOG_GROUP") echo "${GROUP-}" ;;\n'
        '"container -k environment_name") echo shop-prod ;;\n'
        "*) exit 1 ;;\nesac",
    )
    return tmp_path


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run(hook: str, root: Path, **variables: str) -> str:
    environment = {"PATH": os.environ["PATH"], "RELAY_HOOK_ROOT": str(root), **variables}
    done = subprocess.run(
        [PLATFORM / hook], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def agent_file(root: Path) -> dict[str, str]:
    config = json.loads((root / AGENT / "etc/relay.json").read_text())
    (entry,) = config["logs"]["logs_collected"]["files"]["collect_list"]
    return dict(entry)


def test_the_log_directory_belongs_to_the_user_of_the_application(tmp_path: Path) -> None:
    user = pwd.getpwuid(os.getuid()).pw_name
    run("hooks/predeploy/10-log-directory.sh", tmp_path, RELAY_HOOK_USER=user)
    directory = tmp_path / "var/log/relay"
    assert directory.owner() == user
    assert directory.stat().st_mode & 0o777 == 0o755


def test_the_access_log_goes_nowhere_and_the_log_of_the_health_agent_stays(tmp_path: Path) -> None:
    logs = tmp_path / "var/log/nginx"
    (logs / "healthd").mkdir(parents=True)
    (logs / "access.log").write_text("a request")
    for _ in range(2):
        run(ACCESS_LOG, tmp_path)
        assert (logs / "access.log").readlink() == Path("/dev/null")
    assert (logs / "healthd").is_dir()


def test_without_nginx_there_is_no_access_log_to_drop(tmp_path: Path) -> None:
    run(ACCESS_LOG, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("hooks", ["hooks", "confighooks"])
def test_the_agent_follows_the_audit_log_after_every_deployment_and_change(
    instance: Path, hooks: str
) -> None:
    run(f"{hooks}/postdeploy/20-audit-log.sh", instance, GROUP="/aws/elasticbeanstalk/shop/audit")
    assert agent_file(instance) == {
        "file_path": "/var/log/relay/audit.log",
        "log_group_name": "/aws/elasticbeanstalk/shop/audit",
        "log_stream_name": "{instance_id}",
    }
    # Appended: fetch-config would replace the platform's own configuration.
    called = (instance / "calls").read_text()
    assert called == f"-a append-config -m ec2 -s -c file:{instance / AGENT}/etc/relay.json\n"


def test_without_a_configured_group_it_is_named_after_the_environment(instance: Path) -> None:
    run("hooks/postdeploy/20-audit-log.sh", instance)
    assert agent_file(instance)["log_group_name"] == "/aws/elasticbeanstalk/shop-prod/audit"


def test_a_missing_agent_fails_no_deployment(tmp_path: Path) -> None:
    assert "stays in" in run("hooks/postdeploy/20-audit-log.sh", tmp_path)


def test_an_agent_error_fails_no_deployment(instance: Path) -> None:
    script(instance / AGENT / "bin/amazon-cloudwatch-agent-ctl", "exit 1")
    assert "rejected" in run("hooks/postdeploy/20-audit-log.sh", instance)


def test_the_relay_writes_the_file_that_the_agent_reads(instance: Path) -> None:
    run("hooks/postdeploy/20-audit-log.sh", instance)
    extension = next(PLATFORM.parent.glob(".ebextensions/*-logs.config")).read_text()
    assert f'RELAY_LOG_FILE: "{agent_file(instance)["file_path"]}"' in extension
