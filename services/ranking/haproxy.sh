#!/bin/sh
# Ray Serve starts this in HAProxy's place; it narrows the configuration Ray Serve wrote, then
# becomes HAProxy. TANDEM_HAPROXY_BINARY names the program.
set -eu
previous=
for argument; do
    [ "$previous" = -f ] && config=$argument
    previous=$argument
done
# Statistics and metrics on loopback only, not on all interfaces; gRPC at RANKING_HOST.
# No replica: 503, which gRPC clients read as UNAVAILABLE, at once. Not HTTP 500, nor NOT_FOUND, nor
# a wait in the fallback proxy, which clients reach by its own address.
# A refused connection is tried again, on another replica if there is one, after this time at most.
sed -i \
    -e 's/^\( *timeout connect \).*/\1100ms/' \
    -e 's/^\( *bind \)\*\{0,1\}:/\1127.0.0.1:/' \
    -e "s/^\( *bind \)[^ ]*\(:[0-9]* proto h2\)/\1$TANDEM_HAPROXY_HOST\2/" \
    -e '/^ *errorfile 50[234] /d' \
    -e '/^ *server .* backup$/d' \
    -e '/ grpc-message "Application /s/ hdr grpc-status 5 / hdr grpc-status 14 /' \
    "$config"
if [ "$TANDEM_HAPROXY_METRICS_PORT" -ne 0 ]; then
    cat >> "$config" <<END

listen ray_metrics
    mode http
    bind $TANDEM_HAPROXY_HOST:$TANDEM_HAPROXY_METRICS_PORT
    server ray 127.0.0.1:$TANDEM_RAY_METRICS_PORT
END
fi
exec "$TANDEM_HAPROXY_BINARY" "$@"
