import { randomUUID } from 'node:crypto';
import t from 'tap';
import { createPlace, quickSettings, runSql } from '../helper.ts';
import { doorward } from '../support/warm-doorward.ts';

t.setTimeout(120_000);

t.test('operators see what was given up, let it be tried again, or delete it', async (t) => {
  const place = await createPlace(t);
  const settings = { ...quickSettings, ...place };
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await doorward(settings, 'outbox', ...args);
    return { code, stdout, stderr };
  };
  t.same(await run('list'), { code: 0, stdout: 'Everything has been delivered.\n', stderr: '' });

  const [waiting, one, two, three] = [1, 2, 3, 4].map(() => randomUUID());
  await runSql(
    place.DATABASE_URL,
    `insert into outbox (id, kind, payload) values ('${waiting}', 'mail', '"a secret"')`,
  );
  t.match(
    (await run('list')).stdout,
    /^KIND {2}WAITING {2}OLDEST +DEAD\nmail {2}1 {8}\d{4}-\S+Z {2}0\n$/,
    'no table of dead ones while there are none',
  );
  for (const id of [one, two, three]) {
    await runSql(
      place.DATABASE_URL,
      `insert into outbox (id, kind, payload, attempts, dead_at, last_error)
        values ('${id}', 'mail', '"a secret"', 10, now(), 'EAUTH')`,
    );
  }
  const listed = await run('list');
  t.match(listed.stdout, /^DEAD MESSAGE +KIND +ATTEMPTS +WRITTEN +DEAD SINCE +LAST ERROR$/m);
  t.match(listed.stdout, new RegExp(`^${one} {2}mail {2}10 +\\S+Z {2}\\S+Z {2}EAUTH$`, 'm'));
  t.notMatch(listed.stdout, 'secret');
  t.match(JSON.parse((await run('list', '--json')).stdout), {
    lanes: [{ kind: 'mail', waiting: 1, dead: 3 }],
  });

  t.same(await run('drop', String(one)), { code: 0, stdout: `Deleted: ${one}\n`, stderr: '' });
  t.match(await run('drop', String(one)), {
    code: 1,
    stdout: '',
    stderr: `There is no dead message ${one}.\n`,
  });
  t.same(await run('retry', String(two)), { code: 0, stdout: 'To be tried again: 1\n', stderr: '' });
  t.same(JSON.parse((await run('retry', '--all', '--json')).stdout), { retried: 1 });

  for (const args of [['retry'], ['retry', String(two), '--all']]) {
    const { code, stderr } = await run(...args);
    t.equal(code, 1);
    t.match(stderr, /Name one message, or say --all\.\n$/);
  }
  await runSql(
    place.DATABASE_URL,
    `delete from outbox; insert into outbox (id, kind, payload, dead_at) values ('${one}', 'mail', '1', now())`,
  );
  const unexplained = (await run('list')).stdout;
  t.match(unexplained, /^mail {2}0 {8} {8}1$/m, 'none waits, so there is no oldest');
  t.match(unexplained, new RegExp(`^${one} {2}mail {2}0 +\\S+Z {2}\\S+Z$`, 'm'), 'no error was kept');

  t.match(await run('drop', 'x'), { code: 1, stderr: 'id: "x" is not the id of a message\n' });
});
