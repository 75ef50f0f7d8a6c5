/** Every workload that is rendered keeps the rules, and each rule can be broken. */
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { test } from 'tap';
import { Settings, settingNames } from '../../src/config/settings.ts';
import { brokenRules, ruleNames } from './policy.ts';
import { components, type Manifest, overlays, renderOverlay, renderWith } from './rendering.ts';
import { getWorkload, type Workload, workloadsOf } from './workloads.ts';

const violations = (objects: Manifest[]) =>
  workloadsOf(objects).flatMap((workload) => brokenRules(workload).map((rule) => `${workload.id}: ${rule}`));

for (const overlay of overlays)
  test(`every workload of the overlay ${overlay} keeps the rules`, async (t) => {
    const objects = await renderOverlay(overlay);
    t.ok(workloadsOf(objects).length >= 2, 'there are workloads');
    t.same(violations(objects), []);
  });

for (const component of components)
  test(`so does every one with the component ${component}`, async (t) =>
    t.same(violations(await renderWith(t, component, 'services')), []));

type Container = Workload['pod']['containers'][number];
type Slip = (pod: Workload['pod'], container: Container, workload: Workload) => void;

/** Changes to a workload that keeps the rules, and the one rule that each of them breaks. */
const SLIPS: [rule: string, slip: Slip][] = [
  ['runs as a user that is not root, by number', (pod) => void delete pod.securityContext?.runAsNonRoot],
  ['runs as a user that is not root, by number', (pod) => void delete pod.securityContext?.runAsUser],
  [
    'runs as a user that is not root, by number',
    (_pod, one) => void Object.assign(one.securityContext ?? {}, { runAsUser: 0 }),
  ],
  ['has the seccomp profile of the runtime', (pod) => void delete pod.securityContext?.seccompProfile],
  [
    'has the seccomp profile of the runtime',
    (_pod, one) => void Object.assign(one.securityContext ?? {}, { seccompProfile: { type: 'Unconfined' } }),
  ],
  ['has no token of a service account', (pod) => void delete pod.automountServiceAccountToken],
  ['has no variables of other Services', (pod) => void delete pod.enableServiceLinks],
  ['has nothing of the node', (pod) => void Object.assign(pod, { hostNetwork: true })],
  ['has nothing of the node', (pod) => void Object.assign(pod, { hostPID: true })],
  ['has nothing of the node', (pod) => void Object.assign(pod, { hostIPC: true })],
  ['has nothing of the node', (pod) => void pod.volumes?.push({ name: 'node', hostPath: { path: '/' } })],
  ['has an image with a release', (_pod, one) => void Object.assign(one, { image: 'doorward' })],
  ['has an image with a release', (_pod, one) => void Object.assign(one, { image: 'doorward:latest' })],
  [
    'has an image with a release',
    (_pod, one) => void Object.assign(one, { image: 'localhost:5000/doorward' }),
  ],
  ['asks for processor and memory', (_pod, one) => void delete one.resources?.requests?.cpu],
  ['asks for processor and memory', (_pod, one) => void delete one.resources?.requests?.memory],
  ['is limited in both', (_pod, one) => void delete one.resources?.limits?.cpu],
  ['is limited in both', (_pod, one) => void delete one.resources?.limits?.memory],
  ['cannot write to its image', (_pod, one) => void delete one.securityContext?.readOnlyRootFilesystem],
  ['cannot get more rights', (_pod, one) => void delete one.securityContext?.allowPrivilegeEscalation],
  [
    'cannot get more rights',
    (_pod, one) => void Object.assign(one.securityContext ?? {}, { privileged: true }),
  ],
  ['has no capabilities', (_pod, one) => void delete one.securityContext?.capabilities],
  [
    'has no capabilities',
    (_pod, one) => void Object.assign(one.securityContext?.capabilities ?? {}, { add: ['NET_ADMIN'] }),
  ],
  ['takes no port of the node', (_pod, one) => void Object.assign(one.ports?.[0] ?? {}, { hostPort: 3000 })],
  [
    'has its secrets in files',
    (_pod, one) => void Object.assign(one, { env: [{ name: 'KEY_ENCRYPTION_KEY', value: 'x' }] }),
  ],
  ['has its secrets in files', (_pod, one) => void one.envFrom?.push({ secretRef: { name: 'doorward' } })],
  [
    'has its secrets in files',
    (_pod, one) =>
      void Object.assign(one, {
        env: [{ name: 'ANY', valueFrom: { secretKeyRef: { name: 'any', key: 'any' } } }],
      }),
  ],
  ['is probed, if it runs for ever', (_pod, one) => void delete one.startupProbe],
  ['is probed, if it runs for ever', (_pod, one) => void delete one.livenessProbe],
  ['is probed, if it runs for ever', (_pod, one) => void delete one.readinessProbe],
  // A second container counts as much as the first, and so does one that starts before.
  ['has an image with a release', (pod, one) => void pod.containers.push({ ...one, image: 'proxy' })],
  [
    'cannot write to its image',
    (pod, one) =>
      void Object.assign(pod, {
        initContainers: [
          { ...one, securityContext: { ...one.securityContext, readOnlyRootFilesystem: false } },
        ],
      }),
  ],
];

test('each rule can be broken, and is broken alone', async (t) => {
  const good = getWorkload(await renderOverlay('dev'), 'doorward');
  t.same(brokenRules(good), []);
  for (const [rule, slip] of SLIPS) {
    const workload = structuredClone(good);
    const [container] = workload.pod.containers;
    if (container) slip(workload.pod, container, workload);
    t.same(brokenRules(workload), [rule], String(slip));
  }
  t.same([...new Set(SLIPS.map(([rule]) => rule))].toSorted(), ruleNames.toSorted(), 'all of them');
});

test('a job needs no probes, and other kinds of workload are seen as well', async (t) => {
  const { pod } = getWorkload(await renderOverlay('dev'), 'doorward-migrate');
  const metadata = { name: 'any' };
  const objects = [
    { apiVersion: 'batch/v1', kind: 'Job', metadata, spec: { template: { spec: pod } } },
    {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata,
      spec: { jobTemplate: { spec: { template: { spec: pod } } } },
    },
    { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata, spec: { template: { spec: pod } } },
    { apiVersion: 'v1', kind: 'Pod', metadata, spec: pod },
  ];
  t.same(violations(objects), [
    'DaemonSet/any: is probed, if it runs for ever',
    'Pod/any: is probed, if it runs for ever',
  ]);
});

test('no overlay holds a secret, neither as a Secret nor among the settings', async (t) => {
  const secretNames = settingNames.filter((name) => Settings.properties[name].secret);
  t.ok(secretNames.includes('DATABASE_URL'));
  for (const overlay of overlays) {
    const objects = await renderOverlay(overlay);
    t.same(
      objects.filter(({ kind }) => kind === 'Secret'),
      [],
      overlay,
    );
    const names = objects
      .filter((object) => ConfigMap.is(object))
      .flatMap(({ data }) => Object.keys(data ?? {}));
    t.ok(names.includes('DATABASE_URL_FILE'));
    t.same(
      names.filter((name) => secretNames.some((secret) => secret === name)),
      [],
      overlay,
    );
  }
});

test('no object depends on one controller of Ingresses: ingress-nginx is archived', async (t) => {
  const objects = await renderWith(t, 'ingress', 'services');
  t.match(
    objects.filter(({ kind }) => kind === 'Ingress'),
    [{ metadata: { name: 'doorward' } }],
  );
  t.notMatch(JSON.stringify(objects), /ingress\.kubernetes\.io|"ingressClassName"/);
});
