#!/bin/bash
# Gives up root, creates the database cluster at the first start, and becomes the server.
set -euo pipefail

volume=$(dirname "$PGDATA")

if [ "$(id -u)" = 0 ]; then
    install -d -m 700 -o postgres -g postgres "$volume"
    install -d -m 2775 -o postgres -g postgres /run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

create_cluster() {
    local user=${POSTGRES_USER:-postgres} draft="$volume/draft"
    local database=${POSTGRES_DB:-$user}
    : "${POSTGRES_PASSWORD:?is needed to create the database cluster}"
    if [[ ! $database =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then
        echo "POSTGRES_DB: \`$database\` is not a plain name" >&2
        exit 64
    fi

    # Created beside its place and renamed: a start that was killed half-way leaves no half cluster.
    rm -rf "$draft"
    initdb --pgdata="$draft" --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
        --encoding=UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256
    printf 'host all all all scram-sha-256\n' >> "$draft/pg_hba.conf"
    if [ "$database" != postgres ]; then
        # The server in single-user mode reads one statement a line.
        printf 'CREATE DATABASE "%s"\n' "$database" | postgres --single -D "$draft" postgres
    fi
    mv "$draft" "$PGDATA"
}

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    create_cluster
fi

exec "$@"
