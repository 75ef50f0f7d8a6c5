import { test } from 'tap';
import { build, createPlace, signUp } from '../helper.ts';
import { doorward } from '../support/warm-doorward.ts';

test('all users are signed out at every server; who comes back stays', async (t) => {
  const place = await createPlace(t);
  const [one, other] = [await build(t, {}, place), await build(t, {}, place)];
  const tokenAt = async ({ app }: typeof one, cookie: string) =>
    (await app.inject({ method: 'POST', url: '/token', headers: { cookie } })).statusCode;
  const users = [await signUp(one.app), await signUp(other.app)];
  for (const { cookie } of users) t.equal(await tokenAt(other, cookie), 200);
  t.match(await doorward(place, 'sessions', 'end'), {
    code: 1,
    stdout: '',
    stderr: 'Say --all: this signs out all users.\n',
  });
  const ended = await doorward(place, 'sessions', 'end', '--all');
  t.same(ended, { code: 0, stdout: 'Sessions that were ended: 2\n', stderr: '' });
  for (const { cookie } of users)
    for (const server of [one, other]) t.equal(await tokenAt(server, cookie), 404);
  const { cookie } = await signUp(one.app);
  t.equal(await tokenAt(other, cookie), 200);
  t.same(JSON.parse((await doorward(place, 'sessions', 'end', '--all', '--json')).stdout), { ended: 1 });
});
