/** `npm run bench:startup`: from the start of the process until `/health/ready` answers 200, with existing data. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPlace } from './place.ts';
import { startMeasured } from './processes.ts';
import { median } from './report.ts';

const STARTS = 7;
const flags = ['--import', './src/compile-cache.ts'];

const place = await createPlace();
const folder = mkdtempSync(join(tmpdir(), 'doorward-'));
try {
  const embedded = { PORT: '0', DRAIN_DELAY: '0s', DATA_DIR: join(folder, 'data') };
  await show('PostgreSQL and Redis', place.settings);
  await show('embedded', embedded);
} finally {
  await place.close();
  rmSync(folder, { recursive: true, force: true });
}

async function show(name: string, settings: Record<string, string>): Promise<void> {
  const first = await start(settings);
  const later = [];
  for (let at = 0; at < STARTS; at += 1) later.push(await start(settings));
  const [tookMs, rssMb] = [
    median(later.map((one) => one.tookMs)),
    median(later.map((one) => one.residentMb)),
  ];
  process.stdout.write(
    `${name.padEnd(22)} ready in ${tookMs.toFixed(0)} ms with existing data (median of ${STARTS}), ` +
      `${first.tookMs.toFixed(0)} ms the first time; RSS ${rssMb.toFixed(0)} MB\n`,
  );
}

async function start(settings: Record<string, string>): Promise<{ tookMs: number; residentMb: number }> {
  const startedAt = performance.now();
  const server = await startMeasured('src/server.ts', settings, { flags, pinned: false });
  try {
    const { status } = await fetch(`${server.url}/health/ready`);
    if (status !== 200) throw new Error(`/health/ready answers ${status}`);
    return { tookMs: performance.now() - startedAt, residentMb: server.residentMb() };
  } finally {
    await server.stop('SIGINT');
  }
}
