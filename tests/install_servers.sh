#!/usr/bin/env bash
# Installs the real servers that the contract suites run on, and says where they are in .servers/env.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python3.11}"
missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing+=(postgresql)
if ((${#missing[@]})); then
  if [[ $(id -u) -ne 0 ]]; then
    echo "install these packages first, as root: ${missing[*]}" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
mkdir -p .servers
if [[ ! -x .servers/milvus/bin/milvus-server ]]; then
  "$python" -m venv .servers/milvus
  .servers/milvus/bin/pip install --quiet 'setuptools<81' 'milvus==2.3.5'
fi
echo "export MILVUS_SERVER='$PWD/.servers/milvus/bin/python'" > .servers/env
