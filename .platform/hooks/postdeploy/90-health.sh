#!/bin/sh
# Fails the deployment if no relay answers through nginx. /health says only that the process works: it
# stays 200 while the orchestrator is down or a wrong setting halts the relay, so that neither can fail
# a deployment that may be the fix. Elastic Beanstalk's own check is a connection to nginx.
set -eu
url=${RELAY_HOOK_URL:-http://127.0.0.1/health}
attempts=${RELAY_HOOK_ATTEMPTS:-60}
pause=${RELAY_HOOK_PAUSE:-1}
log=${RELAY_HOOK_ROOT:-}/var/log/web.stdout.log
# A relay that crashes right after its start is started again, and may answer in between.
needed=3

answered=0
attempt=0
while [ "$attempt" -lt "$attempts" ]; do
    attempt=$((attempt + 1))
    if curl --silent --fail --output /dev/null --max-time 5 "$url"; then
        answered=$((answered + 1))
        [ "$answered" -lt "$needed" ] || exit 0
    else
        answered=0
    fi
    sleep "$pause"
done
echo "the relay does not answer $url; the end of its log:"
tail -n 20 "$log" 2>/dev/null || echo "there is no $log"
exit 1
