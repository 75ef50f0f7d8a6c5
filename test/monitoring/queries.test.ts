/** The dashboard and the alerts ask only for metrics and labels that a server has. */
import { globSync, readFileSync } from 'node:fs';
import t from 'tap';
import { parse } from 'yaml';
import { channels, tell } from '../../src/core/channels.ts';
import { operations, traced } from '../../src/core/trace-channels.ts';
import { expose } from '../../src/metrics/exposition.ts';
import { openMetrics } from '../../src/metrics/open-metrics.ts';
import { namesIn, section } from '../docs/pages.ts';
import { fakeState } from '../support/metrics.ts';

const PAGE = 'docs/monitoring.md';
/** What Prometheus adds to each line. */
const TARGET_LABELS = ['job', 'instance', 'pod', 'namespace'];

type Panel = { title: string; targets?: { expr: string; legendFormat: string }[] };
const dashboard = JSON.parse(readFileSync('k8s/components/monitoring/dashboard.json', 'utf8')) as {
  panels: Panel[];
  templating: { list: { name: string; query: string }[] };
};
const targets = dashboard.panels.flatMap((panel) => panel.targets ?? []);
const { spec } = parse(readFileSync('k8s/components/monitoring/prometheus-rule.yaml', 'utf8')) as {
  spec: { groups: { rules: { expr: string }[] }[] };
};
const alerts = spec.groups.flatMap(({ rules }) => rules.map(({ expr }) => expr));

/** Every metric, with its labels, of a server in which everything has happened once. */
async function readMetrics() {
  const metrics = openMetrics({ version: '1' });
  t.teardown(metrics.close);
  metrics.watch(fakeState());
  tell(channels.request, { method: 'POST', route: '/token', status: 200, durationMs: 1, traceId: undefined });
  tell(channels.unreadableRequest, { status: 400 });
  const delivery = { kind: 'sessions_ended', attempts: 1, durationMs: 1, ageMs: 1 };
  tell(channels.delivery, { ...delivery, outcome: 'delivered' });
  await traced(operations.database, 'sessions.findAll', async () => {});
  await traced(operations.redis, 'get', async () => {});
  return metrics.read();
}

const snapshot = await readMetrics();
const { text } = await expose([snapshot]);
const labelsByMetric = new Map<string, Set<string>>([['up', new Set()]]);
// Also what has no line yet, such as a collection of garbage.
for (const { name, type } of snapshot) {
  const names = type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name];
  for (const each of names) labelsByMetric.set(each, new Set());
}
for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
  const known = labelsByMetric.get(name) ?? new Set();
  for (const [, label = ''] of labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)) known.add(label);
  labelsByMetric.set(name, known);
}

/** What is wrong with a query: a metric, or a label of it, that does not exist. */
function complaints(expr: string): string[] {
  const selectors = [...expr.matchAll(/\b([a-z_]\w*)\{([^}]*)\}/g)];
  const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, names = '']) => names.split(', '));
  const names = selectors.map(([, name = '']) => name);
  const bare = expr.replaceAll(/"[^"]*"/g, '').match(/\b(?:doorward|nodejs|process)_\w+/g) ?? [];
  const known = new Set([
    ...TARGET_LABELS,
    ...names.flatMap((name) => [...(labelsByMetric.get(name) ?? [])]),
  ]);
  return [
    ...bare.filter((name) => !names.includes(name)).map((name) => `${name} has no selector`),
    ...names.filter((name) => !labelsByMetric.has(name)),
    ...selectors.flatMap(([, name = '', matchers = '']) =>
      [...matchers.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)]
        .map(([, label = '']) => label)
        .filter((label) => ![...TARGET_LABELS, ...(labelsByMetric.get(name) ?? [])].includes(label))
        .map((label) => `${name} has no label ${label}`),
    ),
    ...grouped.filter((label) => !known.has(label)).map((label) => `by (${label})`),
  ];
}

t.test('every query of the dashboard and of the alerts names metrics and labels that exist', async (t) => {
  t.ok(targets.length > 40, 'the queries were found');
  t.ok(alerts.length > 10, 'the alerts were found');
  for (const expr of [...targets.map((target) => target.expr), ...alerts]) t.same(complaints(expr), [], expr);
  for (const { expr, legendFormat } of targets) {
    const legend = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label);
    t.ok(
      legend.every((label) => new RegExp(`\\b${label}\\b`).test(expr)),
      legendFormat,
    );
  }
  for (const { name, query } of dashboard.templating.list.slice(1))
    t.ok(labelsByMetric.has(/label_values\((\w+)/.exec(query)?.[1] ?? ''), name);
});

t.test('a query that is wrong would be noticed', async (t) => {
  t.same(complaints('sum(rate(doorward_tokens{job="doorward"}[5m]))'), ['doorward_tokens']);
  t.same(complaints('doorward_tokens_total{route="/"}'), ['doorward_tokens_total has no label route']);
  t.same(complaints('sum by (audience) (doorward_tokens_total{job="doorward"})'), ['by (audience)']);
  t.same(complaints('doorward_tokens_total'), ['doorward_tokens_total has no selector']);
});

t.test('the dashboard shows every metric of ours', async (t) => {
  const shown = targets.map(({ expr }) => expr).join('\n');
  t.same(
    ourNames().filter((name) => !shown.includes(name)),
    [],
  );
});

t.test('the page has a row for each metric of ours, with its type and its labels', async (t) => {
  const rows = section(PAGE, 'The metrics').matchAll(/^\| `(doorward_\w+)` \| (\w+) \|([^|]*)\|/gm);
  t.same(
    [...rows].map(([, name = '', type, labels = '']) => [
      name,
      type,
      [...labels.matchAll(/`(\w+)`/g)].map(([, l]) => l),
    ]),
    snapshot
      .filter(({ name }) => name.startsWith('doorward_'))
      .map(({ name, type }) => [name, type, labelsOf(name)])
      .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
  );
});

t.test('the page names all channels', async (t) => {
  t.same(
    namesIn(section(PAGE, 'Channels')).toSorted(),
    [...Object.values(channels).map(({ name }) => String(name))].toSorted(),
  );
});

t.test('the component holds each file that it names', async (t) => {
  const files = globSync('*', { cwd: 'k8s/components/monitoring' });
  const component = readFileSync('k8s/components/monitoring/kustomization.yaml', 'utf8');
  t.same(
    files.filter((file) => file !== 'kustomization.yaml' && !component.includes(file)),
    [],
  );
});

function ourNames(): string[] {
  return snapshot.map(({ name }) => name).filter((name) => name.startsWith('doorward_'));
}

function labelsOf(metric: string): string[] {
  const names = [...labelsByMetric].filter(([name]) => name.replace(/_(bucket|sum|count)$/, '') === metric);
  return [...new Set(names.flatMap(([, labels]) => [...labels]))]
    .filter((label) => label !== 'le')
    .toSorted();
}
