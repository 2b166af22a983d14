// Opens the run: from a server, or from files next to the page.

import { ask, Server } from "./server.js";

export async function open() {
  const run = await (await ask("api/run.json")).json();
  if (!run.static) return new Server(run);
  const { Files } = await import("./files.js");
  return Files.open(run);
}
