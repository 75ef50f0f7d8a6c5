/** The page on the audit has all kinds, and each is written somewhere. */
import { globSync, readFileSync } from 'node:fs';
import t from 'tap';
import { section } from './pages.ts';

const union = /export type AuditKind =([^;]*);/.exec(readFileSync('src/audit/audit-event.ts', 'utf8'));
const kinds = [...String(union?.[1]).matchAll(/'([a-z_.]+)'/g)].map(([, kind = '']) => kind);

t.test('the page has a row for each kind of event', async (t) => {
  const rows = section('docs/operators.md', 'Audit').matchAll(/^\| `([a-z_]+\.[a-z_]+)` \|/gm);
  t.ok(kinds.length > 30);
  t.strictSame([...rows].map(([, kind]) => kind).sort(), kinds.toSorted());
});

t.test('each kind is written by something', async (t) => {
  const sources = globSync('src/**/*.ts')
    .filter((path) => !path.endsWith('audit-event.ts'))
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
  t.strictSame(
    kinds.filter((kind) => !sources.includes(`'${kind}'`)),
    [],
  );
});
