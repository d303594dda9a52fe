#!/usr/bin/env python3
"""Writes the seeds of tests/fuzz/corpus/mcp: small well-formed inputs of every format, and forms
that have hurt other implementations. Run from the source root; files named found-* are kept."""
import json
import pathlib

ROOT = pathlib.Path("tests/fuzz/corpus/mcp")
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}, "extensions": {
            "io.modelcontextprotocol/tasks": {}}}, "progressToken": 1}


def request(method, params, number=1):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


SEEDS = {
    "sse": {
        "plain": "event: message\ndata: {\"a\":1}\nid: 7\nretry: 500\n\ndata: two\ndata: lines\n\n",
        "crlf": "\ufeffdata:x\r\n\r\n: comment\r\ndata: y\r\rid\ndata\n\n",
        "priming": "id: 1\ndata:\n\nid: a\0b\ndata: z\n\nretry: x\n\n",
        "long": "data: " + "x" * 5000 + "\n\ndata: after\n\n",
    },
    "lines": {
        "plain": "{\"a\":1}\n{\"b\":2}\r\n\n\ufeff{\"c\":\"\u00e4\"}\nrest",
        "long": "y" * 5000 + "\nshort\n",
    },
    "rpc": {
        "initialize": request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {
            "roots": {}}, "clientInfo": {"name": "x", "version": "1"}}),
        "discover": request("server/discover", {"_meta": META}),
        "call": request("tools/call", {"_meta": META, "name": "t", "arguments": {"a": 1}}),
        "resume": request("tools/call", {"_meta": META, "name": "t", "arguments": {"a": 1},
                                         "requestState": "x.y", "inputResponses": {"k": {
                                             "action": "accept"}}}),
        "prompt": request("prompts/get", {"_meta": META, "name": "p", "arguments": {"x": "1"}}, "s"),
        "read": request("resources/read", {"_meta": META, "uri": "fuzz://a"}),
        "complete": request("completion/complete", {"_meta": META, "ref": {"type": "ref/prompt",
                            "name": "p"}, "argument": {"name": "x", "value": "v"}}),
        "listen": request("subscriptions/listen", {"_meta": META, "notifications": {
            "toolsListChanged": True, "resourceSubscriptions": ["fuzz://a"], "taskIds": ["t"]}}),
        "task": request("tasks/get", {"_meta": META, "taskId": "t"}),
        "level": request("logging/setLevel", {"level": "info"}),
        "batch": "[" + request("ping", {}) + "," + request("tools/list", {"cursor": ""}) + "]",
        "notice": json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled",
                              "params": {"requestId": 3, "reason": "x"}}),
        "result": json.dumps({"jsonrpc": "2.0", "id": 3.0, "result": {"content": [
            {"type": "text", "text": "a"}, {"type": "image", "data": "AAAA"},
            {"type": "resource", "resource": {"uri": "u", "blob": "AA=="}}],
            "structuredContent": {"a": 1}, "isError": False}}),
        "error": json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32602,
                             "message": "m", "data": [1]}}),
    },
    "headers": {
        "bearer": "Bearer realm=\"a\\\"b\", resource_metadata=\"https://x/y\", scope=\"a b\", "
                  "error=insufficient_scope, DPoP algs=\"ES256\", Basic abc==",
        "sentinel": "=?base64?w6TDtg==?=",
        "plain": "us-west 1",
        "schema": json.dumps({"type": "object", "properties": {
            "r": {"type": "string", "x-mcp-header": "Region"},
            "o": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
            "b": {"anyOf": [{"x-mcp-header": "Bad"}]}}}),
        "skill": "---\nname: pdf\ndescription: \"a: b\"\n---\nbody\n",
        "url": "https://user@[::1]:8443/a/../b?c=d#e",
    },
    "http": {
        "length": "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
                  "Content-Length: 2\r\n\r\n{}",
        "chunked": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n3;x=y\r\n a\n\r\n0\r\nT: v\r\n\r\n",
        "close": "HTTP/1.0 404 Not Found\r\nWWW-Authenticate: Bearer\r\n\r\nuntil the end",
        "request": "POST /mcp?a=b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "2\r\n{}\r\n0\r\n\r\n",
        "continue": "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
    },
    "config": {
        "claude": json.dumps({"mcpServers": {"a": {"command": "npx", "args": ["-y", "${P:-x}"],
                              "env": {"K": "${env:TOKEN}"}, "timeout": 60, "disabled": False}}}),
        "comments": "{ // c\n \"servers\": { /* d */ \"a\": {\"type\": \"http\", \"url\": "
                    "\"https://x//y\", \"headers\": {\"H\": \"${input:k}\"},}, }, }",
        "codex.toml": "model = \"m\"\n[mcp_servers.c]\ncommand = 'npx'\nargs = [\"-y\", \"x\"]\n"
                      "startup_timeout_sec = 1.5\nwhen = 2026-01-02T03:04:05Z\n"
                      "[mcp_servers.c.env]\nK = \"\"\"${T}\"\"\"\n[[list]]\nn = 0x1F\n",
        "goose": json.dumps({"extensions": {"g": {"cmd": "a", "envs": {"A": "{{B}}"}, "env_keys":
                             ["C"], "type": "stdio", "timeout": 300}}}),
        "codex": json.dumps({"mcp_servers": {"c": {"url": "https://x", "bearer_token_env_var": "T",
                             "env_http_headers": {"X": "Y"}, "startup_timeout_sec": 1.5}}}),
        "opencode": json.dumps({"mcp": {"o": {"type": "local", "command": ["a", "b"],
                                "environment": {"K": "$V"}, "enabled": True}}}),
    },
}


for target, seeds in SEEDS.items():
    (ROOT / target).mkdir(parents=True, exist_ok=True)
    for name, text in seeds.items():
        (ROOT / target / name).write_bytes(text.encode("utf-8"))
