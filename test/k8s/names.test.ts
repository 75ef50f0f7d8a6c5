/** Each variable, port, path and command in the manifests and in docker-compose.yml exists in the program that gets it. */
import { readFileSync } from 'node:fs';
import { HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute';
import { ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor';
import { Middleware } from '@kubernetes-models/traefik/traefik.io/v1alpha1/Middleware';
import { Ingress } from 'kubernetes-models/networking.k8s.io/v1/Ingress';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { Service } from 'kubernetes-models/v1/Service';
import t, { type Test, test } from 'tap';
import { buildEmbedded } from '../helper.ts';
import { composeServices, servicesOf } from './compose.ts';
import { selects } from './network.ts';
import { complaintOf, hasPath, portOf, type Started, variablesOf } from './programs.ts';
import { components, idOf, type Manifest, overlays, renderOverlay, renderWith } from './rendering.ts';
import { environmentOf, getWorkload, type Workload, workloadsOf } from './workloads.ts';

const { app } = await buildEmbedded(t, { AUDIENCES: 'shop,payments' });

const rendered: [name: string, objects: Manifest[]][] = [];
for (const overlay of overlays) rendered.push([overlay, await renderOverlay(overlay)]);
for (const component of components)
  rendered.push([`services with ${component}`, await renderWith(t, component, 'services')]);

const startedBy = (objects: Manifest[], workload: Workload): Started => {
  const [container] = workload.pod.containers;
  const environment = environmentOf(objects, workload);
  return { image: container?.image ?? '', command: container?.command ?? [], environment };
};

/** The variables that the program does not know. */
function unknownVariables(container: Started): string[] {
  const known = variablesOf(container);
  return known === null ? [] : Object.keys(container.environment).filter((name) => !known.includes(name));
}

const isOurs = (container: Started) => variablesOf(container) !== null;

type Ports = { name?: string; containerPort: number }[];
const portsOf = ({ pod }: Workload): Ports => pod.containers.flatMap(({ ports = [] }) => ports);
const hasPort = (workload: Workload, port: string | number) =>
  portsOf(workload).some(({ name, containerPort }) => port === name || port === containerPort);

/** What stands behind a Service. */
function backendsOf(objects: Manifest[], service: Manifest): Workload[] {
  const { spec } = service as Manifest & { spec: { selector: Record<string, string> } };
  return workloadsOf(objects).filter(
    ({ namespace, labels }) =>
      namespace === service.metadata.namespace && selects({ matchLabels: spec.selector }, labels),
  );
}

function serviceHasPort(
  objects: Manifest[],
  name: string,
  namespace: string | undefined,
  port: string | number,
) {
  const services = objects.filter((object) => Service.is(object));
  const found = services.find(({ metadata }) => metadata?.name === name && metadata.namespace === namespace);
  return (found?.spec?.ports ?? []).some((each) => each.port === port || each.name === port);
}

for (const [name, objects] of rendered) {
  test(`${name}: programs know their variables, and their commands exist`, async (t) => {
    const containers = workloadsOf(objects).map((workload) => startedBy(objects, workload));
    t.ok(containers.filter(isOurs).length >= 2, 'programs of ours are there');
    for (const container of containers.filter(isOurs)) {
      t.same(unknownVariables(container), [], container.image);
      if (container.command.length > 0) t.equal(await complaintOf(container), undefined);
    }
  });

  test(`${name}: containers name the ports on which their programs listen`, (t) => {
    for (const workload of workloadsOf(objects)) {
      const container = startedBy(objects, workload);
      const { METRICS_PORT } = container.environment;
      const port = portOf(container);
      if (port === null || workload.kind === 'Job') continue;
      const expected = [port, ...(METRICS_PORT === undefined ? [] : [Number(METRICS_PORT)])];
      t.same(
        portsOf(workload).map(({ containerPort }) => containerPort),
        expected,
        workload.id,
      );
    }
    t.end();
  });

  test(`${name}: probes ask for paths and ports that exist`, (t) => {
    for (const workload of workloadsOf(objects))
      for (const { startupProbe, livenessProbe, readinessProbe } of workload.pod.containers)
        for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
          const { path = '' } = probe?.httpGet ?? {};
          const port = (probe?.httpGet ?? probe?.tcpSocket)?.port ?? '';
          if (port !== '') t.ok(hasPort(workload, port), `${workload.id} ${port}`);
          if (path !== '') t.ok(hasPath(app, startedBy(objects, workload), path), `${workload.id} ${path}`);
        }
    t.end();
  });

  test(`${name}: Services lead to ports of pods, routes and the Ingress to Services, and policies name ports`, (t) => {
    for (const service of objects.filter(({ kind }) => kind === 'Service')) {
      const backends = backendsOf(objects, service);
      t.equal(backends.length, 1, `${idOf(service)} has pods of one workload`);
      for (const { targetPort = '' } of (Service.is(service) && service.spec?.ports) || [])
        for (const backend of backends) t.ok(hasPort(backend, targetPort), `${idOf(service)} ${targetPort}`);
    }
    for (const route of objects.filter((object) => HTTPRoute.is(object)))
      for (const { backendRefs = [], filters = [] } of route.spec.rules ?? [])
        for (const ref of [
          ...backendRefs,
          ...filters.flatMap(({ externalAuth }) => externalAuth?.backendRef ?? []),
        ])
          t.ok(
            serviceHasPort(objects, ref.name, ref.namespace ?? route.metadata?.namespace, ref.port ?? 0),
            `${route.metadata?.name} to ${ref.name}`,
          );
    for (const { metadata, spec } of objects.filter((object) => Ingress.is(object)))
      for (const { backend } of spec?.rules?.flatMap(({ http }) => http?.paths ?? []) ?? []) {
        const { name = '', port } = backend.service ?? {};
        t.ok(serviceHasPort(objects, name, metadata?.namespace, port?.name ?? port?.number ?? 0), name);
      }
    for (const { metadata, spec } of objects.filter((object) => ServiceMonitor.is(object)))
      for (const { port = '' } of spec.endpoints) {
        const monitored = objects.filter(
          (object) => Service.is(object) && selects(spec.selector, object.metadata?.labels ?? {}),
        );
        const names = monitored.map((service) => service.metadata.name);
        t.same(names, ['doorward'], `${metadata?.name} is about the server`);
        t.ok(serviceHasPort(objects, 'doorward', 'doorward', port), `${metadata?.name} ${port}`);
      }
    for (const policy of objects.filter((object) => NetworkPolicy.is(object)))
      for (const { port } of policy.spec?.ingress?.flatMap(({ ports = [] }) => ports) ?? [])
        t.ok(
          workloadsOf(objects).some(
            (workload) =>
              workload.namespace === policy.metadata?.namespace &&
              selects(policy.spec?.podSelector, workload.labels) &&
              hasPort(workload, port ?? ''),
          ),
          `${policy.metadata?.name} ${port}`,
        );
    t.end();
  });
}

const objectsOf = (name: string) => rendered.find(([each]) => each === name)?.[1] ?? [];

test('the entrance is at the host of PUBLIC_URL', async (t) => {
  const production = objectsOf('production');
  const { PUBLIC_URL = '' } = environmentOf(production, getWorkload(production, 'doorward'));
  const [route] = production.filter((object) => HTTPRoute.is(object));
  t.same(route?.spec.hostnames, [new URL(PUBLIC_URL).hostname]);
  const [ingress] = objectsOf('services with ingress').filter((object) => Ingress.is(object));
  t.same(
    ingress?.spec?.rules?.map(({ host }) => host),
    route?.spec.hostnames,
  );
  t.same(
    ingress?.spec?.tls?.flatMap(({ hosts }) => hosts),
    route?.spec.hostnames,
  );
});

test('services fetch the key set from the Service of Doorward, and believe its issuer', async (t) => {
  const services = objectsOf('services');
  const { PUBLIC_URL, AUDIENCES = '' } = environmentOf(services, getWorkload(services, 'doorward'));
  for (const name of ['shop', 'payments']) {
    const { DOORWARD_URL, DOORWARD_INTERNAL_URL = '' } = environmentOf(services, getWorkload(services, name));
    t.equal(DOORWARD_URL, PUBLIC_URL);
    const { hostname, port, pathname } = new URL(DOORWARD_INTERNAL_URL);
    const [service = '', namespace] = hostname.replace(/\.svc\.cluster\.local$/, '').split('.');
    t.ok(serviceHasPort(services, service, namespace, Number(port)));
    t.equal(pathname, '/', 'Doorward has no prefix here');
    t.ok(AUDIENCES.split(',').includes(name));
  }
  t.ok(app.hasRoute({ method: 'GET', url: '/.well-known/jwks.json' }));
});

async function asks(t: Test, path: string): Promise<void> {
  const answer = await app.inject({ url: path });
  t.equal(answer.statusCode, 401, `${path} is asked rightly: ${answer.body}`);
}

test('Traefik and the ExternalAuth filter ask /forward-auth as it wants to be asked, and pass on what it answers', async (t) => {
  const [middleware] = objectsOf('services with traefik').filter((object) => Middleware.is(object));
  const { address = '', authResponseHeaders = [] } = middleware?.spec?.forwardAuth ?? {};
  const url = new URL(address);
  await asks(t, `${url.pathname}${url.search}`);
  const services = objectsOf('services');
  const [service = '', namespace] = url.hostname.split('.');
  t.ok(serviceHasPort(services, service, namespace, Number(url.port)));

  const [shop] = objectsOf('services with external-auth').filter(
    (object) => HTTPRoute.is(object) && object.metadata?.name === 'shop',
  );
  const filters = (HTTPRoute.is(shop) && shop.spec.rules?.[0]?.filters) || [];
  const { path = '', allowedResponseHeaders = [] } = filters[0]?.externalAuth?.http ?? {};
  // The gateway puts the original path behind it.
  await asks(t, `${path}/cart?any=query`);
  const identity = ['Authorization', 'X-Auth-Email', 'X-Auth-Scope', 'X-Auth-Session', 'X-Auth-Subject'];
  t.same(allowedResponseHeaders?.toSorted(), identity);
  t.same(authResponseHeaders.toSorted(), [...identity, 'Cookie'].toSorted());
  t.match(
    filters,
    [{}, { requestHeaderModifier: { remove: ['Cookie'] } }],
    "the service does not get Doorward's cookie",
  );
});

test('docker-compose.yml: programs know their variables, and their commands exist', async (t) => {
  const ours = composeServices.filter(isOurs);
  t.ok(ours.length >= 4, 'programs of ours are there');
  for (const service of ours) {
    t.same(unknownVariables(service), [], service.name);
    if (service.command.length > 0) t.equal(await complaintOf(service), undefined, service.name);
  }
});

test('docker-compose.yml: health checks ask for paths that exist, and URLs have the port of the service', (t) => {
  const prefix = composeServices.find(({ name }) => name === 'doorward')?.environment.PATH_PREFIX ?? '';
  const server = { image: 'doorward', command: [], environment: {} };
  for (const service of composeServices.filter(isOurs)) {
    const [, path] = /http:\/\/127\.0\.0\.1:[^/]+(\/[\w/.-]+)/.exec(service.healthcheck) ?? [];
    const isBehind = path?.startsWith(`${prefix}/`);
    if (path !== undefined)
      t.ok(
        hasPath(app, isBehind ? server : service, isBehind ? path.slice(prefix.length) : path),
        `${service.name} ${path}`,
      );
    for (const port of service.ports) t.equal(port, portOf(service), service.name);
    for (const value of Object.values(service.environment)) {
      const [, name, port] = /^(?:http:\/\/)?([\w-]+):(\d+)(?:\/|$)/.exec(value) ?? [];
      const other = composeServices.find((each) => each.name === name);
      if (other && isOurs(other)) t.equal(Number(port), portOf(other), `${service.name}: ${value}`);
    }
  }
  t.end();
});

test('the health check of the image asks for a path that exists', async (t) => {
  const [, path = ''] = /(\/health\/\w+)`/.exec(readFileSync('Dockerfile', 'utf8')) ?? [];
  t.ok(app.hasRoute({ method: 'GET', url: path }), path);
});

test('a wrong variable, port, path or command would be found', async (t) => {
  const [service] = servicesOf(`
services:
  doorward:
    image: doorward:1.0.0
    command: node src/cli.ts migrait
    environment: [PORTT=3000, PORT=4000, KEY_ENCRYPTION_KEY_FILE=/any, DRAIN_DELAY_FILE=/any]
`);
  if (!service) throw new Error('no service');
  t.same(unknownVariables(service), ['PORTT', 'DRAIN_DELAY_FILE']);
  t.equal(portOf(service), 4000);
  t.equal(hasPath(app, service, '/health/alive'), false);
  t.match(await complaintOf(service), /migrait is no command/);
  const shop = {
    image: 'doorward-examples:1.0.0',
    command: ['node', 'examples/shop/shop.js'],
    environment: { PROT: '1' },
  };
  t.same(unknownVariables(shop), ['PROT']);
  t.equal(portOf(shop), 4001);
  t.same([hasPath(app, shop, '/health'), hasPath(app, shop, '/healthy')], [true, false]);
  const members = { ...shop, command: ['node', 'examples/gateway/members.js'] };
  t.same([hasPath(app, members, '/health'), portOf(members)], [true, 4003], 'which answers every path');
  t.match(await complaintOf({ ...shop, command: ['node', 'examples/shop/shop.ts'] }), /does not exist/);
  t.match(await complaintOf({ ...shop, command: ['npm', 'start'] }), /not in the image/);
  t.equal(await complaintOf({ ...shop, command: ['doorward', 'keys', 'list'] }), undefined);
  t.equal(variablesOf({ ...shop, image: 'redis:8', command: [] }), null, 'a program of others');
});
