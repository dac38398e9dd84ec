#!/bin/sh
# Submits a message that is in a file over HTTP, with curl.
#
#   POSTLANE_URL=http://127.0.0.1:8025 POSTLANE_TOKEN=... sh send.sh message.json
set -eu
file=${1:-message.json}
# An application takes the number of its order or invoice: after a crash it calls again with the same.
key=${IDEMPOTENCY_KEY:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}
: "${POSTLANE_TOKEN:?is not set}"
[ -r "$file" ] || {
  echo "$file cannot be read" >&2
  exit 1
}
tries=5
# In seconds. If the server asks for a longer wait, the caller decides.
longest_wait=600
answer=$(mktemp)
headers=$(mktemp)
trap 'rm -f "$answer" "$headers"' EXIT

# The key makes a repetition harmless: the message is sent once.
# The token comes by standard input, as the arguments of a program are visible to all users.
submit() {
  : >"$answer"
  : >"$headers"
  printf 'header = "Authorization: Bearer %s"\n' "$POSTLANE_TOKEN" |
    curl --config - --silent --show-error --max-time 60 \
      --output "$answer" --dump-header "$headers" --write-out '%{http_code}' \
      --header 'Content-Type: application/json' --header "Idempotency-Key: $key" \
      --data-binary "@$file" "${POSTLANE_URL:-http://127.0.0.1:8025}/v1/messages"
}

try=1
while :; do
  # Without a whole answer, the message may be stored or not.
  code=$(submit) || code=none
  case $code in
    200 | 202)
      cat "$answer"
      echo
      exit 0
      ;;
    none | 429 | 5*) ;;
    *)
      cat "$answer" >&2
      echo "refused with status $code" >&2
      exit 1
      ;;
  esac
  # 429 and 503 say when to ask again.
  asked=$(tr 'A-Z' 'a-z' <"$headers" | sed -n 's/^retry-after: *\([0-9]\{1,9\}\)[^0-9]*$/\1/p' | tail -n 1)
  wait=${asked:-$((1 << (try - 1)))}
  if [ "$try" -ge "$tries" ] || [ "$wait" -gt "$longest_wait" ]; then
    cat "$answer" >&2
    echo "not submitted; call again in $wait s with IDEMPOTENCY_KEY=$key" >&2
    exit 1
  fi
  sleep "$wait"
  try=$((try + 1))
done
