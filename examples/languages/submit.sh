#!/bin/sh
# Submits a mail that is in a file by SMTP, with curl.
#
#   POSTLANE_SMTP=mail.example.com:587 POSTLANE_USER=erp POSTLANE_PASSWORD=... sh submit.sh mail.eml you@example.net
#
# swaks does the same, for a test by hand:
#   swaks --server mail.example.com:587 --tls --auth-user erp --from sales@example.com --to you@example.net --data @mail.eml
set -eu
to=$2
tries=5
# curl writes the line ends of SMTP itself.
file=$(mktemp)
trap 'rm -f "$file"' EXIT
tr -d '\r' <"$1" >"$file"

escaped() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }

# A repetition has the same octets: with its Message-ID it is the same message for ten minutes.
# The password comes by standard input, as the arguments of a program are visible to all users.
submit() {
  printf 'user = "%s:%s"\n' "$(escaped "$POSTLANE_USER")" "$(escaped "$POSTLANE_PASSWORD")" |
    curl --config - --silent --show-error --ssl-reqd ${POSTLANE_CA:+--cacert "$POSTLANE_CA"} \
      --connect-timeout 30 --max-time 300 --crlf --write-out '%{response_code}' \
      --mail-from "${POSTLANE_FROM:-sales@example.com}" --mail-rcpt "$to" --upload-file "$file" \
      "smtp://${POSTLANE_SMTP:-127.0.0.1:587}"
}

try=1
while :; do
  if code=$(submit); then
    echo "submitted"
    exit 0
  else
    ended=$?
  fi
  # The certificate of the server is not to be trusted.
  [ "$ended" -ne 60 ] || break
  # 5yz is the last word; 4yz and a lost connection are not.
  case $code in 5*) break ;; esac
  [ "$try" -lt "$tries" ] || break
  sleep $((1 << (try - 1)))
  try=$((try + 1))
done
echo "not submitted: the server said ${code:-nothing}" >&2
exit 1
