import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { tryToInstall } from '../../support/debian-package.ts';
import { takeChildrenAlong } from '../../support/servers.ts';

type Teardown = { teardown(undo: () => unknown): void };

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const START_WITHIN_MS = 60_000;
const ARGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

/**
 * A browser for one test, closed when the test ends: `TEST_CHROMIUM`, otherwise the first one on PATH, otherwise (on
 * Debian, as root) one that is installed first.
 *
 * @throws Error that says what to install or to set
 */
export async function launchChromium(
  t: Teardown,
  options: { backForwardCache?: boolean } = {},
): Promise<Browser> {
  takeChildrenAlong();
  const browser = await chromium.launch({
    executablePath: findChromium() ?? (await installChromium()),
    args: ARGS,
    timeout: START_WITHIN_MS,
    // `takeChildrenAlong` is enough, and lets a signal end this process.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    ...(options.backForwardCache && { ignoreDefaultArgs: ['--disable-back-forward-cache'] }),
  });
  t.teardown(() => browser.close());
  return browser;
}

function findChromium(): string | undefined {
  if (process.env.TEST_CHROMIUM) return process.env.TEST_CHROMIUM;
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  return folders
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
}

async function installChromium(): Promise<string> {
  const failure = await tryToInstall('chromium');
  const found = findChromium();
  if (found) return found;
  throw new Error(
    'The tests need Chromium, and there is none on PATH. Install it (Debian: apt-get install chromium), or set ' +
      'TEST_CHROMIUM to the path of a Chrome or Chromium.',
    { cause: failure },
  );
}
