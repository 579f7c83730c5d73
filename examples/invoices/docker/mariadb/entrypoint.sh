#!/bin/bash
# Gives up root, creates the databases at the first start, and becomes the server.
set -euo pipefail

volume=/var/lib/mysql

if [ "$(id -u)" = 0 ]; then
    install -d -m 700 -o mysql -g mysql "$volume"
    install -d -m 755 -o mysql -g mysql /run/mysqld
    exec setpriv --reuid=mysql --regid=mysql --init-groups "$0" "$@"
fi

create_databases() {
    local draft="$volume/draft" name
    : "${MYSQL_PASSWORD:?is needed to create the databases}"
    for name in MYSQL_USER MYSQL_DATABASE; do
        if [[ ! ${!name:-} =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then
            echo "$name: \`${!name:-}\` is not a plain name" >&2
            exit 64
        fi
    done
    local password=${MYSQL_PASSWORD//\\/\\\\}
    password=${password//\'/\'\'}

    # Created beside its place and renamed: a start that was killed half-way leaves no half database.
    rm -rf "$draft"
    mariadb-install-db --datadir="$draft" --skip-test-db --auth-root-authentication-method=socket >/dev/null
    # The server in bootstrap mode reads one statement a line.
    mariadbd --datadir="$draft" --bootstrap <<SQL
FLUSH PRIVILEGES;
CREATE DATABASE \`$MYSQL_DATABASE\`;
CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY '$password';
GRANT ALL PRIVILEGES ON \`$MYSQL_DATABASE\`.* TO '$MYSQL_USER'@'%';
SQL
    mv "$draft" "$volume/data"
}

if [ "$1" = mariadbd ] && [ ! -d "$volume/data" ]; then
    create_databases
fi

exec "$@"
