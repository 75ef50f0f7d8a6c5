import { existsSync } from 'node:fs';
import { test } from 'tap';
import { runToEnd } from './support/processes.ts';

test('what Node compiled is kept for the next start', async (t) => {
  const preload = ['--import', './src/compile-cache.ts'];
  const { code, stderr } = await runToEnd({}, ...preload, 'src/cli.ts', 'settings');
  t.equal(code, 0, stderr);
  t.ok(existsSync('node_modules/.cache/doorward'));
});
