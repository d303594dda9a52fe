// Drives a served swarm with a client of the official TypeScript SDK: lists, calls with progress,
// reads the transcript, lets a call with a wrong argument fail, cancels a slow one.
//   node sdk_client.mjs v1|v2|v2-modern stdio COMMAND ARGS... | http URL
// Prints one line per step; exit code 1 when a step is not as it should be. Resolves its packages
// from the folder it is run in.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [generation, transportName, ...target] = process.argv.slice(2);
const require = createRequire(process.cwd() + "/");
const load = (name) => import(pathToFileURL(require.resolve(name)).href);

async function makeClient() {
  if (generation === "v1") {
    const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
    return new Client({ name: "sdk-v1", version: "1" }, { capabilities: {} });
  }
  const { Client } = await load("@modelcontextprotocol/client");
  const mode = generation === "v2-modern" ? { pin: "2026-07-28" } : "legacy";
  return new Client({ name: "sdk-v2", version: "2" },
                    { capabilities: {}, versionNegotiation: { mode } });
}

async function makeTransport() {
  const v1 = generation === "v1";
  if (transportName === "stdio") {
    const module = v1 ? "@modelcontextprotocol/sdk/client/stdio.js"
                      : "@modelcontextprotocol/client/stdio";
    const { StdioClientTransport } = await load(module);
    return new StdioClientTransport({ command: target[0], args: target.slice(1),
                                      stderr: "inherit" });
  }
  const module = v1 ? "@modelcontextprotocol/sdk/client/streamableHttp.js"
                    : "@modelcontextprotocol/client";
  const { StreamableHTTPClientTransport } = await load(module);
  return new StreamableHTTPClientTransport(new URL(target[0]));
}

let failed = 0;
function step(what, good, details = "") {
  if (!good) ++failed;
  console.log(`${good ? "ok  " : "FAIL"} ${what} ${details}`);
}

const client = await makeClient();
await client.connect(await makeTransport());
step("connect", true, `${client.getServerVersion()?.name} ${client.getServerVersion()?.version}`);
const { tools } = await client.listTools();
step("tools/list", tools.length === 1, tools.map((tool) => tool.name).join(" "));
const call = (args, options) => generation === "v1"
  ? client.callTool({ name: tools[0].name, arguments: args }, undefined, options)
  : client.callTool({ name: tools[0].name, arguments: args }, options);
const progress = [];
const result = await call({ task: "say it" }, { onprogress: (p) => progress.push(p) });
step("tools/call", result.content[0].text === "forty-two" && !result.isError,
     JSON.stringify(result.content[0].text));
step("structuredContent", result.structuredContent?.answer === "forty-two");
step("progress", progress.length > 0, `${progress.length} notifications`);
const wrong = await call({});
step("missing argument", wrong.isError === true, wrong.content[0].text.slice(0, 60));
const { resourceTemplates } = await client.listResourceTemplates();
step("resources/templates/list", resourceTemplates.length === 1, resourceTemplates[0].uriTemplate);
const run = result.structuredContent?.run;
const journal = await client.readResource({ uri: `swarm://runs/${run}` });
step("resources/read", journal.contents[0].text.includes("run"),
     `${journal.contents[0].text.length} bytes`);
const cancel = new AbortController();
setTimeout(() => cancel.abort("enough"), 300);
const begun = Date.now();
const cancelled = await call({ task: "slow" }, { signal: cancel.signal }).then(() => false,
                                                                              () => true);
step("cancellation", cancelled && Date.now() - begun < 3000, `after ${Date.now() - begun} ms`);
const after = await call({ task: "again" });
step("a call after it", after.content[0].text === "forty-two");
await client.close();
process.exit(failed ? 1 : 0);
