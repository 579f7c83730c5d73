#!/bin/sh
# Gives up root and becomes the server.
set -eu

if [ "$(id -u)" = 0 ]; then
    install -d -m 700 -o redis -g redis /data
    exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi

exec "$@"
