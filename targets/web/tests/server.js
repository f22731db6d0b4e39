// A static server, as plain as they come, that knows what it sent.
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

/** Serves folders by the beginning of a path, the longest first. */
export async function serve(folders) {
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length);
  const missing = [];
  const sockets = new Set();
  let gone = 0;
  const server = createServer(async ({ url, headers }, response) => {
    const path = decodeURIComponent(new URL(url, "http://localhost").pathname);
    const prefix = prefixes.find((prefix) => path.startsWith(prefix));
    const file = join(folders[prefix], normalize(`/${path.slice(prefix.length) || "index.html"}`));
    try {
      const modified = (await stat(file)).mtime.toUTCString();
      if (headers["if-modified-since"] === modified) {
        response.writeHead(304).end();
        return;
      }
      const bytes = await readFile(file);
      response.writeHead(200, {
        "content-type": TYPES[extname(file)] ?? "application/octet-stream",
        "content-length": bytes.length,
        "last-modified": modified,
      });
      response.end(bytes);
    } catch {
      missing.push(path);
      response.writeHead(404).end();
    }
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => {
      gone += socket.bytesWritten;
      sockets.delete(socket);
    });
  });
  let port = 0;
  const start = () =>
    new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => {
        port = server.address().port;
        resolve();
      });
    });
  await start();
  return {
    url: `http://127.0.0.1:${port}/`,
    /** Bytes that were sent, headers among them. */
    bytes: () => Array.from(sockets).reduce((sum, { bytesWritten }) => sum + bytesWritten, gone),
    /** What was asked for and isn't there. */
    missing: () => missing,
    start,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
