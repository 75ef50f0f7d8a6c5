/** What the manifests promise of the server: rollouts, its start, its end, and the sums that must come out right. */
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Service } from 'kubernetes-models/v1/Service';
import { test } from 'tap';
import { type Config, loadConfig } from '../../src/config/config.ts';
import { checkSettings } from '../../src/config/config-check.ts';
import { graceMsOf } from '../../src/http/drain.ts';
import { composeServices } from './compose.ts';
import { selects } from './network.ts';
import { idOf, type Manifest, overlays, renderOverlay } from './rendering.ts';
import { complaintsOf } from './schemas.ts';
import { makeSecrets, secretData } from './secrets.ts';
import { environmentOf, getObject, getWorkload, secretFilesOf, workloadsOf } from './workloads.ts';

/** PostgreSQL's own default of max_connections, less the three that it keeps for administrators. */
const CONNECTIONS = 97;
/** Of `doorward migrate`: the one that migrates, and the one that looks whether it can. */
const MIGRATION_CONNECTIONS = 2;

const secrets = await makeSecrets();
const everyOverlay = await Promise.all(
  overlays.map(async (overlay) => [overlay, await renderOverlay(overlay)] as const),
);
const server = (objects: Manifest[]) => getWorkload(objects, 'doorward');

/** The settings of the server in an overlay, with secrets of the dev overlay. */
function settingsOf(objects: Manifest[], name = 'doorward') {
  const workload = getWorkload(objects, name);
  const files = secretFilesOf(workload, (secret) => Object.keys(secretData(secrets, secret)));
  const readFile = (path: string) => {
    const [secret = '', key = ''] = files.get(path)?.split('/') ?? [];
    return secretData(secrets, secret)[key] ?? '';
  };
  return [environmentOf(objects, workload), readFile] as const;
}

const configOf = (objects: Manifest[]): Config => loadConfig(...settingsOf(objects));

for (const [overlay, objects] of everyOverlay) {
  test(`${overlay}: the server takes its settings without an error or a warning, and so does the migration`, (t) => {
    for (const name of ['doorward', 'doorward-migrate'])
      t.same(checkSettings(...settingsOf(objects, name)), { errors: [], warnings: [] }, name);
    t.equal(configOf(objects).MIGRATE_ON_START, false, 'the Job migrates');
    t.end();
  });

  test(`${overlay}: a rollout never has fewer replicas than before`, (t) => {
    const { spec } = getObject(objects, Deployment, 'doorward');
    t.match(spec?.strategy, { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } });
    t.end();
  });

  test(`${overlay}: replicas are spread over zones and nodes, and a drain of nodes takes one at a time`, (t) => {
    const { pod, labels } = server(objects);
    t.same(
      pod.topologySpreadConstraints?.map(({ topologyKey }) => topologyKey),
      ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'],
    );
    const { spec } = getObject(objects, PodDisruptionBudget, 'doorward');
    t.equal(spec?.maxUnavailable, 1);
    for (const selector of [
      spec?.selector,
      ...(pod.topologySpreadConstraints ?? []).map((one) => one.labelSelector),
    ]) {
      t.ok(selects(selector ?? undefined, labels), 'it is about the server');
      t.notOk(
        selects(selector ?? undefined, getWorkload(objects, 'doorward-migrate').labels),
        'and nothing else',
      );
    }
    t.end();
  });

  test(`${overlay}: a pod has the time to end, and the time to start`, async (t) => {
    const { pod } = server(objects);
    const [container] = pod.containers;
    const { DRAIN_DELAY, STARTUP_TIMEOUT } = configOf(objects);
    const preStopSeconds = container?.lifecycle?.preStop?.sleep?.seconds ?? Number.NaN;
    const endsAfterMs = preStopSeconds * 1000 + graceMsOf({ DRAIN_DELAY });
    t.ok((pod.terminationGracePeriodSeconds ?? 0) * 1000 > endsAfterMs, `longer than ${endsAfterMs} ms`);

    const { periodSeconds = 0, failureThreshold = 0 } = container?.startupProbe ?? {};
    t.ok(periodSeconds * failureThreshold * 1000 > STARTUP_TIMEOUT, 'the server itself gives up first');
    t.ok(
      Number(getObject(objects, Deployment, 'doorward').spec?.progressDeadlineSeconds) * 1000 >
        STARTUP_TIMEOUT,
    );
  });

  test(`${overlay}: PostgreSQL has enough connections for all replicas, one more during a rollout, and the migration`, (t) => {
    const { spec } = getObject(objects, Deployment, 'doorward');
    const scalers = objects.filter((object) => HorizontalPodAutoscaler.is(object));
    const replicas = scalers[0]?.spec?.maxReplicas ?? spec?.replicas ?? Number.NaN;
    const { DATABASE_POOL_SIZE } = configOf(objects);
    const needed = (replicas + 1) * DATABASE_POOL_SIZE + MIGRATION_CONNECTIONS;
    t.ok(needed <= CONNECTIONS, `${needed} are needed`);
    t.end();
  });

  test(`${overlay}: whatever an object names is there`, (t) => {
    for (const workload of workloadsOf(objects)) {
      environmentOf(objects, workload);
      const { pod, namespace } = workload;
      const account = pod.serviceAccountName;
      const accounts = objects.filter(
        ({ kind, metadata }) => kind === 'ServiceAccount' && metadata.namespace === namespace,
      );
      t.ok(account === undefined || accounts.some(({ metadata }) => metadata.name === account), workload.id);
      for (const { secret } of pod.volumes ?? [])
        if (secret && namespace === 'doorward') t.ok(secretData(secrets, secret.secretName ?? ''));
    }
    t.end();
  });

  test(`${overlay}: another setting is another ConfigMap, and thus a rollout`, (t) => {
    const [name = ''] = (server(objects).pod.containers[0]?.envFrom ?? []).map(
      ({ configMapRef }) => configMapRef?.name,
    );
    t.match(name, /^doorward-[a-z\d]{10}$/);
    t.ok(getObject(objects, ConfigMap, name));
    t.end();
  });

  test(`${overlay}: the migration is of the same release as the server, and has the same files`, (t) => {
    const [one, other] = [server(objects), getWorkload(objects, 'doorward-migrate')].map(({ pod }) => ({
      image: pod.containers[0]?.image,
      envFrom: pod.containers[0]?.envFrom,
      mounts: pod.containers[0]?.volumeMounts,
      volumes: pod.volumes,
      user: pod.securityContext,
    }));
    t.same(one, other);
    t.end();
  });

  test(`${overlay}: what is applied first has all that the migration needs, and not the server`, (t) => {
    // kubectl apply --selector app.kubernetes.io/component!=server
    const first = objects.filter(
      ({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] !== 'server',
    );
    const kinds = new Set(
      first.filter(({ metadata }) => metadata.name.startsWith('doorward')).map(({ kind }) => kind),
    );
    t.same(
      [...kinds].filter((kind) => ['Deployment', 'HorizontalPodAutoscaler'].includes(kind)),
      [],
    );
    const migration = getWorkload(first, 'doorward-migrate');
    t.ok(environmentOf(first, migration).DATABASE_URL_FILE, 'its settings');
    t.same(
      first.filter(({ kind }) => kind === 'NetworkPolicy').map(idOf),
      objects.filter(({ kind }) => kind === 'NetworkPolicy').map(idOf),
      'its ways to the database',
    );
    t.end();
  });
}

test('the autoscaler decides on the number of replicas, and not the Deployment as well', async (t) => {
  const objects = await renderOverlay('production');
  const { spec } = getObject(objects, HorizontalPodAutoscaler, 'doorward');
  const target = getObject(objects, Deployment, spec?.scaleTargetRef.name ?? '');
  t.equal(target.spec?.replicas, undefined);
  t.ok((spec?.minReplicas ?? 0) >= 3, 'one more than a zone and a rollout may take');
});

test('the script of the dev overlay makes what its pods mount, each time anew', async (t) => {
  const again = await makeSecrets();
  t.same((await Promise.all(secrets.map(complaintsOf))).flat(), []);
  const dev = await renderOverlay('dev');
  const postgres = getWorkload(dev, 'postgres');
  const redis = getWorkload(dev, 'redis');
  const keys = (secret: string) => Object.keys(secretData(secrets, secret));
  t.ok(secretFilesOf(postgres, keys).has(environmentOf(dev, postgres).POSTGRES_PASSWORD_FILE ?? ''));
  t.ok(secretFilesOf(redis, keys).has(redis.pod.containers[0]?.command?.[1] ?? ''));
  for (const name of ['doorward', 'postgres', 'redis'])
    // The catcher for mails has no password.
    for (const [key, value] of Object.entries(secretData(secrets, name)))
      t.equal(secretData(again, name)[key] === value, key === 'smtp-url', `${name}/${key}`);

  const url = new URL(secretData(secrets, 'doorward')['database-url'] ?? '');
  t.equal(url.password, secretData(secrets, 'postgres').password);
  const { password } = new URL(secretData(secrets, 'doorward')['redis-url'] ?? '');
  t.equal(secretData(secrets, 'redis')['redis.conf'], `requirepass ${password}`);
  const { host, port } = configOf(dev).SMTP_URL ?? {};
  t.same([host, port], [getObject(dev, Service, 'mail').metadata?.name, 1025]);
  const environment = environmentOf(dev, postgres);
  t.same([url.username, url.pathname.slice(1)], [environment.POSTGRES_USER, environment.POSTGRES_DB]);
});

test('docker-compose.yml gives the server the time to end, too', async (t) => {
  const compose = composeServices.find(({ name }) => name === 'doorward');
  const { DRAIN_DELAY } = configOf(await renderOverlay('dev'));
  const endsAfterMs = graceMsOf({ DRAIN_DELAY });
  t.ok(Number(compose?.graceSeconds) * 1000 > endsAfterMs, `longer than ${endsAfterMs} ms`);
});
