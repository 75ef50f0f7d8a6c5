import { test } from 'tap';
import { readMigrations } from '../../src/db/migrations.ts';
import { createPlace, runSql } from '../helper.ts';
import { shortFolder } from '../support/processes.ts';
import { doorward } from '../support/warm-doorward.ts';
import { startServer } from './server-process.ts';

const NOTHING = { code: 0, stdout: 'Nothing to do: the schema is up to date.\n', stderr: '' };

test('a dry run prints the SQL that is still to run, and changes nothing', async (t) => {
  const place = await createPlace(t);
  t.same(await doorward(place, 'migrate', '--dry-run'), NOTHING);
  await runSql(
    place.DATABASE_URL,
    'delete from drizzle.__drizzle_migrations where created_at = (select max(created_at) from drizzle.__drizzle_migrations)',
  );
  const [newest] = readMigrations().slice(-1);
  const statements = newest?.statements.map((statement) => statement.trim()) ?? [];
  const json = await doorward(place, 'migrate', '--dry-run', '--json');
  t.same(JSON.parse(json.stdout), [{ name: newest?.name, statements }]);
  const { stdout } = await doorward(place, 'migrate', '--dry-run');
  t.equal(
    stdout,
    `-- ${newest?.name}\n${statements.join('\n')}\n\n-- Nothing was changed. \`doorward migrate\` runs this.\n`,
  );
});

test('a dry run asks the embedded server that runs', async (t) => {
  const DATA_DIR = shortFolder(t);
  const server = startServer(t, { DATA_DIR });
  await server.url();
  t.same(await doorward({ DATA_DIR }, 'migrate', '--dry-run'), NOTHING);
  t.equal(await server.end('SIGINT'), 0);
});
