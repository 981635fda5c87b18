# Redis and PostgreSQL, for clusters without managed ones: `redis-server ...` or `postgres-once`.
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE}
# Without the database that the package would make for itself.
RUN install -D /dev/null /etc/postgresql-common/createcluster.conf \
    && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
    && apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends \
        -o Dpkg::Options::=--force-confold redis-server postgresql \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/lib/postgresql/*/lib/bitcode \
    && groupadd --gid 10002 stores \
    && useradd --uid 10002 --gid 10002 --no-create-home --home-dir /tmp stores \
    && install -d -o 10002 -g 10002 -m 0700 /var/lib/tandem-stores
COPY --chmod=0755 deploy/docker/postgres-once /usr/local/bin/
WORKDIR /var/lib/tandem-stores
# PostgreSQL's fast shutdown; Redis takes it for a shutdown, too.
STOPSIGNAL SIGINT
USER 10002:10002
