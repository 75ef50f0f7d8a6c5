/** A process of its own that verifies with the feed, and tells what memory it holds once it knows the whole window. */
import { setTimeout as delay } from 'node:timers/promises';
import { createVerifier } from '../../src/verifier/verifier.ts';
import { untilRefused } from './propagation.ts';

/** @property lastToEnd the token that was revoked last: whoever refuses it knows the window */
export type MemoryOrder = { issuer: string; url: string; audience: string; lastToEnd: string };

/** In bytes. `external` has `arrayBuffers` in it. */
export type HeldMemory = Pick<NodeJS.MemoryUsage, 'external' | 'arrayBuffers'> & {
  heap: number;
  resident: number;
};

/** What was freed goes back to the system a moment later. */
const SETTLED_AFTER_MS = 500;

if (process.env.ORDER !== undefined) await hold(JSON.parse(process.env.ORDER));

async function hold({ issuer, url, audience, lastToEnd }: MemoryOrder): Promise<void> {
  const verifier = createVerifier({
    ...{ issuer, audience, jwksUri: `${url}/.well-known/jwks.json` },
    ...{ revocations: 'stream', revocationsUri: `${url}/revocations` },
  });
  await untilRefused(verifier, lastToEnd, 20);
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc?.();
    await delay(SETTLED_AFTER_MS);
  }
  const { heapUsed, rss, external, arrayBuffers } = process.memoryUsage();
  const held: HeldMemory = { heap: heapUsed, resident: rss, external, arrayBuffers };
  process.stdout.write(JSON.stringify(held));
  await verifier.close();
}
