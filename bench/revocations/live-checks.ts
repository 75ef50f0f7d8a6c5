/** G3: whether anybody who is signed in is refused, among millions, and whether anybody is passed who is not. */
import { hashOfId } from '../../src/db/revocation-log.ts';
import { messageOf } from '../../src/revocations/feed-message.ts';
import { createRevocationFeed, type RevocationFeed } from '../../src/revocations/revocation-feed.ts';
import type { Revocation } from '../../src/revocations/revocation-part.ts';
import { readMessage } from '../../src/verifier/revocation-message.ts';
import { createRevokedTokens } from '../../src/verifier/revoked-tokens.ts';
import type { TokenClaims } from '../../src/verifier/token-claims.ts';
import type { Finding } from './finding.ts';

export type LiveCheckPlan = { entries: number; checks: number };
type Check = (claims: TokenClaims, kid: string) => boolean | Promise<boolean>;

const KID = 'a key that is good';
const NOW = Date.UTC(2026, 0, 1);
const SECONDS = NOW / 1000;
/** Of each twenty entries, the number of this one is a user whose claims changed; all others are sessions. */
const USER_EVERY = 20;
const VERSION = 3;

/**
 * The window of a replica, and what a verifier makes of the messages that the replica sends. Among the living are users
 * whose claims changed before they got their tokens, and all have a client that had others revoked.
 */
export async function measureLiveChecks({ entries, checks }: LiveCheckPlan): Promise<Finding[]> {
  const feed = await openFeed(Array.from({ length: entries }, (_, at) => entryOf(at)));
  const verifier = await follow(feed);
  const finding = async (what: string, isRevoked: Check): Promise<Finding[]> => [
    { goal: 'G3', what: `${what}: live sessions refused`, ...(await count(checks, liveOf, isRevoked, true)) },
    { goal: 'G3', what: `${what}: revoked ones passed`, ...(await count(entries, deadOf, isRevoked, false)) },
  ];
  const findings = [
    ...(await finding('verifier', verifier.isRevoked)),
    ...(await finding('replica', feed.isRevoked)),
  ];
  await feed.close();
  return findings;
}

async function count(total: number, claimsOf: (at: number) => TokenClaims, isRevoked: Check, wrong: boolean) {
  let found = 0;
  for (let at = 0; at < total; at += 1) {
    if ((await isRevoked(claimsOf(at), KID)) === wrong) found += 1;
  }
  return { most: 0, found, unit: `of ${total}` };
}

function entryOf(at: number): Revocation {
  const seq = at + 1;
  if (at === 0) return { seq, kind: 'client', subject: hashOfId('shop'), value: SECONDS - 1, revokedAt: NOW };
  if (at % USER_EVERY === 0)
    return { seq, kind: 'user', subject: hashOfId(`user ${at}`), value: VERSION, revokedAt: NOW };
  return { seq, kind: 'session', subject: hashOfId(`ended ${at}`), value: null, revokedAt: NOW };
}

/** The token of a session that lives. */
function liveOf(at: number): TokenClaims {
  return claimsOf({ sub: `user ${at}`, sid: `live ${at}`, jti: `live ${at}`, cv: VERSION });
}

/** The token that an entry voids. */
function deadOf(at: number): TokenClaims {
  const claims = claimsOf({ sub: `user ${at}`, sid: `ended ${at}`, jti: `dead ${at}`, cv: VERSION - 1 });
  return at === 0 ? { ...claims, iat: SECONDS - 1 } : claims;
}

function claimsOf(own: Pick<TokenClaims, 'sub' | 'jti'> & { sid: string; cv: number }): TokenClaims {
  const iss = 'https://auth.example.com';
  return { iss, aud: 'api', client_id: 'shop', iat: SECONDS, exp: SECONDS + 1800, scope: '', ...own };
}

/** A feed that has read these rows. */
async function openFeed(rows: Revocation[]): Promise<RevocationFeed> {
  const feed = createRevocationFeed({
    store: {
      look: async () => ({ epoch: 'bench', readAt: NOW, hasUnnumbered: false, head: rows.length }),
      list: async (seq, limit) => rows.slice(seq, seq + limit),
      number: async () => 0,
    },
    windowMs: 1_920_000,
    now: () => NOW,
  });
  await feed.start();
  return feed;
}

/** What a verifier holds that has read the feed to its end. */
async function follow(feed: RevocationFeed) {
  const held = createRevokedTokens(() => performance.now());
  let isOver = false;
  while (!isOver) {
    const part = await feed.answer(held.cursor());
    held.take(readMessage(messageOf(part)));
    isOver = !part.more;
  }
  return held;
}
