import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import t from 'tap';
import type { AuditKind } from '../../src/audit/audit-event.ts';
import { eventTypesOf } from '../../src/webhooks/webhook-event.ts';
import { signatureHeaders } from '../../src/webhooks/webhook-signature.ts';
import { newWebhookSecret } from '../support/webhook-catcher.ts';
import { captures, namesIn, section, snippet } from './pages.ts';

const PAGE = 'docs/webhooks.md';
const run = promisify(execFile);

const [secret, next] = [newWebhookSecret(), newWebhookSecret()];
const keyOf = (text: string) => Buffer.from(text.slice('whsec_'.length), 'base64');
const body = JSON.stringify({ type: 'user.deleted', data: { user: { id: randomUUID() }, name: 'Zoë' } });
const now = Math.floor(Date.now() / 1000);
const message = { id: randomUUID(), timestamp: now, body };
const headers = signatureHeaders(message, [keyOf(next), keyOf(secret)]);

const good = { headers, body };
const bad = [
  { headers, body: `${body} ` },
  { headers: { ...headers, 'webhook-id': randomUUID() }, body },
  { headers: { ...headers, 'webhook-signature': `v1,${randomBytes(32).toString('base64')}` }, body },
  { headers: { ...headers, 'webhook-signature': '' }, body },
  { headers: signatureHeaders({ ...message, timestamp: now - 600 }, [keyOf(secret)]), body },
];

/** What a program says of each message: what it reads, or null for one that it refuses. */
const expected = [JSON.parse(body), ...bad.map(() => null)];

t.test('the code for Node takes what is signed, and nothing else', async (t) => {
  const folder = t.testdir({ 'webhook.mts': snippet(PAGE, 'ts') });
  const { readWebhook } = await import(`${folder}/webhook.mts`);
  const said = [good, ...bad].map((one) => {
    try {
      return readWebhook(one.headers, Buffer.from(one.body), secret);
    } catch {
      return null;
    }
  });
  t.strictSame(said, expected);
  t.throws(() => readWebhook({}, Buffer.from(body), secret));
});

t.test('the code for Python takes what is signed, and nothing else', async (t) => {
  const folder = t.testdir({
    'messages.json': JSON.stringify([good, ...bad]),
    'webhook.py': `${snippet(PAGE, 'python')}
import sys
said = []
for one in json.load(open(sys.argv[1])):
    try:
        said.append(read_webhook(one["headers"], one["body"].encode(), sys.argv[2]))
    except ValueError:
        said.append(None)
print(json.dumps(said))
`,
  });
  const { stdout } = await run('python3', [`${folder}/webhook.py`, `${folder}/messages.json`, secret]);
  t.strictSame(JSON.parse(stdout), expected);
});

t.test('the lines for a shell make the signature', async (t) => {
  const folder = t.testdir({ body });
  const script = `${snippet(PAGE, 'bash')}\nwebhook_signature "$@"`;
  const { stdout } = await run('bash', [
    ...['-c', script, 'bash', message.id, String(now)],
    ...[`${folder}/body`, secret],
  ]);
  t.ok(headers['webhook-signature']?.split(' ').includes(stdout.trim()), stdout);
});

t.test('each act in the table is told as the type that stands before it', async (t) => {
  const rows = captures(section(PAGE, 'What is told'), /^(\| `user\..*)$/gm);
  t.ok(rows.length >= 7, 'the rows were found');
  for (const row of rows) {
    const [type = ''] = namesIn(row);
    const acts = captures(row.split('|').at(-2) ?? '', /`([^`]+)`/g) as AuditKind[];
    t.ok(acts.length > 0, type);
    for (const kind of acts) t.match(eventTypesOf({ kind }), [type, `audit.${kind}`]);
  }
});
