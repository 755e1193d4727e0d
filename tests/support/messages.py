"""The messages of proto/, compiled when this is imported: messages.Ask, messages.Events …"""

import glob
import importlib
import os
import subprocess
import sys
import tempfile

_PROTO = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "proto")

with tempfile.TemporaryDirectory(prefix="parley-proto-") as _directory:
    subprocess.run(["protoc", f"--proto_path={_PROTO}", f"--python_out={_directory}",
                    *sorted(glob.glob(os.path.join(_PROTO, "*.proto")))], check=True)
    sys.path.insert(0, _directory)
    for _name in ("turn", "event", "command", "job", "conversation", "tool", "gateway"):
        _module = importlib.import_module(f"{_name}_pb2")
        globals().update({name: value for name, value in vars(_module).items() if not name.startswith("_")})
    sys.path.remove(_directory)
