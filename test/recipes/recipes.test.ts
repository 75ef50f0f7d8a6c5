import { setTimeout } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { captures, section } from '../docs/pages.ts';
import { type Answer, ask, bearer, eventually } from '../support/gateway-world.ts';
import { pythonNames, startPython } from './support/python-services.ts';
import { codeOfPage, compileRecipes, type RecipeService, startRecipe } from './support/recipe-services.ts';
import { mintAll, openRecipeWorld } from './support/recipe-world.ts';

t.setTimeout(300_000);

/** Pages in docs/protect-a-service with a whole service for Node, in the order of the table in its README. */
const names = [
  'express',
  'hono',
  'hono-jose',
  'next',
  'nestjs',
  'fast-jwt',
  'jsonwebtoken',
  'express-oauth2-jwt-bearer',
];

/** What a stack answers, by column of the table. */
type Row = Record<string, string>;

const world = await openRecipeWorld(t);
const tokens = await mintAll(world);
const compiled = await compileRecipes(t, Object.fromEntries(names.map((name) => [name, codeOfPage(name)])));
const stacks = await Promise.all(
  [...names, ...pythonNames].map(async (name) => {
    const { issuer } = world;
    const isPython = pythonNames.includes(name);
    const { url, service } = await (isPython
      ? startPython(t, name, issuer)
      : startRecipe(t, { compiled, name, issuer }));
    return { name, url: `${url}/cart`, service, row: {} as Row };
  }),
);

/** The one of our own package. */
const [ours = { url: '' }] = stacks;

/** Runs for every stack, one after the other. */
async function eachStack(t: Test, check: (t: Test, stack: (typeof stacks)[number]) => Promise<void>) {
  for (const stack of stacks) await t.test(stack.name, (t) => check(t, stack));
}

t.test('says that the keys are out of reach, as its row in the table does', async (t) => {
  await eachStack(t, async (t, { url, row }) => {
    world.answerKeys('cut');
    const cut = await ask(url, { headers: bearer(tokens.good['for this service']) });
    world.answerKeys('bad gateway');
    const refused = await ask(url, { headers: bearer(tokens.good['for this service']) });
    t.equal(cut.status, refused.status);
    row['keys out of reach'] = String(refused.status);
  });
  world.answerKeys('served');
});

t.test('goes on when the keys are back, after a pause at most', async (t) => {
  await eachStack(t, async (t, { url, service }) => {
    const again = await delayUntil(200, () => statusOf(url, tokens.good['for this service']), service);
    t.match(again, /^(at once|within 30 s)$/);
  });
});

for (const [kind, token] of Object.entries(tokens.good)) {
  t.test(`takes a token ${kind}, and knows the user`, async (t) => {
    await eachStack(t, async (t, { url, row }) => {
      const { status, body } = await ask(url, { headers: bearer(token) });
      t.equal(status, 200);
      t.same(JSON.parse(body), { cartOf: world.userId });
      row['good token'] = String(status);
    });
  });
}

for (const [kind, token] of Object.entries(tokens.bad)) {
  t.test(`refuses a token: ${kind}`, async (t) => {
    await eachStack(t, async (t, { url, row }) => {
      const answer = await ask(url, { headers: bearer(token) });
      t.equal(answer.status, 401);
      t.match(challengeOf(answer), /^Bearer .*error="invalid_token"/);
      row[kind] = String(answer.status);
    });
  });
}

t.test('asks for a token where there is none', async (t) => {
  await eachStack(t, async (t, { url }) => {
    const answer = await ask(url);
    t.equal(answer.status, 401);
    t.match(challengeOf(answer), /^Bearer/);
    t.notMatch(challengeOf(answer), /invalid_token/, 'a page that gets this need not fetch another token');
  });
});

/** The stacks that follow the revocations of Doorward. */
const followers = ['express'];

t.test('sees that the user has signed out if it follows the revocations, and only then', async (t) => {
  t.equal((await world.signOut()).statusCode, 204);
  const token = tokens.good['for this service'];
  await eachStack(t, async (t, { name, url, row }) => {
    const isFollower = followers.includes(name);
    if (isFollower) await eventually(async () => (await statusOf(url, token)) === 401, 'the revocation');
    const status = await statusOf(url, token);
    t.equal(status, isFollower ? 401 : 200, 'as its page says');
    row['signed out'] = String(status);
  });
});

t.test('takes the tokens of a key that was replaced at once, without a restart', async (t) => {
  await world.replaceKey({ revoke: false });
  const renewed = await world.mintForNewUser();
  await Promise.all(
    stacks.map(async ({ url, service, row }) => {
      row['new key'] = await delayUntil(200, () => statusOf(url, renewed), service);
    }),
  );
  t.same(withNever('new key'), []);
});

t.test('refuses the tokens of a key that was revoked, without a restart', async (t) => {
  const token = await world.mintForNewUser();
  await eachStack(t, async (t, { url }) => {
    t.equal(await statusOf(url, token), 200);
  });
  await world.replaceKey({ revoke: true });
  // By the feed: its clock, by which it would look for the keys, stands still.
  await eventually(async () => (await statusOf(ours.url, token)) === 401, 'the refusal of our own');
  await Promise.all(
    stacks.map(async ({ name, url, service, row }) => {
      // By the clock of the service, which stands still, no time passes until it comes.
      if (followers.includes(name))
        await eventually(async () => (await statusOf(url, token)) === 401, 'the revocation of the key');
      row['revoked key'] = await delayUntil(401, () => statusOf(url, token), service);
    }),
  );
  t.same(withNever('revoked key'), []);
});

t.test('the table in the page has what was measured', async (t) => {
  t.same(
    rowsOf(section('docs/protect-a-service/README.md', 'What a stock library sees')),
    stacks.map(({ name, row }) => [name, ...columns.map((column) => row[column])]),
  );
});

const columns = [
  ...['good token', 'wrong audience', 'single-use', 'expired', 'signed out', 'keys out of reach'],
  ...['new key', 'revoked key'],
];

/** What the signals to a service add to its clock. */
const steps = { SIGUSR2: 'within 30 s', SIGHUP: 'within 10 min' } as const;

/** How soon a service answers with this status, by its own clock. */
async function delayUntil(
  status: number,
  answer: () => Promise<number>,
  { pid }: RecipeService['service'],
): Promise<string> {
  if ((await answer()) === status) return 'at once';
  for (const [signal, delay] of Object.entries(steps)) {
    process.kill(pid, signal);
    // The signal takes a moment.
    for (let tries = 0; tries < 40; tries += 1) {
      if ((await answer()) === status) return delay;
      await setTimeout(25);
    }
  }
  return 'never';
}

/** The stacks that never did it. */
function withNever(column: string): string[] {
  return stacks.filter(({ row }) => row[column] === 'never').map(({ name }) => name);
}

async function statusOf(url: string, token: string): Promise<number> {
  return (await ask(url, { headers: bearer(token) })).status;
}

/** The cells of each row, with the name of the linked page in place of the first. */
function rowsOf(text: string): string[][] {
  return captures(text, /^\| \[.*?\]\((.*) \|$/gm).map((row) =>
    row.replace(/\.md\).*?(?= \|)/, '').split(' | '),
  );
}

function challengeOf({ headers }: Answer): string {
  return headers.get('www-authenticate') ?? '';
}
