#!/bin/sh
# After a configuration change, the platform rewrites the agent's configuration without ours.
set -eu
exec "$(dirname "$0")/../../hooks/postdeploy/20-audit-log.sh"
