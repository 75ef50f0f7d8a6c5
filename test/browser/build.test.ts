import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parseSync } from 'oxc-parser';
import { test } from 'tap';
import { buildModule } from './support/built-module.ts';

const LIMIT_BYTES = 3.25 * 1024;

test('`@doorward/browser` is one file under 3.25 kB gzipped', async (t) => {
  const folder = join(await buildModule(t), 'packages/browser/dist');
  for (const [name, limitBytes] of [
    ['index.js', LIMIT_BYTES],
    ['react.js', 300],
  ] as const) {
    const source = await readFile(join(folder, name), 'utf8');
    const { staticImports, dynamicImports } = parseSync(name, source).module;
    t.same([staticImports, dynamicImports], [[], []], 'and loads nothing else');
    const { length } = gzipSync(source, { level: 9 });
    t.comment(`${name}: ${length} bytes gzipped, ${source.length} plain`);
    t.ok(length < limitBytes, `${name}: ${length} bytes`);
  }
});
