/** The Helm chart makes, object by object, what kustomize makes of the production overlay. */
import { readFileSync } from 'node:fs';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { Job } from 'kubernetes-models/batch/v1/Job';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { test } from 'tap';
import { parse } from 'yaml';
import { brokenRules } from './policy.ts';
import { idOf, type Manifest, parseManifests, renderOverlay } from './rendering.ts';
import { complaintsOf } from './schemas.ts';
import { runTool } from './tools.ts';
import { environmentOf, getWorkload, workloadsOf } from './workloads.ts';

const CHART = 'k8s/helm';
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

async function renderChart(...options: string[]): Promise<Manifest[]> {
  const text = await runTool('helm', 'template', 'doorward', CHART, '--namespace', 'doorward', ...options);
  return parseManifests(text);
}

/** What the chart and kustomize cannot have alike. Everything else must be the same. */
const DIFFERENCES: {
  why: string;
  ofKustomize?: (objects: Manifest[]) => void;
  ofHelm?: (objects: Manifest[]) => void;
}[] = [
  {
    why: '`helm install --create-namespace` makes the namespace',
    ofKustomize: (objects) =>
      void objects.splice(
        objects.findIndex(({ kind }) => kind === 'Namespace'),
        1,
      ),
  },
  {
    why: 'the Job is a hook in the chart, and has its settings in itself: before a first installation there is no ConfigMap',
    ofKustomize: (objects) => {
      const migration = getWorkload(objects, 'doorward-migrate');
      const environment = Object.entries(environmentOf(objects, migration));
      const [container] = migration.pod.containers;
      if (container) container.env = environment.toSorted().map(([name, value]) => ({ name, value }));
      delete container?.envFrom;
    },
    ofHelm: (objects) => void delete objects.find((object) => Job.is(object))?.metadata?.annotations,
  },
  {
    why: 'another setting is a rollout by the name of the ConfigMap in kustomize, and by an annotation in the chart',
    ofKustomize: (objects) => {
      const config = objects.find((object) => ConfigMap.is(object));
      if (config?.metadata) config.metadata.name = 'doorward';
      const [source] = getWorkload(objects, 'doorward').pod.containers[0]?.envFrom ?? [];
      if (source?.configMapRef) source.configMapRef.name = 'doorward';
    },
    ofHelm: (objects) =>
      void delete objects.find((object) => Deployment.is(object))?.spec?.template.metadata?.annotations,
  },
];

const byId = (objects: Manifest[]) => Object.fromEntries(objects.map((object) => [idOf(object), object]));

test('both make the same objects', async (t) => {
  const [kustomize, helm] = await Promise.all([renderOverlay('production'), renderChart()]);
  t.not(JSON.stringify(byId(kustomize)), JSON.stringify(byId(helm)), 'there are differences to allow');
  for (const { ofKustomize, ofHelm } of DIFFERENCES) {
    ofKustomize?.(kustomize);
    ofHelm?.(helm);
  }
  t.same(Object.keys(byId(helm)).toSorted(), Object.keys(byId(kustomize)).toSorted());
  for (const [id, object] of Object.entries(byId(kustomize))) t.strictSame(byId(helm)[id], object, id);
});

test('each object of the chart is as the API has it, and each workload keeps the rules', async (t) => {
  const objects = await renderChart();
  t.same((await Promise.all(objects.map(complaintsOf))).flat(), []);
  t.same(workloadsOf(objects).flatMap(brokenRules), []);
});

test('the migration is a hook that runs before the rollout, and each time anew', async (t) => {
  const job = (await renderChart()).find((object) => Job.is(object));
  t.match(job?.metadata?.annotations, {
    'helm.sh/hook': 'pre-install,pre-upgrade',
    'helm.sh/hook-delete-policy': 'before-hook-creation',
  });
});

/** Each value of the chart, another one for it, and what must then be in the rendering. */
const VALUES: [name: string, value: string, shows: RegExp][] = [
  ['image.repository', 'example.org/mine', /image: example\.org\/mine:/],
  ['image.tag', '9.9.9', /image: \S+:9\.9\.9$/m],
  ['image.digest', 'sha256:abc', /image: \S+:\d+\.\d+\.\d+@sha256:abc$/m],
  ['replicas.min', '5', /minReplicas: 5$/m],
  ['replicas.max', '7', /maxReplicas: 7$/m],
  ['env.PUBLIC_URL', 'https://other.example.org', /PUBLIC_URL: "https:\/\/other\.example\.org"/],
  ['env.SESSION_TTL', '7d', /SESSION_TTL: "7d"/],
  ['secretName', 'mine', /secretName: mine$/m],
  ['gateway.name', 'mine', /- name: mine$/m],
  ['gateway.namespace', 'mine', /kubernetes\.io\/metadata\.name: mine$/m],
  ['gateway.sectionName', 'mine', /sectionName: mine$/m],
  ['gateway.hostname', 'other.example.org', /- other\.example\.org$/m],
  ['monitoringNamespace', 'mine', /kubernetes\.io\/metadata\.name: mine$/m],
  ['egress[0].ports[0].port', '6432', /port: 6432$/m],
];

test('each value of the chart has its place', async (t) => {
  for (const [name, value, shows] of VALUES) {
    const text = await runTool('helm', 'template', 'doorward', CHART, '--set', `${name}=${value}`);
    t.match(text, shows, name);
    t.same((await Promise.all(parseManifests(text).map(complaintsOf))).flat(), [], name);
  }
  const values = parse(readFileSync(`${CHART}/values.yaml`, 'utf8')) as Record<string, unknown>;
  const tried = VALUES.map(([name]) => name.replace(/\W.*/, ''));
  t.same(Object.keys(values).toSorted(), [...new Set(tried)].toSorted(), 'all of them');
});

test('another setting is a rollout', async (t) => {
  const checksum = async (...options: string[]) => {
    const deployment = (await renderChart(...options)).find((object) => Deployment.is(object));
    return deployment?.spec?.template.metadata?.annotations?.['checksum/config'];
  };
  t.match(await checksum(), /^[\da-f]{64}$/);
  t.not(await checksum('--set', 'env.SESSION_TTL=7d'), await checksum());
});

test('helm finds nothing wrong with the chart', async (t) => {
  t.match(await runTool('helm', 'lint', CHART, '--strict'), /1 chart\(s\) linted, 0 chart\(s\) failed/);
});

test('manifests, chart and README are of the release of the package', async (t) => {
  const images = [...readFileSync('k8s/README.md', 'utf8').matchAll(/\bdoorward(?:-examples)?:([\w.-]+\w)/g)];
  t.same([...new Set(images.map(([, tag]) => tag))], [version]);
  const chart = parse(readFileSync(`${CHART}/Chart.yaml`, 'utf8')) as Record<string, string>;
  t.same([chart.version, chart.appVersion], [version, version]);
  for (const overlay of ['dev', 'production', 'services'])
    for (const { pod } of workloadsOf(await renderOverlay(overlay)))
      for (const { image = '' } of pod.containers)
        if (/(^|\/)doorward/.test(image)) t.equal(image.split(':').at(-1), version, `${overlay}: ${image}`);
});
