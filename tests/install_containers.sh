#!/usr/bin/env bash
# Installs what make container-test builds and runs containers with.
set -euo pipefail
declare -A packages=(
  [podman]=podman [buildah]=buildah [runc]=runc [iptables]=iptables [newuidmap]=uidmap
  [mmdebstrap]=mmdebstrap [/usr/lib/podman/netavark]=netavark
  [/usr/lib/podman/aardvark-dns]=aardvark-dns
)
missing=()
for program in "${!packages[@]}"; do
  command -v "$program" >/dev/null || missing+=("${packages[$program]}")
done
if ((${#missing[@]})); then
  if [[ $(id -u) -ne 0 ]]; then
    echo "install these packages first, as root: ${missing[*]}" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
