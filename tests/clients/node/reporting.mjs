// How a client's script says what works: one JSON line for each capability.
import { readFileSync } from "node:fs";

export const { BASE_URL, API_KEY, MODEL, EMBEDDING_MODEL } = process.env;

export function client(name) {
  const path = new URL(`./node_modules/${name}/package.json`, `file://${process.cwd()}/`);
  console.log(JSON.stringify({ client: name, version: JSON.parse(readFileSync(path)).version }));
}

export async function shows(capability, check) {
  try {
    await check();
    console.log(JSON.stringify({ capability, outcome: "passed" }));
  } catch (error) {
    console.error(error);
    console.log(JSON.stringify({ capability, outcome: "failed", reason: String(error).slice(0, 400) }));
  }
}
