import { Redis } from 'ioredis';
import t from 'tap';
import { runSql } from '../helper.ts';
import { openForge, partOf, strangersKey } from '../support/gateway-tokens.ts';
import {
  type Answer,
  ask,
  bearer,
  eventually,
  mint,
  openWorld,
  signUp,
  type User,
} from '../support/gateway-world.ts';

t.setTimeout(300_000);

/** What a request may carry: each state is wrong in exactly one way. */
const STATES = [
  'good',
  'expired',
  'wrong audience',
  'wrong issuer',
  'wrong typ',
  'revoked',
  'reused',
  'forged',
  'no token',
] as const;
type State = (typeof STATES)[number];

type Kind = 'access token' | 'single-use token' | 'cookie';

type Door = {
  name: string;
  takes: Kind;
  /** Of the service behind it. */
  audience: 'shop' | 'payments';
  enter(headers: Record<string, string>, user: User): Promise<Answer>;
  /** Null: this state does not exist at that door. */
  answers: Record<State, string | null>;
};

const world = await openWorld(t);
const { origin, place, addresses } = world;
const doorward = world.doorward.url;
const forge = await openForge(place);

const INVALID = '401 invalid_token';

const doors: Door[] = [
  {
    name: 'open',
    takes: 'access token',
    audience: 'shop',
    enter: (headers) => ask(`http://${addresses.shop}/catalogue`, { headers }),
    answers: {
      good: '200',
      expired: '200',
      'wrong audience': '200',
      'wrong issuer': '200',
      'wrong typ': '200',
      revoked: '200',
      reused: '200',
      forged: '200',
      'no token': '200',
    },
  },
  {
    name: 'verified',
    takes: 'access token',
    audience: 'shop',
    enter: (headers) => ask(`http://${addresses.shop}/cart`, { headers }),
    answers: {
      good: '200',
      expired: '401 token_expired',
      'wrong audience': '401 audience_mismatch',
      'wrong issuer': '401 issuer_mismatch',
      'wrong typ': '401 type_not_allowed',
      revoked: '401 token_revoked',
      reused: '200',
      forged: '401 signature_invalid',
      'no token': '401 token_missing',
    },
  },
  {
    name: 'verified, maxRevocationLag',
    takes: 'access token',
    audience: 'payments',
    enter: (headers) => ask(`http://${addresses.payments}/total`, { headers }),
    answers: {
      good: '200',
      expired: '401 token_expired',
      'wrong audience': '401 audience_mismatch',
      'wrong issuer': '401 issuer_mismatch',
      'wrong typ': '401 type_not_allowed',
      revoked: '401 token_revoked',
      reused: '200',
      forged: '401 signature_invalid',
      'no token': '401 token_missing',
    },
  },
  {
    name: 'checked',
    takes: 'access token',
    audience: 'payments',
    enter: (headers) => ask(`http://${addresses.payments}/receipts`, { headers }),
    answers: {
      good: '200',
      expired: '401 token_expired',
      'wrong audience': '401 audience_mismatch',
      'wrong issuer': '401 issuer_mismatch',
      'wrong typ': '401 type_not_allowed',
      revoked: '401 token_revoked',
      reused: '200',
      forged: '401 signature_invalid',
      'no token': '401 token_missing',
    },
  },
  {
    name: 'once',
    takes: 'single-use token',
    audience: 'payments',
    enter: (headers, { email }) =>
      ask(`http://${addresses.payments}/buy`, {
        method: 'POST',
        headers,
        json: { email, amount_cents: 100 },
      }),
    answers: {
      good: '200',
      expired: '401 token_expired',
      'wrong audience': '401 audience_mismatch',
      'wrong issuer': '401 issuer_mismatch',
      'wrong typ': '401 type_not_allowed',
      revoked: '401 token_revoked',
      reused: '401 token_inactive',
      forged: '401 signature_invalid',
      'no token': '401 token_missing',
    },
  },
  {
    name: 'forward-auth, token',
    takes: 'access token',
    audience: 'shop',
    enter: forwardAuth('audience=shop'),
    answers: {
      good: '200',
      expired: INVALID,
      'wrong audience': INVALID,
      'wrong issuer': INVALID,
      'wrong typ': INVALID,
      revoked: INVALID,
      reused: '200',
      forged: INVALID,
      'no token': '401 not_signed_in',
    },
  },
  {
    name: 'forward-auth, token, check=session',
    takes: 'access token',
    audience: 'shop',
    enter: forwardAuth('audience=shop&check=session'),
    answers: {
      good: '200',
      expired: INVALID,
      'wrong audience': INVALID,
      'wrong issuer': INVALID,
      'wrong typ': INVALID,
      revoked: INVALID,
      reused: '200',
      forged: INVALID,
      'no token': '401 not_signed_in',
    },
  },
  {
    name: 'forward-auth, cookie',
    takes: 'cookie',
    audience: 'shop',
    enter: forwardAuth('audience=shop'),
    answers: {
      good: '200',
      expired: '401 not_signed_in',
      'wrong audience': null,
      'wrong issuer': null,
      'wrong typ': null,
      revoked: '401 not_signed_in',
      reused: '200',
      forged: '401 not_signed_in',
      'no token': '401 not_signed_in',
    },
  },
];

/** As a gateway asks. */
function forwardAuth(query: string): Door['enter'] {
  return (headers) =>
    ask(`${doorward}/auth/forward-auth?${query}`, {
      headers: { ...headers, 'x-original-method': 'GET', 'x-original-uri': '/cart' },
    });
}

t.test('each door answers each kind of token as the table says', async (t) => {
  const rows: string[] = [];
  for (const door of doors) {
    const cells: string[] = [];
    for (const state of STATES) {
      const expected = door.answers[state];
      const answer = expected === null ? null : await tryDoor(door, state);
      t.equal(answer, expected, `${door.name}, ${state}`);
      cells.push(answer ?? '—');
    }
    rows.push(`| ${[door.name, ...cells].join(' | ')} |`);
  }
  const head = `| ${['Door', ...STATES].join(' | ')} |`;
  t.comment(['', head, `|${'---|'.repeat(STATES.length + 1)}`, ...rows, ''].join('\n'));
});

/** The answer to a new user with just this: the status and, for a refusal, its code. */
async function tryDoor(door: Door, state: State): Promise<string> {
  const user = await signUp(origin, doorward);
  const headers = door.takes === 'cookie' ? await cookieOf(user, state) : await tokenOf(door, user, state);
  const enter = async () => {
    const { status, body } = await door.enter(headers, user);
    return status === 200 ? '200' : `${status} ${JSON.parse(body).code}`;
  };
  if (state === 'reused') await enter();
  // Until the sign-out is heard, a door that asks says `token_inactive`, and one that does not ask lets it pass.
  if (state === 'revoked') await eventually(async () => (await enter()) === door.answers.revoked, door.name);
  return enter();
}

async function tokenOf({ takes, audience }: Door, user: User, state: State): Promise<Record<string, string>> {
  if (state === 'no token') return {};
  const singleUse = takes === 'single-use token';
  // The wrong typ is the right one at another door: a single-use token instead of an access token, or the reverse.
  const wish = { audience, single_use: state === 'wrong typ' ? !singleUse : singleUse };
  const token = await mint(origin, user, wish, doorward);
  if (state === 'revoked') await signOut(user);
  return bearer(await spoil(token, state));
}

/** Signed by the server's own key (except the forged one), so that nothing else is wrong. */
async function spoil(token: string, state: State): Promise<string> {
  const { iat } = partOf(token, 1);
  const anHourAgo = Number(iat) - 3600;
  if (state === 'expired') return forge(token, { claims: { iat: anHourAgo, exp: anHourAgo + 60 } });
  if (state === 'wrong audience') return forge(token, { claims: { aud: 'workshop' } });
  if (state === 'wrong issuer') return forge(token, { claims: { iss: 'http://localhost:1/auth' } });
  if (state === 'forged') return forge(token, { key: strangersKey() });
  return token;
}

t.test(
  'while Doorward is away, the door with maxRevocationLag says that it cannot know, and others go on',
  async (t) => {
    const user = await signUp(origin, doorward);
    const [forShop, forPayments] = [
      bearer(await mint(origin, user, { audience: 'shop' }, doorward)),
      bearer(await mint(origin, user, { audience: 'payments' }, doorward)),
    ];
    const total = () => ask(`http://${addresses.payments}/total`, { headers: forPayments });
    t.equal((await total()).status, 200);
    await world.doorward.stop('SIGTERM');
    await eventually(async () => (await total()).status === 503, 'a refusal for now');
    t.equal((await ask(`http://${addresses.shop}/cart`, { headers: forShop })).status, 200);
  },
);

async function cookieOf(user: User, state: State): Promise<Record<string, string>> {
  if (state === 'no token') return {};
  if (state === 'revoked') await signOut(user);
  if (state === 'expired') await expireSessions(user);
  if (state === 'forged') return { cookie: user.cookie.replace(/=.*/, `=${'A'.repeat(43)}`) };
  return { cookie: user.cookie };
}

async function signOut({ cookie }: User): Promise<void> {
  const { status } = await ask(`${doorward}/auth/logout`, { method: 'POST', headers: { cookie, origin } });
  if (status !== 204) throw new Error(`sign-out failed: ${status}`);
}

/** Directly in the database, because the server's time cannot be moved here. The cache loses its entries. */
async function expireSessions({ id }: User): Promise<void> {
  await runSql(
    place.DATABASE_URL,
    `update sessions set expires_at = now() - interval '1 hour' where user_id = '${id}'`,
  );
  const redis = new Redis(place.REDIS_URL);
  for await (const keys of redis.scanStream({ match: `${place.REDIS_KEY_PREFIX}*` })) {
    if (keys.length > 0) await redis.unlink(...keys);
  }
  redis.disconnect();
}
