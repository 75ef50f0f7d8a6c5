import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import { createPlace } from '../helper.ts';
import { freePort } from '../support/free-port.ts';
import { startServer } from '../support/processes.ts';
import { doorward } from '../support/warm-doorward.ts';
import { captures, pages, readPage } from './pages.ts';

t.setTimeout(300_000);

/** `npx doorward …` with its options, as the pages have it; without the comment behind it. */
const COMMAND_LINE = /npx doorward ([^`\n]*?)(?=`|\n| {2,}#)/g;
/** A command in a text, as in "`doorward keys list`". */
const MENTION =
  /(?<!npx )\bdoorward (settings|migrate|doctor|backup|restore|(?:keys|clients|outbox|sessions|mail|users|roles) [a-z-]+)/g;

/** `test/e2e/backup-cli.test.ts` and `test/operator/mail-cli.test.ts` run these. */
const FOR_EMBEDDED = /^(backup|restore|mail) /;

const commandLines = [...new Set(pages.flatMap((page) => captures(readPage(page), COMMAND_LINE)))].filter(
  (line) => !FOR_EMBEDDED.test(line),
);

t.test('every command line for operators works beside a running server', async (t) => {
  t.ok(commandLines.length > 10, 'the command lines were found');
  const port = await freePort();
  const place = {
    ...(await createPlace(t)),
    ...{ PORT: String(port), PUBLIC_URL: `http://localhost:${port}`, AUDIENCES: 'api,shop,payments' },
    SMTP_URL: 'smtp://127.0.0.1:1025',
  };
  const server = await startServer(t, place);
  for (const line of commandLines) {
    const args = await fillIn(line);
    const { code, stdout, stderr } = await doorward(place, ...args);
    t.equal(code, 0, `${line}: ${stderr}`);
    t.not(stdout, '', line);
  }
  await server.stop();

  /** The placeholders, and values for them. */
  async function fillIn(line: string): Promise<string[]> {
    const words = line.trim().split(' ');
    const values: Record<string, string> = {
      FILE: publicKeyFile(),
      ...(words.includes('KID') && { KID: await activeKid() }),
    };
    return words.map((word) => values[word] ?? word);
  }

  async function activeKid(): Promise<string> {
    const { stdout } = await doorward(place, 'keys', 'list', '--json');
    const keys = JSON.parse(stdout) as { kid: string; status: string }[];
    return keys.find(({ status }) => status === 'active')?.kid ?? '';
  }
});

t.test('every command that a text speaks of is there', async (t) => {
  const mentions = [...new Set(pages.flatMap((page) => captures(readPage(page), MENTION)))];
  t.ok(mentions.length > 2, 'mentions were found');
  for (const mention of mentions) {
    const { code, stdout } = await doorward({}, ...mention.split(' '), '--help');
    t.equal(code, 0, mention);
    t.match(stdout, `Usage: doorward ${mention}`);
  }
});

function publicKeyFile(): string {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256' };
  return join(t.testdir({ 'public.json': JSON.stringify(jwk) }), 'public.json');
}
