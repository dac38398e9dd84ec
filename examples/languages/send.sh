#!/bin/sh
# Submits a message that is in a file over HTTP, with curl.
#
#   POSTLANE_URL=http://127.0.0.1:8025 POSTLANE_TOKEN=... sh send.sh message.json
set -eu
file=${1:-message.json}
# An application takes the number of its order or invoice: after a crash it calls again with the same.
key=${IDEMPOTENCY_KEY:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# curl tries again after 429, 503 and other temporary errors, and waits as long as Retry-After says.
# The token comes by standard input, as the arguments of a program are visible to all users.
if printf 'header = "Authorization: Bearer %s"\n' "$POSTLANE_TOKEN" |
  curl --config - --silent --show-error --fail-with-body --output "$answer" \
    --retry 4 --retry-connrefused --retry-max-time 300 --max-time 60 \
    --header 'Content-Type: application/json' --header "Idempotency-Key: $key" \
    --data-binary "@$file" "${POSTLANE_URL:-http://127.0.0.1:8025}/v1/messages"; then
  cat "$answer"
  echo
else
  status=$?
  cat "$answer" >&2
  echo "not submitted; call again with IDEMPOTENCY_KEY=$key" >&2
  exit "$status"
fi
