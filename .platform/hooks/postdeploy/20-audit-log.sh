#!/bin/sh
# Makes the CloudWatch agent follow the audit log. The configuration is appended to the platform's,
# because replacing that would stop the platform's log streaming. The log group must exist: the
# worker tier may create streams, but no groups. A missing agent or group never fails a deployment.
set -eu
root=${RELAY_HOOK_ROOT:-}
config=$root/opt/aws/amazon-cloudwatch-agent/etc/relay.json
agent=$root/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl
get_config=$root/opt/elasticbeanstalk/bin/get-config

if [ ! -x "$agent" ]; then
    echo "no CloudWatch agent found (is StreamLogs on?): the audit log stays in $root/var/log/relay"
    exit 0
fi

group=$("$get_config" environment -k AUDIT_LOG_GROUP 2>/dev/null || true)
if [ -z "$group" ]; then
    group=/aws/elasticbeanstalk/$("$get_config" container -k environment_name)/audit
fi

cat >"$config" <<EOF
{
  "logs": {
    "logs_collected": {
      "files": {
        "collect_list": [
          {
            "file_path": "/var/log/relay/audit.log",
            "log_group_name": "$group",
            "log_stream_name": "{instance_id}"
          }
        ]
      }
    }
  }
}
EOF
"$agent" -a append-config -m ec2 -s -c "file:$config" ||
    echo "the CloudWatch agent rejected $config: the audit log stays in $root/var/log/relay"
