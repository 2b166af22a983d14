// Where the run is: with a server, or beside the page in files.

import { ask, Server } from "./server.js";

export async function open() {
  const run = await (await ask("api/run.json")).json();
  if (!run.static) return new Server(run);
  const { Files } = await import("./files.js");
  return Files.open(run);
}
