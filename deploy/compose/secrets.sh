#!/bin/sh
# Makes the secrets of compose.yaml, each as a file of the new folder `secrets`: passwords for the users of Redis and for Grafana, and
# a token of the API, which is in secrets/api-token.
#
#   deploy/compose/secrets.sh [NEW_FOLDER]
#
# Only the owner can enter the folder. The files in it are readable for all, because containers with users of their own mount them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-$here/secrets}
if [ -e "$target" ]; then
  echo "$0: $target exists; delete it for new secrets, and then start everything again" >&2
  exit 2
fi

# GNU's or BusyBox' program, or the one of macOS and BSD.
sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1
}

# 256 bits of the kernel, in the alphabet of base64url.
secret() { head -c 32 /dev/urandom | base64 | tr -d '\n=' | tr '+/' '-_'; }

umask 077
mkdir -p "$target"
worker=$(secret)
operator=$(secret)
sed -e "s/>change-me-worker/>$worker/" -e "s/>change-me-operator/>$operator/" \
  -e "s/>change-me-producer/>$(secret)/" -e "s/>change-me-sender/>$(secret)/" \
  "$here/../redis-users.acl" >"$target/redis-users.acl"
printf %s "$worker" >"$target/redis-worker-password"
printf %s "$operator" >"$target/redis-operator-password"
secret >"$target/grafana-password"
token=plk_ops_$(secret)
printf %s "$token" >"$target/api-token"
printf %s "$token" | sha256 >"$target/api-token-sha256"
chmod 644 "$target"/*
chmod 600 "$target/api-token"
