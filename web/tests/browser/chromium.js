// Chromium, and pages in it that keep what went wrong.
//
// Invariant: a browser starts with a fresh profile, and ends with its test. Timeouts of waiting end tests that fail;
// nothing that passes depends on them.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

/** How long a page may take for anything that is waited for. */
export const DEADLINE_MS = 120_000;

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Where Chromium is. */
export function executablePath() {
  const directories = (process.env.PATH ?? "").split(delimiter);
  const candidates = NAMES.flatMap((name) => directories.map((directory) => join(directory, name)));
  const path = process.env.UPROAR_CHROMIUM || candidates.find(existsSync);
  assert(path, "there is no Chromium: run web/install.sh");
  return path;
}

/** Starts a browser. */
export function launch() {
  return chromium.launch({ executablePath: executablePath(), args: FLAGS, chromiumSandbox: false });
}

/**
 * A page in a context of its own, that gathers complaints: what the console says as an error, exceptions nobody
 * catches, requests that fail, and what the content security policy forbids.
 */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => complaints.push(`exception: ${error.stack}`));
  page.on("requestfailed", (request) => complaints.push(`request: ${request.url()} ${request.failure()?.errorText}`));
  page.on("response", (answer) => answer.status() >= 400 && complaints.push(`status ${answer.status()}: ${answer.url()}`));
  await page.exposeFunction("reportViolation", (text) => complaints.push(`policy: ${text}`));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      globalThis.reportViolation(`${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  return { page, context, complaints };
}
