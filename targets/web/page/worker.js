// Runs the model beside the page, so that the page stays quick.
import { load, moduleUrl } from "./jamlet.js";

let jamlet = null;
let running = null;

/** A file's bytes, from the cache that also serves offline or from the server, and what is to be done when there is time. */
async function stored(url, cacheName, onProgress) {
  // No caches where the page came over plain HTTP: then it just doesn't work offline.
  const cache = globalThis.caches && (await caches.open(cacheName));
  const kept = await cache?.match(url);
  const response = kept ?? (await fetch(url));
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  const bytes = await all(response, onProgress);
  // Without room to keep it the page works all the same.
  const keep = async () => {
    if (cache && !kept) await cache.put(url, new Response(bytes, { headers: response.headers })).catch(() => {});
  };
  return { bytes, keep };
}

/** A response's bytes. */
async function all(response, onProgress) {
  const total = Number(response.headers.get("content-length"));
  // Compressed on its way, or of a length that isn't told.
  if (!total || response.headers.has("content-encoding")) return new Uint8Array(await response.arrayBuffer());
  const bytes = new Uint8Array(total);
  const reader = response.body.getReader();
  let at = 0;
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    bytes.set(value, at);
    at += value.length;
    onProgress?.(at / total);
  }
  return bytes;
}

async function open({ name, image, url, cache }) {
  const loading = (share) => postMessage({ loading: share });
  const [module, model] = await Promise.all([
    stored(moduleUrl().href, cache),
    image ? { bytes: new Uint8Array(image) } : stored(new URL(url, import.meta.url).href, cache, loading),
  ]);
  // The one before goes on serving where this one is refused.
  jamlet = await load({ module: module.bytes, image: model.bytes });
  postMessage({ opened: name, plan: jamlet.plan, memory: jamlet.memory });
  await Promise.all([module.keep(), model.keep?.()]);
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
