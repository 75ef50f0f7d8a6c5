import { test } from 'tap';
import { build, createPlace, signUp } from '../helper.ts';
import { addClient, mintToken, postForm } from '../support/clients.ts';

const settings = { AUDIENCES: 'payments' };
const TOKENS = 20;
const TRIES = 50;

test('of 50 redemptions at once over three replicas one wins, each time', async (t) => {
  const place = await createPlace(t);
  const replicas = await Promise.all([1, 2, 3].map(() => build(t, settings, place)));
  const { authorization } = await addClient(place, settings);
  const [first] = replicas;
  if (first === undefined) throw new Error('no replica');
  const { cookie } = await signUp(first.app);
  for (let round = 0; round < TOKENS; round += 1) {
    const token = await mintToken(first.app, cookie, { single_use: true, audience: 'payments' });
    const answers = await Promise.all(
      Array.from({ length: TRIES }, (_, at) => {
        const { app } = replicas[at % replicas.length] ?? first;
        return postForm(app, '/oauth/introspect', { token }, { authorization, 'idempotency-key': `${at}` });
      }),
    );
    t.ok(answers.every(({ statusCode }) => statusCode === 200));
    t.equal(answers.filter((answer) => answer.json().active).length, 1, `round ${round}`);
    const winner = answers.findIndex((answer) => answer.json().active);
    const again = await Promise.all(
      replicas.map(({ app }) =>
        postForm(app, '/oauth/introspect', { token }, { authorization, 'idempotency-key': `${winner}` }),
      ),
    );
    t.ok(
      again.every((answer) => answer.json().active),
      'and may repeat it at each of them',
    );
  }
});
