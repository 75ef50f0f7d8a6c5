import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import type { IContainer } from 'kubernetes-models/v1/Container';
import type { IPodSpec } from 'kubernetes-models/v1/PodSpec';
import type { IPodTemplateSpec } from 'kubernetes-models/v1/PodTemplateSpec';
import { idOf, type Manifest } from './rendering.ts';

/** What makes pods: a Deployment, a Job and the like. */
export type Workload = {
  id: string;
  kind: string;
  name: string;
  namespace: string;
  labels: Record<string, string>;
  pod: IPodSpec;
};

type Templated = { spec?: { template?: IPodTemplateSpec; jobTemplate?: Templated } & Partial<IPodSpec> };

/** All workloads among the objects, whatever their kind. */
export function workloadsOf(objects: Manifest[]): Workload[] {
  return objects.flatMap((object) => {
    const template = templateOf(object);
    if (template?.spec === undefined) return [];
    const { kind, metadata } = object;
    return {
      id: idOf(object),
      kind,
      name: metadata.name,
      namespace: metadata.namespace ?? 'default',
      labels: template.metadata?.labels ?? {},
      pod: template.spec,
    };
  });
}

function templateOf(object: Manifest | Templated): IPodTemplateSpec | undefined {
  const { spec } = object as Templated;
  if (spec?.jobTemplate !== undefined) return templateOf(spec.jobTemplate);
  if (spec?.template !== undefined) return spec.template;
  const isPod = 'kind' in object && object.kind === 'Pod';
  return isPod ? (object as IPodTemplateSpec) : undefined;
}

/** Those that start first as well. */
export function containersOf({ containers, initContainers = [] }: IPodSpec): IContainer[] {
  return [...initContainers, ...containers];
}

/** @throws Error if there is no such workload, or more than one */
export function getWorkload(objects: Manifest[], name: string): Workload {
  const [found, other] = workloadsOf(objects).filter((workload) => workload.name === name);
  if (found === undefined || other !== undefined) throw new Error(`there is not one workload ${name}`);
  return found;
}

type Named = { apiVersion: string; kind: string; metadata?: { name?: string } };

/** The object of a kind and a name. @throws Error if there is none */
export function getObject<T extends Named>(
  objects: Manifest[],
  model: { is: (object: unknown) => object is T },
  name: string,
): T {
  const found = objects.filter((object) => model.is(object)).find(({ metadata }) => metadata?.name === name);
  if (found === undefined) throw new Error(`there is no such object: ${name}`);
  return found as T;
}

/** The variables of a container, those of its ConfigMaps included. @throws Error if there is no such ConfigMap */
export function environmentOf(objects: Manifest[], { namespace, pod }: Workload): Record<string, string> {
  const [container] = pod.containers;
  const maps = (container?.envFrom ?? []).flatMap(({ configMapRef }) => configMapRef?.name ?? []);
  const own = (container?.env ?? []).map(({ name, value = '' }) => [name, value]);
  const there = objects.filter(({ metadata }) => metadata.namespace === namespace);
  return Object.assign(
    {},
    ...maps.map((name) => getObject(there, ConfigMap, name).data),
    Object.fromEntries(own),
  );
}

/** Where the container finds the files of Secrets, as `Secret/key` by path; `keys` says what is in a Secret. */
export function secretFilesOf({ pod }: Workload, keys: (secret: string) => string[]): Map<string, string> {
  const mounts = pod.containers.flatMap(({ volumeMounts = [] }) => volumeMounts);
  const files = mounts.flatMap(({ name, mountPath }) => {
    const secret = pod.volumes?.find((volume) => volume.name === name)?.secret?.secretName;
    return secret === undefined
      ? []
      : keys(secret).map((key) => [`${mountPath}/${key}`, `${secret}/${key}`] as const);
  });
  return new Map(files);
}
