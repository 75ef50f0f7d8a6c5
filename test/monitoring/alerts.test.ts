/** The alert rules under promtool, which evaluates them over made-up series. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { findOrInstall, start } from '../support/gateway-program.ts';

const RULES = 'k8s/components/monitoring/prometheus-rule.yaml';
const JOB = 'job="doorward",instance="one"';
const REQUESTS = 'doorward_http_request_duration_seconds';
const LOOK_UPS = 'doorward_session_lookups_total';

type Rule = {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; description: string; runbook_url: string };
};
const { spec } = parse(readFileSync(RULES, 'utf8')) as {
  spec: { groups: { name: string; rules: Rule[] }[] };
};
const rules = spec.groups.flatMap((group) => group.rules);

/** What each minute of an hour brings, as promtool writes it: start, step, times. */
const ofToken = `${JOB},method="POST",route="/auth/token"`;
const healthy: Record<string, string> = {
  [`up{${JOB}}`]: '1x60',
  [`${REQUESTS}_count{${ofToken},code="200"}`]: '0+60000x60',
  [`${REQUESTS}_count{${ofToken},code="404"}`]: '0+30000x60',
  [`${REQUESTS}_count{${JOB},method="GET",route="/health/ready",code="503"}`]: '0+6000x60',
  [`${REQUESTS}_bucket{${ofToken},code="200",le="0.25"}`]: '0+60000x60',
  [`${REQUESTS}_bucket{${ofToken},code="200",le="0.5"}`]: '0+60000x60',
  [`${REQUESTS}_bucket{${ofToken},code="200",le="+Inf"}`]: '0+60000x60',
  // Another route, whose slowness is another matter.
  [`${REQUESTS}_bucket{${JOB},method="POST",route="/oauth/token",code="200",le="0.25"}`]: '0x60',
  [`${REQUESTS}_bucket{${JOB},method="POST",route="/oauth/token",code="200",le="+Inf"}`]: '0+900000x60',
  [`nodejs_eventloop_lag_p99_seconds{${JOB}}`]: '0.02x60',
  [`doorward_breaker_open{${JOB},part="database"}`]: '0x60',
  [`doorward_breaker_open{${JOB},part="redis"}`]: '0x60',
  [`doorward_database_pool_waiting{${JOB}}`]: '0x60',
  [`${LOOK_UPS}{${JOB},result="hit"}`]: '0+60000x60',
  [`${LOOK_UPS}{${JOB},result="miss"}`]: '0+30000x60',
  [`doorward_signing_key_next_rotation_seconds{${JOB}}`]: '9000-60x60',
  [`doorward_signing_key_unconfirmed_seconds{${JOB}}`]: '2x60',
  [`doorward_signing_keys{${JOB},status="untrusted"}`]: '0x60',
  [`doorward_outbox_oldest_seconds{${JOB},lane="sessions_ended"}`]: '1x60',
  [`doorward_outbox_oldest_seconds{${JOB},lane="mail"}`]: '500x60',
  [`doorward_revocation_feed_age_seconds{${JOB}}`]: '0.3x60',
  [`doorward_outbox_dead{${JOB},lane="mail"}`]: '0x60',
  [`doorward_password_hashes_refused_total{${JOB}}`]: '0x60',
  [`doorward_sign_ins_total{${JOB},result="ok"}`]: '0+120x60',
  [`doorward_sign_ins_total{${JOB},result="invalid_credentials"}`]: '0+240x60',
};

/** What is different, and the alerts that this must raise. A series that is undefined is missing. */
const cases: { alerts: string[]; changes: Record<string, string | undefined> }[] = [
  { alerts: [], changes: {} },
  { alerts: ['DoorwardDown'], changes: { [`up{${JOB}}`]: '1x20 0x40' } },
  { alerts: [], changes: { [`up{${JOB}}`]: '1x59 0x1' } },
  { alerts: ['DoorwardAbsent'], changes: { [`up{${JOB}}`]: undefined } },
  { alerts: ['DoorwardErrors'], changes: { [`${REQUESTS}_count{${ofToken},code="503"}`]: '0+2000x60' } },
  { alerts: [], changes: { [`${REQUESTS}_count{${ofToken},code="503"}`]: '0+600x60' } },
  {
    alerts: ['DoorwardTokensSlow'],
    changes: { [`${REQUESTS}_bucket{${ofToken},code="200",le="0.25"}`]: '0+50000x60' },
  },
  { alerts: ['DoorwardEventLoopSlow'], changes: { [`nodejs_eventloop_lag_p99_seconds{${JOB}}`]: '0.3x60' } },
  {
    alerts: ['DoorwardDatabaseAway'],
    changes: { [`doorward_breaker_open{${JOB},part="database"}`]: '0x50 1x10' },
  },
  { alerts: ['DoorwardRedisAway'], changes: { [`doorward_breaker_open{${JOB},part="redis"}`]: '0x50 1x10' } },
  { alerts: ['DoorwardPoolExhausted'], changes: { [`doorward_database_pool_waiting{${JOB}}`]: '3x60' } },
  { alerts: ['DoorwardCacheMisses'], changes: { [`${LOOK_UPS}{${JOB},result="miss"}`]: '0+90000x60' } },
  {
    // Too few look-ups to say anything.
    alerts: [],
    changes: {
      [`${LOOK_UPS}{${JOB},result="hit"}`]: '0+1x60',
      [`${LOOK_UPS}{${JOB},result="miss"}`]: '0+9x60',
    },
  },
  {
    alerts: ['DoorwardKeyRotationLate'],
    changes: { [`doorward_signing_key_next_rotation_seconds{${JOB}}`]: '1000-60x60' },
  },
  {
    alerts: ['DoorwardKeysUnconfirmed'],
    changes: { [`doorward_signing_key_unconfirmed_seconds{${JOB}}`]: '0+60x60' },
  },
  {
    alerts: ['DoorwardKeyUntrusted'],
    changes: { [`doorward_signing_keys{${JOB},status="untrusted"}`]: '1x60' },
  },
  {
    alerts: ['DoorwardRevocationsLate'],
    changes: { [`doorward_outbox_oldest_seconds{${JOB},lane="sessions_ended"}`]: '0+60x60' },
  },
  {
    alerts: ['DoorwardRevocationFeedLate'],
    changes: { [`doorward_revocation_feed_age_seconds{${JOB}}`]: '0+60x60' },
  },
  { alerts: ['DoorwardMessagesDead'], changes: { [`doorward_outbox_dead{${JOB},lane="mail"}`]: '1x60' } },
  {
    alerts: ['DoorwardPasswordsRefused'],
    changes: { [`doorward_password_hashes_refused_total{${JOB}}`]: '0+5x60' },
  },
  {
    alerts: ['DoorwardPasswordsGuessed'],
    changes: { [`doorward_sign_ins_total{${JOB},result="invalid_credentials"}`]: '0+900x60' },
  },
];

const program = { name: 'promtool', binary: 'promtool', debianPackage: 'prometheus' };

t.test('promtool accepts the rules, and each alert fires when it must and at no other time', async (t) => {
  const promtool = await findOrInstall(program);
  const folder = t.testdir({ 'rules.json': JSON.stringify(spec) });
  const check = start(t, promtool, ['check', 'rules', join(folder, 'rules.json')]);
  t.equal(await check.ended, 0, check.output());
  t.match(check.output(), `${rules.length} rules found`);

  const tests = cases.map(({ alerts, changes }) => ({
    interval: '1m',
    input_series: Object.entries({ ...healthy, ...changes })
      .filter(([, values]) => values !== undefined)
      .map(([series, values]) => ({ series, values })),
    promql_expr_test: [
      {
        expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
        eval_time: '60m',
        exp_samples: alerts.map((alert) => ({ labels: `{alertname="${alert}"}`, value: 1 })),
      },
    ],
  }));
  const file = join(folder, 'test.json');
  writeFileSync(file, JSON.stringify({ rule_files: ['rules.json'], evaluation_interval: '1m', tests }));
  const run = start(t, promtool, ['test', 'rules', file]);
  t.equal(await run.ended, 0, run.output());
});

t.test('each alert has a case above, a severity, and a runbook in the documentation', async (t) => {
  const page = readFileSync('docs/monitoring.md', 'utf8');
  t.same(
    rules.map(({ alert }) => alert).filter((alert) => !cases.some(({ alerts }) => alerts.includes(alert))),
    [],
    'without a case',
  );
  for (const { alert, labels, annotations } of rules) {
    t.ok(['critical', 'warning'].includes(labels.severity), alert);
    t.equal(annotations.runbook_url, `docs/monitoring.md#${alert.toLowerCase()}`);
    const [, runbook = ''] = page.split(`\n### ${alert}\n`);
    t.ok((runbook.split('\n#')[0] ?? '').trim().length > 100, `${alert} has a runbook`);
  }
  const sections = [...page.matchAll(/^### (Doorward\w+)$/gm)].map(([, name]) => name);
  t.same(
    sections,
    rules.map(({ alert }) => alert),
    'and no other alert has one',
  );
});
