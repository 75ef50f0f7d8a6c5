/** Who may connect to whom, by the policies of each overlay. */
import { test } from 'tap';
import { mayConnect, type Place, podOf, selects } from './network.ts';
import { type Manifest, parseManifests, renderOverlay, renderWith } from './rendering.ts';

const [dev, production, services] = await Promise.all(['dev', 'production', 'services'].map(renderOverlay));
if (!dev || !production || !services) throw new Error('an overlay is missing');

const podIn = (namespace: string): Place => ({ namespace, labels: {}, ports: {} });
const dns: Place = { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, ports: {} };
const outside: Place = { address: '8.8.8.8' };

test('in the dev overlay, Doorward and its migration reach PostgreSQL, Redis, mail and DNS, and nothing else', async (t) => {
  for (const name of ['doorward', 'doorward-migrate']) {
    const from = podOf(dev, name);
    t.equal(mayConnect(dev, from, podOf(dev, 'postgres'), 5432), true, `${name} PostgreSQL`);
    t.equal(mayConnect(dev, from, podOf(dev, 'redis'), 6379), true, `${name} Redis`);
    t.equal(mayConnect(dev, from, podOf(dev, 'mail'), 1025), true, `${name} mail`);
    t.equal(mayConnect(dev, from, dns, 53, 'UDP'), true, `${name} DNS`);
    t.equal(mayConnect(dev, from, dns, 53), true, `${name} DNS by TCP`);
    t.equal(mayConnect(dev, from, podOf(dev, 'postgres'), 22), false, 'another port');
    t.equal(mayConnect(dev, from, outside, 443), false, 'the internet');
    t.equal(mayConnect(dev, from, podIn('gateway-system'), 80), false, 'another namespace');
  }
});

test('PostgreSQL, Redis and the catcher for mails connect to nothing, and take connections from Doorward alone', async (t) => {
  for (const [name, port] of [
    ['postgres', 5432],
    ['redis', 6379],
    ['mail', 1025],
  ] as const) {
    for (const place of [outside, dns, podOf(dev, 'doorward')])
      t.equal(mayConnect(dev, podOf(dev, name), place, 53), false, `${name} to ${JSON.stringify(place)}`);
    for (const place of [podIn('doorward'), podIn('gateway-system'), podIn('monitoring'), outside])
      t.equal(mayConnect(dev, place, podOf(dev, name), port), false, `${JSON.stringify(place)} to ${name}`);
  }
});

for (const [overlay, objects] of Object.entries({ dev, production, services }))
  test(`in the overlay ${overlay}, the gateway reaches the server, monitoring its metrics, and others neither`, async (t) => {
    const server = podOf(objects, 'doorward');
    const ways: [string, number, boolean][] = [
      ['gateway-system', 3000, true],
      ['gateway-system', 9464, false],
      ['monitoring', 9464, true],
      ['monitoring', 3000, false],
      ['default', 3000, false],
      ['doorward', 3000, false],
    ];
    for (const [namespace, port, is] of ways)
      t.equal(mayConnect(objects, podIn(namespace), server, port), is, `${namespace} ${port}`);
    t.equal(mayConnect(objects, outside, server, 3000), false, 'outside');
    t.equal(mayConnect(objects, podIn('gateway-system'), podOf(objects, 'doorward-migrate'), 3000), false);
  });

test('in production Doorward reaches PostgreSQL, Redis, mail and DNS by their addresses, and no more', async (t) => {
  for (const name of ['doorward', 'doorward-migrate']) {
    const from = podOf(production, name);
    const ways: [Place, number, boolean][] = [
      [{ address: '192.0.2.10' }, 5432, true],
      [{ address: '192.0.2.10' }, 6379, false],
      [{ address: '192.0.2.11' }, 5432, false],
      [{ address: '198.51.100.20' }, 6379, true],
      [{ address: '203.0.113.30' }, 587, true],
      [outside, 443, false],
      [outside, 53, false],
    ];
    for (const [to, port, is] of ways)
      t.equal(mayConnect(production, from, to, port), is, `${name} ${JSON.stringify(to)} ${port}`);
    t.equal(mayConnect(production, from, dns, 53, 'UDP'), true);
  }
});

test('shop and payments reach the key set of Doorward, and have no route to the database', async (t) => {
  for (const name of ['shop', 'payments']) {
    const from = podOf(services, name);
    t.equal(mayConnect(services, from, podOf(services, 'doorward'), 3000), true, `${name} to Doorward`);
    t.equal(mayConnect(services, from, dns, 53, 'UDP'), true, `${name} to DNS`);
    t.equal(mayConnect(services, from, podOf(services, 'doorward'), 9464), false, `${name} to the metrics`);
    for (const to of ['postgres', 'redis', 'doorward-migrate', 'shop', 'payments'])
      for (const port of [3000, 4001, 4002, 5432, 6379])
        t.equal(mayConnect(services, from, podOf(services, to), port), false, `${name} to ${to} ${port}`);
    t.equal(mayConnect(services, from, outside, 5432), false, `${name} to the internet`);
    t.equal(mayConnect(services, podIn('gateway-system'), from, name === 'shop' ? 4001 : 4002), true);
    t.equal(mayConnect(services, podIn('default'), from, name === 'shop' ? 4001 : 4002), false);
  }
});

test('both sides close the way to the database: one policy less does not open it, two do', async (t) => {
  const without = (...gone: [namespace: string, name: string][]): Manifest[] =>
    services.filter(
      ({ kind, metadata }) =>
        kind !== 'NetworkPolicy' ||
        !gone.some(([namespace, name]) => metadata.namespace === namespace && metadata.name === name),
    );
  const isOpen = (objects: Manifest[]) =>
    mayConnect(objects, podOf(objects, 'shop'), podOf(objects, 'postgres'), 5432);
  const ofServices: [string, string][] = [
    ['services', 'default-deny'],
    ['services', 'services'],
  ];
  const ofDatabase: [string, string][] = [
    ['doorward', 'default-deny'],
    ['doorward', 'postgres'],
  ];
  t.equal(isOpen(without(...ofServices)), false);
  t.equal(isOpen(without(...ofDatabase)), false);
  t.equal(isOpen(without(...ofServices, ...ofDatabase)), true, 'so this test would see a way');
});

const policies = (spec: object) =>
  parseManifests(
    JSON.stringify({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'any', namespace: 'a' },
      spec,
    }),
  );
const a: Place = { namespace: 'a', labels: { app: 'a' }, ports: { http: 80 } };

test('policies are read as Kubernetes defines them', async (t) => {
  const all = { podSelector: {} };
  t.equal(mayConnect(policies(all), podIn('b'), a, 80), false, 'Ingress is the default type');
  t.equal(mayConnect(policies(all), a, podIn('b'), 80), true, 'and Egress is not');
  t.equal(
    mayConnect(policies({ ...all, egress: [] }), a, podIn('b'), 80),
    false,
    'unless there are rules of it',
  );
  t.equal(mayConnect(policies({ ...all, ingress: [{}] }), outside, a, 80), true, 'an empty rule has all');
  const named = { ...all, ingress: [{ ports: [{ port: 'http' }] }] };
  t.equal(mayConnect(policies(named), podIn('b'), a, 80), true, 'a port by its name');
  t.equal(mayConnect(policies(named), podIn('b'), a, 81), false);
  const range = { ...all, ingress: [{ ports: [{ port: 80, endPort: 90 }] }] };
  t.same(
    [79, 80, 90, 91].map((port) => mayConnect(policies(range), podIn('b'), a, port)),
    [false, true, true, false],
  );
  t.equal(mayConnect(policies(range), podIn('b'), a, 85, 'UDP'), false, 'TCP is the default');
  const own = { ...all, ingress: [{ from: [{ podSelector: {} }] }] };
  t.same(
    [podIn('a'), podIn('b')].map((from) => mayConnect(policies(own), from, a, 80)),
    [true, false],
  );
  const block = {
    ...all,
    ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }] }],
  };
  const addresses = ['10.2.0.1', '10.1.0.1', '11.0.0.1'].map((address) => ({ address }));
  t.same(
    addresses.map((from) => mayConnect(policies(block), from, a, 80)),
    [true, false, false],
  );
  t.equal(mayConnect(policies(block), podIn('b'), a, 80), false, 'a block has no pods');
});

test('label selectors are read as Kubernetes defines them', async (t) => {
  const by = (operator: string, values?: string[]) => (labels: Record<string, string>) =>
    selects({ matchExpressions: [{ key: 'app', operator, ...(values && { values }) }] }, labels);
  const cases = [{ app: 'a' }, { app: 'b' }, {}];
  t.same(cases.map(by('In', ['a'])), [true, false, false]);
  t.same(cases.map(by('NotIn', ['a'])), [false, true, true]);
  t.same(cases.map(by('Exists')), [true, true, false]);
  t.same(cases.map(by('DoesNotExist')), [false, false, true]);
});

test('with the component tracing, Doorward reaches the collector too, and no other port there', async (t) => {
  const objects = await renderWith(t, 'tracing', 'services');
  const ways = (all: Manifest[]) =>
    [4318, 443].map((port) => mayConnect(all, podOf(all, 'doorward'), podIn('observability'), port));
  t.same(ways(objects), [true, false]);
  t.same(ways(services), [false, false]);
});

test('with the component webhooks, the server reaches public addresses, and nothing more of the cluster', async (t) => {
  const objects = await renderWith(t, 'webhooks', 'services');
  const ways = (all: Manifest[], from: string) =>
    [
      [outside, 443],
      [outside, 80],
      [{ address: '2606:4700::1' }, 443],
      [{ address: 'fd00::1' }, 443],
      [{ address: '10.96.0.1' }, 443],
      [{ address: '169.254.169.254' }, 443],
      [podIn('kube-system'), 443],
    ].map(([to, port]) => mayConnect(all, podOf(all, from), to as Place, port as number));
  t.same(ways(objects, 'doorward'), [true, false, true, false, false, false, false]);
  t.notOk(ways(objects, 'doorward-migrate').includes(true));
  t.notOk(ways(services, 'doorward').includes(true));
});
