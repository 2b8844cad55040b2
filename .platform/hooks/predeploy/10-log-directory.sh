#!/bin/sh
# The audit log's directory, writable by the user that the application runs as.
set -eu
root=${RELAY_HOOK_ROOT:-}
user=${RELAY_HOOK_USER:-webapp}

install -d -m 0755 -o "$user" -g "$user" "$root/var/log/relay"
