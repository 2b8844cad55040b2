// Sends the events on standard input with the JavaScript SDK, and prints the ids or the error.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { readFileSync } from "node:fs";

const require = createRequire(pathToFileURL(process.env.SDK_DIR + "/"));
const { Inngest } = await import(pathToFileURL(require.resolve("inngest")).href);
const silent = { info() {}, warn() {}, error() {}, debug() {} };
const client = new Inngest({ id: "test", logger: silent, env: process.env.SDK_ENV });
try {
  const { ids } = await client.send(JSON.parse(readFileSync(0, "utf8")));
  console.log(JSON.stringify({ ids }));
} catch (error) {
  console.log(JSON.stringify({ error: String(error.message ?? error) }));
}
