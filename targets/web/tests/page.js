// The page in headless Chromium, as people use it. usage: page.js TASK.json; `host-tools/xtask/src/web/check.rs` writes the task.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { serve } from "./server.js";

const task = JSON.parse(await readFile(process.argv[2], "utf8"));
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split(" ");
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 360, height: 740 };
/** Milliseconds for what takes hundreds, on a machine that is busy with other tests. */
const PATIENCE = 60_000;
/** Bytes beside the image. */
const MOST = 400_000;

const site = await serve({ "/": task.page, "/checks/": task.checks });
const profile = await mkdtemp(join(tmpdir(), "jamlet-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: task.chromium, headless: true, args: FLAGS, viewport: WIDE, colorScheme: "light", reducedMotion: "reduce",
});
browser.setDefaultTimeout(PATIENCE);
const problems = [];
const pages = [];
async function open() {
  const page = await browser.newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.message));
  pages.push(page);
  return page;
}

const lines = (page, list = "#summary") => page.locator(`${list} > li > p`).allTextContents();
const finished = (page) => page.getByText(/tokens read, .* written, in/).waitFor();
/** Does what makes a summary, and waits for it: not for the one before. */
async function summary(page, act) {
  await page.locator("#status").evaluate((status) => (status.textContent = ""));
  await act();
  await finished(page);
}
async function accessible(page, what) {
  // Not as a script of the page: its policy allows none from elsewhere.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html)}`), [], what);
  return violations.length;
}

const tests = {
  async "a first visit: summary, bytes, nothing in the console"() {
    const page = await open();
    const start = performance.now();
    await page.goto(site.url);
    const loaded = performance.now();
    await page.locator("#text").fill(task.text);
    await page.locator("#go").click();
    await page.locator("#summary > li > p").first().waitFor();
    const shown = performance.now();
    await finished(page);
    assert.deepEqual(await lines(page), task.summary);
    await page.evaluate(async () => {
      await navigator.serviceWorker.ready;
      while (!navigator.serviceWorker.controller) await new Promise((resolve) => setTimeout(resolve, 20));
    });
    const bytes = site.bytes() - task.imageBytes;
    assert.ok(bytes < MOST, `${bytes} bytes beside the image; ${MOST} at most`);
    assert.deepEqual(site.missing(), []);
    return `first line ${Math.round(shown - start)} ms after the page was asked for, ${Math.round(shown - loaded)} ms after it had loaded; ${bytes} bytes beside the image`;
  },

  async "quotes are marked, and shown on demand"() {
    const [page] = pages;
    await page.locator("#style").selectOption("quote");
    await summary(page, () => page.locator("#go").click());
    const [line] = await lines(page);
    const [marked] = await page.locator("#marks mark").allTextContents();
    assert.equal(marked, line);
    await page.getByRole("button", { name: "Show in the text" }).click();
    const chosen = await page.evaluate(() => {
      const { value, selectionStart, selectionEnd } = document.getElementById("text");
      return value.slice(selectionStart, selectionEnd);
    });
    assert.equal(chosen, marked);
    await page.locator("#style").selectOption("compress");
    await summary(page, () => page.locator("#go").click());
    assert.ok((await page.locator("#marks mark").count()) > 0);
    await page.locator("#style").selectOption("auto");
  },

  async "with the keyboard alone"() {
    const [page] = pages;
    await page.locator("#text").fill("");
    await page.locator("#text").press("Control+Enter");
    await page.getByText("There is no text yet").waitFor();
    await page.locator("#text").pressSequentially("This package contains a tool that reads the log files of web servers.");
    await summary(page, () => page.keyboard.press("Control+Enter"));
    assert.equal((await lines(page)).length, 1);
    await page.locator("#tab-here").focus();
    await page.keyboard.press("ArrowRight");
    await page.locator("#panel-board").waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), "tab-board");
    await page.keyboard.press("ArrowLeft");
    await page.locator("#panel-here").waitFor();
  },

  async "dropped and pasted texts, and a long one that is stopped"() {
    const [page] = pages;
    const drop = (kind, content, name) =>
      page.evaluate(([kind, content, name]) => {
        const dataTransfer = new DataTransfer();
        if (kind === "file") dataTransfer.items.add(new File([content], name));
        else dataTransfer.setData("text/plain", content);
        document.getElementById("paper").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
      }, [kind, content, name]);
    await summary(page, () => drop("file", task.text, "tidewatch.txt"));
    assert.deepEqual(await lines(page), task.summary);
    await drop("text", "So long.\n\n".repeat(20_000));
    await page.getByText(/^[0-9,]+ tokens read$/).waitFor();
    await page.locator("#stop").click();
    await page.getByText("Stopped.").waitFor();
    await summary(page, () => drop("text", task.text));
    assert.deepEqual(await lines(page), task.summary);
  },

  async "another image, and one that is damaged"() {
    const [page] = pages;
    const image = await readFile(task.other);
    image[image.length - 100] ^= 1;
    await page.locator("#model-file").setInputFiles({ name: "damaged.jamlet", mimeType: "", buffer: image });
    await page.getByText("This didn't work:").waitFor();
    const said = await page.locator("#status").textContent();
    await page.locator("#model-file").setInputFiles(task.other);
    await page.getByText("Ready.").waitFor();
    await summary(page, () => page.locator("#go").click());
    assert.deepEqual(await lines(page), task.otherSummary);
    return said;
  },

  async "without a network"() {
    const page = await open();
    site.stop();
    await page.goto(site.url);
    await summary(page, () => page.locator("#example").click());
    assert.equal((await lines(page)).length, 1);
    await page.close();
    pages.pop();
    await site.start();
  },

  async "light and dark, wide and narrow, as axe sees it"() {
    const [page] = pages;
    let minor = 0;
    for (const colorScheme of ["light", "dark"]) {
      for (const [width, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.setViewportSize(viewport);
        await page.locator("#tab-here").click();
        await page.locator("#style").selectOption("quote");
        await summary(page, () => page.locator("#example").click());
        for (const tab of ["here", "board"]) {
          await page.locator(`#tab-${tab}`).click();
          minor += await accessible(page, `${colorScheme}, ${width}, ${tab}`);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(overflow <= 0, `${width}: ${overflow} pixels too wide`);
          if (task.screenshots) {
            await page.screenshot({ path: join(task.screenshots, `${colorScheme}-${width}-${tab}.png`), fullPage: true });
          }
        }
      }
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize(WIDE);
    return `${minor} findings that are not serious`;
  },

  async "a board by Web Serial"() {
    if (!task.board) return "left out: no emulator";
    const page = await open();
    const [command, ...args] = task.board;
    const qemu = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    await page.exposeFunction("toBoard", (bytes) => void qemu.stdin.write(Uint8Array.from(bytes)));
    await page.addInitScript(() => {
      let controller;
      const port = {
        open: async ({ baudRate }) => {
          globalThis.baud = baudRate;
          port.readable = new ReadableStream({ start: (made) => void (controller = made) });
          port.writable = new WritableStream({ write: (bytes) => globalThis.toBoard(Array.from(bytes)) });
        },
        close: async () => {},
      };
      globalThis.fromBoard = (bytes) => controller?.enqueue(Uint8Array.from(bytes));
      Object.defineProperty(navigator, "serial", { value: { requestPort: async () => port } });
    });
    try {
      await page.goto(site.url);
      let late = Promise.resolve();
      qemu.stdout.on("data", (data) => {
        late = late.then(() => page.evaluate((bytes) => globalThis.fromBoard(bytes), Array.from(data)).catch(() => {}));
      });
      await page.locator("#tab-board").click();
      await page.locator("#connect").click();
      await page.getByText("Connected.", { exact: true }).waitFor();
      assert.equal(await page.evaluate(() => globalThis.baud), 115200);
      // A line that looks like a command is text.
      for (const text of [task.text, `/reset\n${task.text}`]) {
        await page.locator("#text").fill(text);
        await page.locator("#go").click();
        await page.getByText(/tokens read, .* workspace/).first().waitFor();
        assert.deepEqual(await lines(page, "#board-summary"), task.boardSummary);
        await page.locator("#board-status").evaluate((status) => (status.textContent = ""));
      }
      await page.locator("#text").fill(`${task.text}\n`.repeat(50));
      await page.locator("#go").click();
      await page.getByText("The board reads…").waitFor();
      await page.locator("#stop").click();
      await page.getByText("Stopped.").waitFor();
      await page.locator("#disconnect").click();
      await page.getByText("Not connected.").waitFor();
    } finally {
      qemu.kill();
    }
    await page.close();
    pages.pop();
  },

  async "goldens in both builds"() {
    const page = await open();
    await page.goto(`${site.url}checks/blank.html`);
    let runs = 0;
    for (const module of ["scalar", "simd128"]) {
      for (const { name, golden } of task.cases) {
        const report = await page.evaluate(async ([module, name]) => {
          const { conformance } = await import("/checks/checks.js");
          const bytes = async (file) => new Uint8Array(await (await fetch(file)).arrayBuffer());
          return conformance(await bytes(`${module}.wasm`), await bytes(`${name}.case`));
        }, [module, name]);
        assert.ok(report.includes(golden), `${module}, ${name}: ${report}`);
        runs++;
      }
    }
    return `${runs} runs`;
  },

  async "the scalar build says the same"() {
    const [page] = pages;
    const found = await page.evaluate(async (text) => {
      const { load, moduleUrl } = await import("/jamlet.js");
      const jamlet = await load({ image: "pico.jamlet", module: moduleUrl("scalar") });
      return [jamlet.plan.kernels, (await jamlet.summarize(text)).lines.map((line) => line.text)];
    }, task.text);
    assert.deepEqual(found, ["portable", task.summary]);
  },
};

let failed = false;
for (const [name, test] of Object.entries(tests)) {
  const start = performance.now();
  try {
    const said = await test();
    assert.deepEqual(problems, [], "the console has errors or warnings");
    console.log(`${((performance.now() - start) / 1000).toFixed(1).padStart(5)} s  ${name}${said ? `: ${said}` : ""}`);
  } catch (error) {
    failed = true;
    console.log(`FAILED ${name}: ${error.message}`);
    if (task.screenshots) {
      await pages.at(-1)?.screenshot({ path: join(task.screenshots, "failed.png") }).catch(() => {});
    }
    break;
  }
}
await browser.close();
site.stop();
await rm(profile, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
