// Drives `bex mcp` with the official TypeScript SDK. Called by tests/mcp.rs: client.mjs BEX FOLDER; ends with "ok".
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const [bex, folder] = process.argv.slice(2);

async function connect(transport) {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  return client;
}

async function call(client, name, args, isError = false) {
  const result = await client.callTool({ name, arguments: args });
  const text = result.content[0].text;
  assert.equal(Boolean(result.isError), isError, `${name}: ${text}`);
  return { text, facts: result.structuredContent };
}

async function session(client) {
  const { tools } = await client.listTools();
  assert.equal(tools.length, 6);
  const run = await call(client, "bex_run", { command: ["echo", "{}"], items: ["a", "b"], wait_s: 30 });
  assert.equal(run.facts.completed, 2, run.text);
  const results = await call(client, "bex_results", { batch: run.facts.batch, output: "full" });
  assert.match(results.text, /\| a/);
  await call(client, "bex_results", { batch: "b999" }, true);
  const { resourceTemplates } = await client.listResourceTemplates();
  assert.equal(resourceTemplates.length, 3);
  const read = await client.readResource({ uri: `bex://${run.facts.batch}/tasks/1/stdout` });
  assert.equal(read.contents[0].text, "a");
}

async function overStdio() {
  const transport = new StdioClientTransport({ command: bex, args: ["mcp"], env: process.env, cwd: folder });
  const client = await connect(transport);
  await session(client);
  await client.close();
}

async function overHttp() {
  const token = "a-token-of-the-test";
  const server = spawn(bex, ["mcp", "--http", "127.0.0.1:0", "--token", token], {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
  });
  try {
    const [line] = await new Promise((resolve) =>
      createInterface({ input: server.stderr }).once("line", (line) => resolve([line])),
    );
    const url = new URL(line.split(" ")[2]);
    const open = (headers) => new StreamableHTTPClientTransport(url, { requestInit: { headers } });
    await assert.rejects(connect(open({})), "without the token nobody gets in");
    await assert.rejects(connect(open({ Authorization: `Bearer ${token}`, Origin: "http://evil.example" })));
    const clients = await Promise.all([1, 2].map(() => connect(open({ Authorization: `Bearer ${token}` }))));
    await Promise.all(clients.map(session));
    await Promise.all(clients.map((client) => client.close()));
  } finally {
    server.kill();
  }
}

await overStdio();
await overHttp();
console.log("ok");
process.exit(0);
