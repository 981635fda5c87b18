#!/bin/sh
# Ray Serve starts this in HAProxy's place; it narrows the configuration Ray Serve wrote, then
# becomes HAProxy. TANDEM_HAPROXY_BINARY names the program.
set -eu
previous=
for argument; do
    [ "$previous" = -f ] && config=$argument
    previous=$argument
done
# Statistics and metrics on loopback only, not on all interfaces.
# No replica: 503, which gRPC clients read as UNAVAILABLE, at once. Not HTTP 500, nor NOT_FOUND, nor
# a wait in the fallback proxy, which clients reach by its own address.
# A refused connection is tried again, on another replica if there is one, after this time at most.
sed -i \
    -e 's/^\( *timeout connect \).*/\1100ms/' \
    -e 's/^\( *bind \)\*\{0,1\}:/\1127.0.0.1:/' \
    -e '/^ *errorfile 50[234] /d' \
    -e '/^ *server .* backup$/d' \
    -e '/ grpc-message "Application /s/ hdr grpc-status 5 / hdr grpc-status 14 /' \
    "$config"
exec "$TANDEM_HAPROXY_BINARY" "$@"
