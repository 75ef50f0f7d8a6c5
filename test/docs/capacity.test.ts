import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { capacityPage, currentCapacityPage } from '../../bench/capacity-page.ts';
import { readCosts } from '../../bench/cost-table.ts';
import { generateTokenOf, insertSeeded } from '../../bench/seed-rows.ts';
import { demandOf, planFor } from '../../bench/simulation/plan.ts';
import type { SimulationReport } from '../../bench/simulation/report.ts';
import { TRAFFIC } from '../../bench/simulation/traffic.ts';
import { openClient } from '../../src/db/postgres-client.ts';
import { build, createPlace, newCredentials, runSql } from '../helper.ts';
import { doorward, runToEnd } from '../support/processes.ts';
import { captures, readPage, snippet } from './pages.ts';

const page = readPage('docs/capacity.md');
const costs = readCosts();
const report = JSON.parse(readFileSync('bench/simulation.json', 'utf8')) as SimulationReport;

test('the tables are made of the measured costs and of the outcomes of the simulation', async (t) => {
  t.equal(currentCapacityPage(), page, 'run `npm run docs`');
  const other = { ...costs, hashMicros: costs.hashMicros * 3 };
  t.not(capacityPage(page, other, report), page, 'other costs, another page');
  t.throws(() => capacityPage('<!-- none -->\n<!-- end -->', costs, report), /unknown part "none"/);
});

test('the outcomes are of these costs, and of the code as it is', async (t) => {
  t.equal(
    report.costsAt,
    costs.at,
    'run `npm run bench:simulate -- --users 10M,100M --json bench/simulation.json`',
  );
  const demand = demandOf(costs, TRAFFIC, report.seed);
  for (const [name, value] of Object.entries(demand)) {
    const stored = report.demand[name as keyof typeof demand];
    t.ok(Math.abs(value / stored - 1) < 0.02, `${name}: ${value}, in the file ${stored}`);
  }
  for (const { dailyUsers, deployment } of report.runs)
    t.same(deployment, planFor(dailyUsers, report.demand, costs, TRAFFIC).deployment);
});

test('the commands of the page work, with smaller numbers', async (t) => {
  const lines = captures(page, /^ {4}npm run (bench:(?:seed|simulate) -- .*)$/gm);
  t.ok(lines.length >= 4, 'the commands were found');
  const place = await createPlace(t);
  for (const line of new Set(lines)) {
    const [script = '', , ...args] = line
      .replaceAll('bench/simulation.json', `${t.testdir()}/out.json`)
      .split(' ');
    const small = args.map((arg) => arg.replace(/^[\d,kM]{3,}$/, script === 'bench:seed' ? '200' : '1k,2k'));
    const file = script === 'bench:seed' ? 'bench/seed.ts' : 'bench/simulation.ts';
    const { code, stdout, stderr } = await runToEnd(place, file, ...small);
    t.equal(code, 0, `${line}: ${stderr}`);
    t.match(stdout, script === 'bench:seed' ? /200 sessions in/ : /daily users \| healthy \|/);
  }
});

test('the server works on partitions of sessions that the SQL of the page makes', async (t) => {
  const place = await createPlace(t);
  const sql = openClient(place.DATABASE_URL, { max: 1 });
  t.teardown(() => sql.end());
  await insertSeeded(sql, {
    firstUser: 0,
    firstSession: 0,
    sessionsOf: new Uint8Array(200).fill(2),
    passwordHash: 'none',
    ages: 'live',
  });
  await sql.unsafe(snippet('docs/capacity.md', 'sql'));
  t.same(await sql`select count(*)::int as count, count(distinct tableoid)::int as parts from sessions`, [
    { count: 400, parts: 16 },
  ]);
  const { code, stderr } = await doorward(place, 'migrate');
  t.equal(code, 0, stderr);
  const { app, advance } = await build(t, {}, place);
  const post = (url: string, cookie: string, payload?: object) =>
    app.inject({ method: 'POST', url, headers: { cookie }, ...(payload && { payload }) });
  const older = `__Host-g_token=${generateTokenOf(7)}`;
  t.equal((await post('/token', older)).statusCode, 200, 'a session from before');
  const credentials = newCredentials();
  const cookieOf = (answer: { cookies: { name: string; value: string }[] }) =>
    `__Host-g_token=${answer.cookies[0]?.value}`;
  const one = cookieOf(await post('/signup', '', credentials));
  const two = cookieOf(await post('/login', '', credentials));
  for (const cookie of [one, two]) t.equal((await post('/token', cookie)).statusCode, 200);
  const list = await app.inject({ url: '/sessions', headers: { cookie: one } });
  t.equal(list.json().sessions.length, 2);
  t.equal((await post('/logout', one)).statusCode, 204);
  t.same([(await post('/token', one)).statusCode, (await post('/token', two)).statusCode], [404, 200]);
  await advance(15 * 86_400_000);
  t.equal((await post('/token', two)).statusCode, 404, 'it has expired');
  await runSql(place.DATABASE_URL, 'delete from users');
  t.same(await sql`select count(*)::int as count from sessions`, [{ count: 0 }], 'users take theirs along');
});
