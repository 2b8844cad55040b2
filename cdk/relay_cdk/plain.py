"""The queues, policies and environment as plain files, for Terraform, the console and `eb create`.

They come from a template, so that they cannot differ from what the stack creates. `${name}`,
`${region}`, `${account}` and `${partition}` are left for Terraform's `templatefile` or `envsubst`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml  # type: ignore[import-untyped] # it ships no types

from relay_cdk.option_settings import DEPLOYMENT, HEALTH

NAME = "name-to-replace"
"""The name of the deployment to synthesize."""

SAVED = "saved-configuration.cfg.yml"

PSEUDO = {
    "AWS::AccountId": "${account}",
    "AWS::Partition": "${partition}",
    "AWS::Region": "${region}",
    "AWS::URLSuffix": "amazonaws.com",
}
ARN = "arn:${{partition}}:{}:${{region}}:${{account}}:{}"
OWN_NAMES = {
    "AWS::DynamoDB::Table": "${name}-ledger",
    "AWS::IAM::InstanceProfile": "${name}-worker",
    "AWS::IAM::Role": "${name}-service",
    "AWS::SecretsManager::Secret": "${name}/event-key",
}
"""Names of what the stack leaves to CloudFormation."""

QUEUE_ATTRIBUTES = (
    "MessageRetentionPeriod",
    "VisibilityTimeout",
    "ReceiveMessageWaitTimeSeconds",
    "MaximumMessageSize",
    "SqsManagedSseEnabled",
    "RedrivePolicy",
)
SAVED_NAMESPACES = {
    "aws:ec2:instances",
    "aws:elasticbeanstalk:application:environment",
    "aws:elasticbeanstalk:customoption",
    "aws:elasticbeanstalk:managedactions",
    "aws:elasticbeanstalk:managedactions:platformupdate",
    *DEPLOYMENT,
    *(space for space in HEALTH if space.endswith(":system")),
}
SAVED_OPTIONS = {
    ("aws:elasticbeanstalk:sqsd", "WorkerQueueURL"),
    ("aws:elasticbeanstalk:environment", "ServiceRole"),
    ("aws:elasticbeanstalk:environment", "EnvironmentType"),
    ("aws:autoscaling:launchconfiguration", "IamInstanceProfile"),
}
Resources = Mapping[str, Mapping[str, Any]]


def plain_files(template: Mapping[str, Any]) -> dict[str, str]:
    """The text of each file by its name, from the template of the deployment `NAME`."""
    resources: Resources = template["Resources"]
    documents = dict((*_queues(resources), *_policies(resources)))
    texts = {name: json.dumps(document, indent=2) for name, document in documents.items()}
    texts[SAVED] = _saved_configuration(resources)
    return {name: text.replace(NAME, "${name}").rstrip() + "\n" for name, text in texts.items()}


def _queues(resources: Resources) -> Iterator[tuple[str, Any]]:
    """What `aws sqs create-queue --attributes file://…` takes: every value is text."""
    for name, part in (("queue", "QueuesMain"), ("dead-letter-queue", "QueuesDeadLetters")):
        found = _named(resources, "AWS::SQS::Queue", part)
        policy = _named(resources, "AWS::SQS::QueuePolicy", part)["PolicyDocument"]
        values = {n: _resolved(found[n], resources) for n in QUEUE_ATTRIBUTES if n in found}
        values["Policy"] = _resolved(policy, resources)
        yield f"{name}.json", {n: v if isinstance(v, str) else _text(v) for n, v in values.items()}


def _policies(resources: Resources) -> Iterator[tuple[str, Any]]:
    for name in ("relay", "producer", "operator"):
        found = _named(resources, "AWS::IAM::ManagedPolicy", f"{name.capitalize()}Policy")
        yield f"{name}-policy.json", _resolved(found["PolicyDocument"], resources)
    inline = _named(resources, "AWS::IAM::Policy", "InstanceRole")["PolicyDocument"]
    # The bundle lies in Elastic Beanstalk's own bucket, if the stack does not upload it.
    kept = [s for s in inline["Statement"] if s.get("Sid") != "Bundle"]
    yield "worker-policy.json", _resolved({**inline, "Statement": kept}, resources)
    service = _named(resources, "AWS::IAM::Policy", "ServiceRole")["PolicyDocument"]
    yield "service-policy.json", _resolved(service, resources)
    for name, part in (("worker", "InstanceRole"), ("service", "ServiceRole")):
        role = _named(resources, "AWS::IAM::Role", part)
        yield f"{name}-trust.json", _resolved(role["AssumeRolePolicyDocument"], resources)


def _saved_configuration(resources: Resources) -> str:
    """What `eb create --cfg` takes: all that `.ebextensions` do not set, and what that leaves out.

    With a saved configuration the EB command line sets neither a batch size nor a rolling type, and
    creates no roles. There is no platform in it: the command line then passes the one of `eb init`,
    in its newest version.
    """
    listed = _named(resources, "AWS::ElasticBeanstalk::Environment", "")["OptionSettings"]
    settings: dict[str, dict[str, str]] = {}
    for option in listed:
        namespace, name = option["Namespace"], option["OptionName"]
        if namespace in SAVED_NAMESPACES or (namespace, name) in SAVED_OPTIONS:
            value = _resolved(option["Value"], resources)
            # A variable takes the secret's name, which needs no wildcard.
            value = re.sub(r"^arn:.*:secret:(.*)-\?{6}$", r"\1", value)
            settings.setdefault(namespace, {})[name] = value
    document = {
        "AWSConfigurationTemplateVersion": "1.1.0.0",
        "EnvironmentConfigurationMetadata": {"Description": "A relay on a worker environment"},
        "EnvironmentTier": {"Name": "Worker", "Type": "SQS/HTTP"},
        "OptionSettings": settings,
    }
    text: str = yaml.safe_dump(document, sort_keys=False, width=1_000)
    return text


def _named(resources: Resources, kind: str, part: str) -> Mapping[str, Any]:
    """The properties of the only resource of a type whose logical id contains a part."""
    (found,) = (r for name, r in resources.items() if r["Type"] == kind and part in name)
    properties: Mapping[str, Any] = found["Properties"]
    return properties


def _resolved(value: Any, resources: Resources) -> Any:
    """A value with every reference replaced by text."""
    if isinstance(value, list):
        return [_resolved(item, resources) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return separator.join(_resolved(parts, resources))
    if "Ref" in value:
        return _reference(value["Ref"], resources)
    if "Fn::GetAtt" in value:
        name, attribute = value["Fn::GetAtt"]
        return _attribute(name, attribute, resources)
    return {key: _resolved(item, resources) for key, item in value.items()}


def _reference(name: str, resources: Resources) -> str:
    if name in PSEUDO:
        return PSEUDO[name]
    kind, properties = resources[name]["Type"], resources[name].get("Properties", {})
    if kind == "AWS::SQS::Queue":
        return f"https://sqs.${{region}}.amazonaws.com/${{account}}/{properties['QueueName']}"
    if kind == "AWS::SecretsManager::Secret":
        # The id that a policy needs: Secrets Manager adds six characters to the name.
        return ARN.format("secretsmanager", f"secret:{OWN_NAMES[kind]}-??????")
    return OWN_NAMES[kind]


def _attribute(name: str, attribute: str, resources: Resources) -> str:
    kind, properties = resources[name]["Type"], resources[name].get("Properties", {})
    if (kind, attribute) == ("AWS::SQS::Queue", "Arn"):
        return ARN.format("sqs", properties["QueueName"])
    if (kind, attribute) == ("AWS::DynamoDB::Table", "Arn"):
        return ARN.format("dynamodb", f"table/{OWN_NAMES[kind]}")
    raise LookupError(f"{kind} {attribute}")


def _text(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, bool) else str(value).lower()
