"""Unpacks the server that the package `milvus` carries, and writes its configuration.

unpack_milvus.py PROGRAM_DIR DATA_DIR
"""

import shutil
import sys
from pathlib import Path

import milvus  # type: ignore[import-not-found]  # installed in the image alone


def main(programs: Path, data: str) -> None:
    milvus._initialize_data_files(programs)
    # In a folder of that name, for the package derives all paths from it.
    config = milvus.MilvusServerConfig(data_dir=data)
    config.resolve_storage()
    config.set("system_log_path", "")  # logs to the output
    config.set("etcd_log_path", "stdout")
    config.set("etcd_log_level", "warn")
    config.set("log.level", "warn")
    # A server that was killed is waited for by its successor for as long, in seconds.
    config.set("common.session.ttl", 10)
    config.write_config()
    shutil.copytree(Path(data) / "configs", programs / "configs")
    glog = programs / "configs" / "glog.conf"
    glog.write_text(glog.read_text().replace("--logtostderr=false", "--logtostderr=true"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
