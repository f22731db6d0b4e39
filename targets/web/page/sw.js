// Serves the page without a network.

// `cargo xtask web` puts the files' hash here.
const VERSION = "development";
const CACHE = `jamlet-${VERSION}`;
// Module and model are put into the cache by the page itself, which reads them anyway.
const FILES = ["./", "style.css", "page.js", "worker.js", "jamlet.js", "marks.js", "board.js", "example.js", "icon.svg", "manifest.webmanifest"];

oninstall = (event) => {
  const requests = FILES.map((file) => new Request(file, { cache: "no-cache" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)).then(() => skipWaiting()));
};

onactivate = (event) => {
  const old = (name) => name.startsWith("jamlet-") && name !== CACHE;
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name))))
      .then(() => clients.claim()),
  );
};

onfetch = (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(caches.match(event.request, { ignoreSearch: true }).then((kept) => kept ?? fetch(event.request)));
};
