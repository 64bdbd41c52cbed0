"""Runs a page's own module under node, without a browser: what it decides, not what it draws."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NODE = shutil.which("node")
STATIC = Path(__file__).parents[2] / "console" / "static" / "console"
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed; the page itself needs none")
BARE = (  # what modules touch of a browser when they are loaded, or when nothing is on the page
    "globalThis.localStorage = globalThis.sessionStorage = { getItem: () => null };"
    "globalThis.document = { getElementById: () => ({ textContent: '' }), querySelectorAll: () => [] };"
)


def run(module: str, expression: str) -> Any:
    """What the expression, which may wait, comes to as JSON; `module` is the loaded file of that name."""
    uri = json.dumps((STATIC / module).as_uri())
    script = f"{BARE} import({uri}).then(async (module) => console.log(JSON.stringify(await ({expression}))))"
    command = [str(NODE), "--experimental-default-type=module", "--no-warnings", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    return json.loads(done.stdout)
