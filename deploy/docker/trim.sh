#!/bin/sh
# Removes from a folder of installed packages what nothing of Tandem loads: tests, headers, Java,
# Feast's pages, Arrow's Flight, mypy (which SQLAlchemy's extra brings), pip; and the symbols
# of the largest libraries.
set -eu
pip uninstall --yes --quiet mypy
cd "$1"
rm -rf pip torch/bin/test_* torch/bin/*Test torch/bin/protoc* torch/include torch/test \
    torch/lib/*_test.so pyarrow/include pyarrow/*_flight* ray/jars ray/rllib feast/ui
find . -depth -type d \( -name tests -o -name test \) -exec rm -rf {} +
find torch ray pyarrow -type f -size +1M \( -name '*.so*' -o -name raylet -o -name gcs_server \) \
    -exec strip --strip-unneeded {} +
