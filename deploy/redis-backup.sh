#!/bin/sh
# Copies the append-only file of a Redis that goes on working, on the machine of that Redis:
#
#   deploy/redis-backup.sh redis://127.0.0.1:6379 /backups/2026-01-31
#
# The copy is all that Redis had accepted when the copy began, and a part of what came meanwhile. Redis must not rewrite the file
# amid it, so that is switched off until the end: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
set -eu
if [ $# -ne 2 ]; then
  echo "usage: $0 REDIS_URL NEW_FOLDER" >&2
  exit 2
fi
url=$1
target=$2
if [ -e "$target" ]; then
  echo "$0: $target exists; name a new folder" >&2
  exit 2
fi

cli() { redis-cli -u "$url" --no-auth-warning --raw "$@"; }
setting() { cli CONFIG GET "$1" | sed -n 2p; }

percentage=$(setting auto-aof-rewrite-percentage)
trap 'cli CONFIG SET auto-aof-rewrite-percentage "$percentage" >/dev/null' EXIT
cli CONFIG SET auto-aof-rewrite-percentage 0 >/dev/null
while cli INFO persistence | grep -q '^aof_rewrite_in_progress:1'; do sleep 1; done

mkdir -p "$target"
cp -R "$(setting dir)/$(setting appenddirname)" "$target/"
du -sh "$target"
