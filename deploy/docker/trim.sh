#!/bin/sh
# Removes from a folder of installed packages what no service reads: tests, headers, static
# libraries, Java, and pages of dashboards.
set -eu
cd "$1"
rm -rf pip torch/bin/test_* torch/bin/*Test torch/bin/protoc* torch/include torch/test \
    torch/lib/*_test.so pyarrow/include ray/jars ray/rllib ray/dashboard/client feast/ui
find . -depth -type d \( -name tests -o -name test \) -exec rm -rf {} +
find . -name '*.a' -delete
