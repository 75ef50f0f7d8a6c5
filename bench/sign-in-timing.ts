/**
 * `npm run bench:sign-in`: whether the time of a refused sign-in tells what is stored: wrong passwords for accounts with
 * hashes of other strengths than the settings, and unknown addresses, in turn.
 */
import { hashSync } from '@node-rs/argon2';
import { createPlace } from './place.ts';
import { median } from './report.ts';

const PAIRS = Number(process.argv[2] ?? 2_000);
/** Argon2id cost of the stored hash; the settings are the default, 19456 KiB and 2 passes. */
const STORED = {
  'as the settings': { memoryCost: 19_456, timeCost: 2, parallelism: 1 },
  'much weaker': { memoryCost: 7_168, timeCost: 1, parallelism: 1 },
  'another OWASP row': { memoryCost: 7_168, timeCost: 5, parallelism: 1 },
  stronger: { memoryCost: 47_104, timeCost: 2, parallelism: 1 },
};

const place = await createPlace();
try {
  for (const [name, cost] of Object.entries(STORED)) await show(name, cost);
} finally {
  await place.close();
}

/** On a server of its own, which has met no other strength. */
async function show(name: string, cost: (typeof STORED)[keyof typeof STORED]): Promise<void> {
  const server = await place.startServer({}, { pinned: false });
  const email = `${cost.memoryCost}-${cost.timeCost}@bench.example`;
  const phc = hashSync('the right password', cost);
  await place.sql`insert into users (id, email, email_as_typed, password_hash)
                  values (gen_random_uuid(), ${email}, ${email}, ${phc})`;
  const times: { known: number[]; unknown: number[] } = { known: [], unknown: [] };
  for (let at = 0; at < PAIRS; at += 1) {
    times.unknown.push(await refusal(server.url, `unknown-${at}@bench.example`));
    times.known.push(await refusal(server.url, email));
  }
  await server.stop();
  const [known, unknown] = [median(times.known), median(times.unknown)];
  process.stdout.write(
    `${name.padEnd(20)} account ${known.toFixed(2)} ms, unknown address ${unknown.toFixed(2)} ms, ` +
      `difference ${(known - unknown).toFixed(2)} ms (medians of ${PAIRS} pairs)\n`,
  );
}

async function refusal(url: string, email: string): Promise<number> {
  const startedAt = performance.now();
  const response = await fetch(`${url}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password: 'another password' }),
  });
  await response.text();
  if (response.status !== 401) throw new Error(`/login answers ${response.status}`);
  return performance.now() - startedAt;
}
