#!/bin/sh
# A configuration change restarts the relay with other variables.
set -eu
exec "$(dirname "$0")/../../hooks/postdeploy/90-health.sh"
