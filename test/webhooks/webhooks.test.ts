import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { loadConfig } from '../../src/config/config.ts';
import { runCommand } from '../../src/operator/run-command.ts';
import { buildEmbedded, createPlace, quickSettings, runSql, signUp } from '../helper.ts';
import { eventually } from '../support/adapters.ts';
import { catchWebhooks, newWebhookSecret } from '../support/webhook-catcher.ts';

t.setTimeout(120_000);

t.test('a service learns that a user is new, and gone, and nothing that is secret', async (t) => {
  const catcher = await catchWebhooks(t);
  const next = newWebhookSecret();
  const { app, log } = await buildEmbedded(t, {
    EVENTS_WEBHOOK_URL: catcher.url,
    EVENTS_WEBHOOK_SECRET: `${next} ${catcher.secret}`,
    EVENTS_WEBHOOK_TYPES: '*',
  });
  const caught = (type: string) =>
    eventually(() => {
      const event = catcher.events.find((one) => one.type === type);
      if (event === undefined) throw new Error(`no ${type} yet`);
      return event;
    });

  const { user, password, cookie, token } = await signUp(app);
  const created = await caught('user.created');
  t.match(created.data.user, { id: user.id, email: user.email, email_verified: false, status: 'active' });
  t.match((await caught('audit.account.created')).data, { kind: 'account.created', user_id: user.id });

  const headers = { cookie, 'content-type': 'application/json' };
  const response = await app.inject({ method: 'DELETE', url: '/me', headers, payload: { password } });
  t.equal(response.statusCode, 204);
  const deleted = await caught('user.deleted');
  t.strictSame(deleted.data, { user: { id: user.id } });

  const said = JSON.stringify(catcher.requests) + log();
  for (const secret of [password, token, catcher.secret.slice(6), next.slice(6)])
    t.notOk(said.includes(secret));
  t.notOk(log().includes('in-the-url'), 'the path and the query may be a secret');
  const [{ body, headers: signed }] = catcher.requests as [(typeof catcher.requests)[number]];
  for (const secret of [catcher.secret, next])
    t.ok(new Webhook(secret).verify(body, signed as Record<string, string>), 'verified with either secret');
});

t.test('a receiver that does not answer holds up no request', async (t) => {
  const catcher = await catchWebhooks(t);
  const asked = Promise.withResolvers<void>();
  catcher.answerWith(() => asked.resolve());
  const { app } = await buildEmbedded(t, {
    EVENTS_WEBHOOK_URL: catcher.url,
    EVENTS_WEBHOOK_SECRET: catcher.secret,
  });
  await signUp(app);
  await asked.promise;
  for (let users = 0; users < 12; users += 1) await signUp(app);
  t.equal(
    new Set(catcher.requests.map(({ headers }) => headers['webhook-id'])).size,
    catcher.requests.length,
  );
  t.ok(catcher.requests.length <= 10, 'ten at once, at most');
});

t.test('what a command does is told by a server, and not by the process of the command', async (t) => {
  const catcher = await catchWebhooks(t);
  const place = await createPlace(t);
  const told = { EVENTS_WEBHOOK_URL: catcher.url, EVENTS_WEBHOOK_SECRET: catcher.secret };
  const config = loadConfig({ ...quickSettings, ...place, ...told, EVENTS_WEBHOOK_TYPES: '*' });
  await runCommand(config, 'clients.add', { id: 'shop', audiences: ['api'] });
  const rows = await runSql(
    place.DATABASE_URL,
    "select kind, attempts, payload->>'type' as type from outbox",
  );
  t.strictSame(rows, [{ kind: 'webhook', attempts: 0, type: 'audit.client.added' }]);
  t.same(catcher.requests, []);
});
