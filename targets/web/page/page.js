// The page: what people do goes to the worker or the board, and what comes back is shown.
import { Board } from "./board.js";
import { EXAMPLE } from "./example.js";
import { find } from "./marks.js";

// `cargo xtask web` puts the files' hash here.
const VERSION = "development";
const CACHE = `jamlet-${VERSION}`;
const MODEL = "pico.jamlet";
/** Characters of a text up to which quotes are looked for in it. */
const MARKED = 2_000_000;

const $ = (id) => document.getElementById(id);
const text = $("text");
const WAYS = { quote: "quoted", compress: "quoted in part", rewrite: "rewritten", other: "" };
const KINDS = {
  nothing: "There is nothing to summarize in this text.",
  "other-language": "The text isn't English, so it is quoted.",
  lines: "The text has no sentences, so a line is quoted.",
};
const PARTS = {
  ssm: "states of the Mamba layers",
  conv: "inputs that the convolutions remember",
  cache: "attention's cache",
  beams: "the same three of the second beam",
  scratch: "what a few tokens are computed in",
  texts: "sentences, words, tokens of the text",
};

const number = (value) => Math.round(value).toLocaleString("en");
const size = (bytes) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} KB` : `${(bytes / 1e6).toFixed(1)} MB`);
const create = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

function say(where, message, failed = false) {
  where.textContent = message;
  where.classList.toggle("failed", failed);
}

function advance(bar, share) {
  bar.hidden = share === null;
  if (share === undefined) bar.removeAttribute("value");
  else if (share !== null) bar.value = share;
}

/* ---- the text and its marks */

let marked = [];

function showMarks() {
  const pieces = [];
  let at = 0;
  for (const { start, end } of marked.flat().sort((a, b) => a.start - b.start)) {
    if (start < at) continue;
    pieces.push(text.value.slice(at, start), create("mark", { textContent: text.value.slice(start, end), id: `mark-${start}` }));
    at = end;
  }
  // The last line has a height, also where it is empty.
  $("marks").replaceChildren(...pieces, `${text.value.slice(at)}\n`);
}

function clearMarks() {
  marked = [];
  showMarks();
}

function setText(value) {
  text.value = value;
  clearMarks();
  text.scrollTop = 0;
  $("paper").scrollTop = 0;
}

/** Marks a line's words in the text; whether they are there. */
function mark(line) {
  const places = text.value.length <= MARKED ? find(text.value, line) : [];
  if (places.length > 0) {
    marked.push(places);
    showMarks();
  }
  return places;
}

function lead(places) {
  const first = places[0].start;
  text.focus({ preventScroll: true });
  text.setSelectionRange(first, places.at(-1).end);
  $(`mark-${first}`)?.scrollIntoView({ block: "center" });
}

/** A line of a summary that grows. */
class Line {
  #text = create("p");
  #about = create("div", { className: "about" });

  constructor(list) {
    list.append(create("li", {}, this.#text, this.#about));
  }

  add(piece) {
    this.#text.textContent += piece;
  }

  /** The line is complete. */
  end(way, confidence) {
    this.#text.textContent = this.#text.textContent.trim();
    const places = way === "rewrite" ? [] : mark(this.#text.textContent);
    if (WAYS[way]) this.#about.append(create("span", { textContent: WAYS[way] }));
    if (confidence !== undefined) {
      const share = `${Math.round(confidence * 100)} %`;
      const title = "How probable it is that this line says what the text says, by the model's own estimate";
      this.#about.append(create("span", { textContent: `confidence ${share}`, title }));
    }
    if (places.length > 0) {
      const button = create("button", { type: "button", textContent: "Show in the text" });
      button.onclick = () => lead(places);
      this.#about.append(button);
    }
  }
}

/* ---- this browser */

let worker;
let ready = false;
/** Asked for while the model was loading. */
let wanted = false;
let run = null;
let runs = 0;
let offline = false;

/** The page shall work without a network. Not before the model is there: that is what people wait for. */
function serveOffline() {
  if (offline) return;
  offline = true;
  // Over plain HTTP there is none: the page works, but not offline.
  const without = () => ($("offline").textContent = "");
  if (navigator.serviceWorker) navigator.serviceWorker.register("sw.js").catch(without);
  else without();
}

function startWorker() {
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => heard(data);
  worker.onerror = (event) => fail(event.message || "the worker couldn't be started");
}

function fail(message) {
  say($("status"), `This didn't work: ${message}.`, true);
  advance($("progress"), null);
  setRunning(false);
}

function openModel(name, image) {
  say($("status"), `Loading the model ${name}…`);
  advance($("progress"), undefined);
  worker.postMessage({ open: { name, image, url: MODEL, cache: CACHE } }, image ? [image] : []);
}

function heard(data) {
  if (data.loading !== undefined) advance($("progress"), data.loading);
  else if (data.opened) opened(data.opened, data.plan, data.memory);
  else if (data.failed) fail(data.failed);
  else if (run && data.id === run.id) summaryHeard(data);
}

function opened(name, plan, memory) {
  ready = true;
  advance($("progress"), null);
  say($("status"), "Ready.");
  $("model-name").textContent = name;
  $("model-facts").textContent = `${size(plan.bytes.image)}, looks back ${plan.window} tokens, computes with ${
    plan.kernels === "portable" ? "plain instructions" : plan.kernels
  }`;
  drawPlan(plan);
  drawMemory(memory);
  if (wanted) summarizeHere();
  serveOffline();
}

function drawPlan(plan) {
  const { image, ...ram } = plan.bytes;
  const total = Object.values(ram).reduce((sum, bytes) => sum + bytes, 0);
  const bar = (parts, whole, label) => {
    const drawn = create("div", { className: "bar" });
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", label);
    parts.forEach(([, bytes], index) => {
      const part = create("span", { className: `part-${index + 1}` });
      part.style.width = `${(100 * bytes) / whole}%`;
      drawn.append(part);
    });
    return drawn;
  };
  const parts = Object.entries(ram);
  const list = parts.map(([part, bytes], index) =>
    create(
      "li",
      {},
      create("span", { className: `key part-${index + 1}` }),
      create("span", { textContent: PARTS[part] }),
      create("span", { textContent: size(bytes) }),
    ),
  );
  $("plan").replaceChildren(
    create("div", { textContent: `Flash: ${size(image)}` }),
    bar([["image", image]], image, `flash: the model's ${size(image)}`),
    create("div", { textContent: `RAM: ${size(total)}` }),
    bar(parts, total, `RAM: ${parts.map(([part, bytes]) => `${PARTS[part]} ${size(bytes)}`).join(", ")}`),
    create("ul", {}, ...list),
  );
}

function drawMemory(bytes) {
  $("module-memory").textContent = `In this browser the engine takes ${size(bytes)} in all, the model among them.`;
}

function drawSpeed(reads, writes) {
  const most = Math.max(reads, writes, 1);
  for (const [name, speed] of Object.entries({ read: reads, write: writes })) {
    $(`speed-${name}`).style.width = `${(100 * speed) / most}%`;
    $(`speed-${name}-number`).textContent = speed > 0 ? `${number(speed)} tokens/s` : "–";
  }
}

function setRunning(running) {
  $("stop").hidden = !running;
  if (!running) {
    $("count").textContent = "";
    $("summary").removeAttribute("aria-busy");
  }
}

function summarizeHere() {
  wanted = !ready;
  if (!ready) return;
  clearMarks();
  $("summary").replaceChildren();
  run = { id: ++runs, line: null, lines: [], start: performance.now() };
  say($("status"), "Reading…");
  // Read out once it is complete.
  $("summary").setAttribute("aria-busy", "true");
  advance($("progress"), 0);
  setRunning(true);
  worker.postMessage({
    summarize: { id: run.id, text: text.value, style: $("style").value, lines: Number($("lines").value) },
  });
}

function summaryHeard({ progress, line, piece, answer, memory, stopped, error }) {
  if (progress) {
    const share = progress.of > 0 ? progress.bytes / progress.of : 1;
    const speed = progress.read / ((performance.now() - run.start) / 1000);
    advance($("progress"), share < 1 ? share : undefined);
    if (share === 1) say($("status"), "Writing…");
    $("count").textContent = `${number(progress.read)} tokens read`;
    drawSpeed(speed, 0);
  } else if (line) {
    endLine();
    run.line = { ...line, shown: new Line($("summary")) };
  } else if (piece !== undefined) {
    run.line?.shown.add(piece);
  } else if (answer) {
    endLine();
    const { reading, all } = answer.milliseconds;
    drawSpeed((1000 * answer.read) / Math.max(reading, 0.1), answer.written > 0 ? (1000 * answer.written) / Math.max(all - reading, 0.1) : 0);
    drawMemory(memory);
    const took = `${number(answer.read)} tokens read, ${number(answer.written)} written, in ${(all / 1000).toFixed(2)} s.`;
    end(KINDS[answer.kind] ? `${KINDS[answer.kind]} ${took}` : took);
    // On a phone the summary is below the text.
    if (answer.lines.length > 0 && $("summary").getBoundingClientRect().top > innerHeight) {
      $("summary").scrollIntoView({ block: "center" });
    }
  } else if (stopped) {
    end("Stopped.");
  } else if (error) {
    run = null;
    fail(error);
  }
}

function endLine() {
  run.line?.shown.end(run.line.way, run.line.confidence);
  run.line = null;
}

function end(message) {
  run = null;
  say($("status"), message);
  advance($("progress"), null);
  setRunning(false);
}

/* ---- a board */

let board = null;
let boardRun = null;
/** Characters of what a board said that stay. */
const SCROLLBACK = 20_000;

async function connect() {
  const said = $("console");
  try {
    const port = await navigator.serial.requestPort();
    say($("board-status"), "Connecting…");
    board = await Board.connect(port, Number($("baud").value), {
      onSaid: (piece) => {
        const shown = said.scrollHeight - said.scrollTop - said.clientHeight < 40;
        said.textContent = (said.textContent + piece.replaceAll("\r", "")).slice(-SCROLLBACK);
        if (shown) said.scrollTop = said.scrollHeight;
      },
      onClosed: disconnected,
    });
    say($("board-status"), "Connected.");
    $("connect").hidden = true;
    $("disconnect").hidden = false;
  } catch (error) {
    // Nobody chose a port: no failure.
    if (error.name === "NotFoundError") say($("board-status"), "Not connected.");
    else say($("board-status"), error.message, true);
  }
}

function disconnected() {
  if (!board) return;
  board = null;
  $("connect").hidden = false;
  $("disconnect").hidden = true;
  say($("board-status"), "Not connected.");
}

async function summarizeOnBoard() {
  if (!board) return say($("board-status"), "Connect a board first.", true);
  boardRun?.abort();
  const mine = (boardRun = new AbortController());
  clearMarks();
  $("board-summary").replaceChildren();
  setRunning(true);
  say($("board-status"), "The board reads…");
  let lines = [];
  try {
    const answer = await board.summarize(text.value, {
      style: $("style").value,
      lines: Number($("lines").value),
      signal: mine.signal,
      onSent: (share) => advance($("board-progress"), share < 1 ? share : undefined),
      onRead: ({ read, readSpeed }) => say($("board-status"), `${number(read)} tokens read, ${readSpeed} a second; the board writes…`),
      onText: (piece) => {
        piece.split("\n").forEach((part, index) => {
          if (index > 0 || lines.length === 0) lines.push(new Line($("board-summary")));
          lines.at(-1).add(part);
        });
      },
    });
    // A board says how it made a line only of the first, in words: what is in the text as it is must be a quote.
    for (const line of lines) line.end("other");
    const { read, readSpeed, written, writeSpeed, workspace, stack, note } = answer;
    say(
      $("board-status"),
      `${number(read)} tokens read, ${readSpeed} a second; ${number(written)} written, ${writeSpeed} a second; workspace ${size(workspace)}` +
        `${stack ? `, stack ${size(stack)}` : ""}${note ? ` (${note})` : ""}.`,
    );
  } catch (error) {
    if (error.name === "AbortError") say($("board-status"), "Stopped.");
    else say($("board-status"), error.message, true);
  } finally {
    advance($("board-progress"), null);
    if (boardRun === mine) {
      boardRun = null;
      setRunning(false);
    }
  }
}

/* ---- what people do */

const onBoard = () => $("tab-board").getAttribute("aria-selected") === "true";

function summarize() {
  if (text.value.trim() === "") {
    const where = onBoard() ? $("board-status") : $("status");
    say(where, "There is no text yet: paste one, or try the example.", true);
    text.focus();
  } else if (onBoard()) summarizeOnBoard();
  else summarizeHere();
}

async function take(file) {
  if (file.name.endsWith(".jamlet")) {
    run = null;
    openModel(file.name.replace(/\.jamlet$/, ""), await file.arrayBuffer());
  } else {
    setText(new TextDecoder().decode(await file.arrayBuffer()));
    summarize();
  }
}

function choose(tab, focus) {
  for (const each of [$("tab-here"), $("tab-board")]) {
    const chosen = each === tab;
    each.setAttribute("aria-selected", chosen);
    each.tabIndex = chosen ? 0 : -1;
    $(each.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
}

$("go").onclick = summarize;
$("stop").onclick = () => (onBoard() ? boardRun?.abort() : worker.postMessage({ stop: true }));
$("open-text").onclick = () => $("text-file").click();
$("open-model").onclick = () => $("model-file").click();
for (const input of [$("text-file"), $("model-file")]) {
  input.onchange = () => {
    if (input.files[0]) take(input.files[0]);
    input.value = "";
  };
}
$("example").onclick = () => {
  setText(EXAMPLE);
  summarize();
};
text.oninput = clearMarks;
text.onkeydown = (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    summarize();
  }
};
text.onpaste = () => setTimeout(summarize);

const paper = $("paper");
addEventListener("dragover", (event) => {
  event.preventDefault();
  paper.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) paper.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  paper.classList.remove("over");
  const file = event.dataTransfer.files[0];
  const dropped = event.dataTransfer.getData("text/plain");
  if (file) take(file);
  else if (dropped) {
    setText(dropped);
    summarize();
  }
});

for (const tab of [$("tab-here"), $("tab-board")]) {
  tab.onclick = () => choose(tab);
  tab.onkeydown = ({ key }) => {
    if (key === "ArrowLeft" || key === "ArrowRight") choose(tab === $("tab-here") ? $("tab-board") : $("tab-here"), true);
  };
}
$("connect").onclick = connect;
$("disconnect").onclick = () => board?.close();
if (!("serial" in navigator)) {
  $("connect").disabled = true;
  $("board-hint").textContent = "This browser can't talk to serial ports. Chrome, Edge and Opera on a computer can.";
}

showMarks();
startWorker();
openModel("pico");
