// Runs the model beside the page, so that the page stays quick.
import { load, moduleUrl } from "./jamlet.js";

let jamlet = null;
let running = null;

/** A file's bytes, from the cache that also serves offline, or from the server and into that cache. */
async function stored(url, cacheName, onProgress) {
  // No caches where the page came over plain HTTP: then it just doesn't work offline.
  const cache = globalThis.caches && (await caches.open(cacheName));
  const response = (await cache?.match(url)) ?? (await fetch(url));
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  const total = Number(response.headers.get("content-length"));
  const pieces = [];
  let bytes = 0;
  const reader = response.clone().body.getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    pieces.push(value);
    bytes += value.length;
    if (total > 0) onProgress?.(Math.min(1, bytes / total));
  }
  // Without room to keep it the page works all the same.
  await cache?.put(url, response).catch(() => {});
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

async function open({ name, image, url, cache }) {
  const loading = (share) => postMessage({ loading: share });
  const [module, model] = await Promise.all([
    stored(moduleUrl().href, cache),
    image ? new Uint8Array(image) : stored(new URL(url, import.meta.url).href, cache, loading),
  ]);
  // The one before goes on serving where this one is refused.
  jamlet = await load({ module, image: model });
  postMessage({ opened: name, plan: jamlet.plan, memory: jamlet.memory });
}

async function summarize({ id, text, style, lines }) {
  running?.abort();
  while (running) await new Promise((resolve) => setTimeout(resolve));
  running = new AbortController();
  try {
    const answer = await jamlet.summarize(text, {
      style,
      lines,
      signal: running.signal,
      onProgress: (progress) => postMessage({ id, progress }),
      onLine: (line) => postMessage({ id, line }),
      onText: (piece) => postMessage({ id, piece }),
    });
    postMessage({ id, answer, memory: jamlet.memory });
  } catch (error) {
    postMessage(error.name === "AbortError" ? { id, stopped: true } : { id, error: error.message });
  } finally {
    running = null;
  }
}

onmessage = async ({ data }) => {
  try {
    if (data.open) await open(data.open);
    else if (data.summarize) await summarize(data.summarize);
    else running?.abort();
  } catch (error) {
    postMessage({ failed: error.message });
  }
};
