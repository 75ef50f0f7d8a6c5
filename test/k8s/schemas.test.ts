/** Every object that the overlays and components make, against the API's own schemas. */
import { type Test, test } from 'tap';
import {
  components,
  idOf,
  type Manifest,
  overlays,
  parseManifests,
  renderOverlay,
  renderWith,
} from './rendering.ts';
import { complaintsOf } from './schemas.ts';

const counts = new Map<string, number>();

async function complaints(objects: Manifest[]): Promise<string[]> {
  const found = await Promise.all(
    objects.map(async (object) =>
      (await complaintsOf(object)).map((complaint) => `${idOf(object)}: ${complaint}`),
    ),
  );
  return found.flat();
}

async function areAsTheApiHasThem(t: Test, objects: Manifest[]): Promise<void> {
  t.ok(objects.length > 5, 'there are objects');
  t.same(await complaints(objects), []);
  for (const { kind } of objects) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const ids = objects.map(idOf);
  t.same(ids, [...new Set(ids)], 'no two have one name');
}

for (const overlay of overlays)
  test(`every object of the overlay ${overlay} is as the API has it`, async (t) =>
    areAsTheApiHasThem(t, await renderOverlay(overlay)));

for (const component of components)
  test(`so is every object of the component ${component}`, async (t) =>
    areAsTheApiHasThem(t, await renderWith(t, component, 'services')));

test('the kinds and numbers of the objects', async (t) => {
  const sorted = [...counts].toSorted(([one], [other]) => one.localeCompare(other));
  t.comment(sorted.map(([kind, count]) => `${kind} ${count}`).join(', '));
  for (const kind of [
    'Deployment',
    'Job',
    'HTTPRoute',
    'Ingress',
    'Middleware',
    'NetworkPolicy',
    'HorizontalPodAutoscaler',
  ])
    t.ok(counts.has(kind), kind);
});

/** An object in which each kind of slip can be made. */
const DEPLOYMENT = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: doorward, labels: { any/label: goes } }
spec:
  selector: { matchLabels: { any: label } }
  template:
    metadata: { labels: { any: label }, annotations: { any/annotation: goes } }
    spec:
      nodeSelector: { any: label }
      containers:
        - { name: first, image: first }
        - name: second
          image: second
          resources: { limits: { memory: 1Mi, nvidia.com/gpu: 1 } }
          livenessProbe: { httpGet: { path: /, port: http } }
          env: [{ name: ANY, valueFrom: { secretKeyRef: { name: any, key: any } } }]
`;

const SLIPS: [what: string, from: string, to: string, complaint: RegExp][] = [
  ['a misspelt probe', 'livenessProbe', 'livenesProbe', /containers\/1\/livenesProbe is unknown/],
  ['a misspelt field of a probe', 'httpGet', 'httpget', /livenessProbe\/httpget is unknown/],
  ['a misspelt field in a list', 'secretKeyRef', 'secretRef', /env\/0\/valueFrom\/secretRef is unknown/],
  ['a misspelt field at the top', 'spec:', 'specs:', /^\/specs is unknown/],
  [
    'a field at a wrong place',
    '{ name: first',
    '{ hostNetwork: true, name: first',
    /0\/hostNetwork is unknown/,
  ],
  ['a value of a wrong type', 'port: http', 'port: [http]', /httpGet\/port/],
  ['a wrong amount', 'memory: 1Mi', 'memory: 1 Mi', /limits\/memory/],
  ['a missing field', 'selector:', 'selektor:', /selector/],
  ['a kind that does not exist', 'kind: Deployment', 'kind: Deploiment', /apps\/v1 has no Deploiment/],
  ['a version that does not exist', 'apps/v1', 'apps/v1beta9', /apps\/v1beta9 has no Deployment/],
  ['a group that none of the packages has', 'apps/v1', 'Example.com/v1', /has no Deployment/],
];

test('what a schema has as a free map may have any key', async (t) => {
  t.same(await complaints(parseManifests(DEPLOYMENT)), []);
});

for (const [what, from, to, complaint] of SLIPS)
  test(`${what} is found`, async (t) => {
    const [found = ''] = (
      await Promise.all(parseManifests(DEPLOYMENT.replace(from, to)).map(complaintsOf))
    ).flat();
    t.match(found, complaint);
  });

const ROUTE = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  rules:
    - filters:
        - type: ExternalAuth
          externalAuth: { protocol: HTTP, backendRef: { name: doorward, port: 3000 }, http: { path: /forward-auth } }
`;

test('of filters, the experimental ExternalAuth is known as well, but no other and no slip in it', async (t) => {
  t.same(await complaints(parseManifests(ROUTE)), []);
  for (const [from, to] of [
    ['type: ExternalAuth', 'type: ExternalAut'],
    ['externalAuth:', 'externalauth:'],
    ['protocol: HTTP', 'protocol: FTP'],
    ['http: { path', 'http: { paht'],
    ['name: doorward,', ''],
  ] as const)
    t.not((await complaints(parseManifests(ROUTE.replace(from, to)))).length, 0, to);
});

test('slips are found in the objects of others too', async (t) => {
  const middleware = (name: string) =>
    `{ apiVersion: traefik.io/v1alpha1, kind: Middleware, metadata: { name: a }, spec: { forwardAuth: { ${name}: [] } } }`;
  const monitor = (name: string) =>
    `{ apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: { name: a }, spec: { selector: {}, endpoints: [{ ${name}: http }] } }`;
  for (const [good, bad] of [
    [middleware('authResponseHeaders'), middleware('authResponseHeader')],
    [monitor('port'), monitor('prot')],
  ] as const) {
    t.same(await complaints(parseManifests(good)), []);
    t.match(await complaints(parseManifests(bad)), [/is unknown/]);
  }
});
