# The standalone Milvus server, for clusters without a managed one; its log goes to the output.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS unpacked
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL
RUN python -m venv /build && /build/bin/pip install --no-cache-dir 'setuptools<81' milvus==2.3.5
COPY deploy/docker/unpack_milvus.py /build/
RUN /build/bin/python /build/unpack_milvus.py /opt/milvus /var/lib/milvus \
    && groupadd --gid 10003 milvus \
    && useradd --uid 10003 --gid 10003 --no-create-home --home-dir /tmp milvus \
    && install -d -o 10003 -g 10003 -m 0700 /volumes/var/lib/milvus

FROM ${BASE_IMAGE}
COPY --from=unpacked /etc/passwd /etc/group /etc/
COPY --from=unpacked /volumes /
COPY --from=unpacked /opt/milvus /opt/milvus
ENV DEPLOY_MODE=STANDALONE \
    LD_LIBRARY_PATH=/opt/milvus/bin \
    METRICS_PORT=9091 \
    MILVUSCONF=/opt/milvus/configs
WORKDIR /var/lib/milvus
USER 10003:10003
CMD ["/opt/milvus/bin/milvus", "run", "standalone"]
