import type { IContainer } from 'kubernetes-models/v1/Container';
import { containersOf, type Workload } from './workloads.ts';

/** A rule that every workload has to keep. */
type Rule<T> = { name: string; holds: (subject: T, workload: Workload) => boolean };

/** Kinds whose pods run for ever. */
const LASTING = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Pod'];

/** The kinds of volume that the Pod Security Standard "restricted" allows; hostPath is none of them. */
const VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
];

/** Names of variables with something secret in them, unless it is in the file that they name. */
const SECRET_NAME = /(PASSWORD|SECRET|TOKEN|KEY|DATABASE_URL|REDIS_URL|SMTP_URL)$/;

const POD_RULES: Rule<Workload>[] = [
  {
    name: 'runs as a user that is not root, by number',
    // The kubelet cannot tell whether a user that is only named is root, and does not start the container.
    holds: ({ pod }) =>
      containersOf(pod).every(({ securityContext }) => {
        const { runAsNonRoot, runAsUser } = { ...pod.securityContext, ...securityContext };
        return runAsNonRoot === true && typeof runAsUser === 'number' && runAsUser > 0;
      }),
  },
  {
    name: 'has the seccomp profile of the runtime',
    holds: ({ pod }) =>
      containersOf(pod).every(({ securityContext }) => {
        const { seccompProfile } = { ...pod.securityContext, ...securityContext };
        return seccompProfile?.type === 'RuntimeDefault';
      }),
  },
  {
    name: 'has no token of a service account',
    holds: ({ pod }) => pod.automountServiceAccountToken === false,
  },
  { name: 'has no variables of other Services', holds: ({ pod }) => pod.enableServiceLinks === false },
  {
    name: 'has nothing of the node',
    holds: ({ pod }) =>
      !pod.hostNetwork &&
      !pod.hostPID &&
      !pod.hostIPC &&
      (pod.volumes ?? []).every((volume) =>
        Object.keys(volume).every((key) => key === 'name' || VOLUMES.includes(key)),
      ),
  },
];

const CONTAINER_RULES: Rule<IContainer>[] = [
  {
    name: 'has an image with a release',
    holds: ({ image = '' }) => /(:[\w.-]+|@sha256:[\da-f]{64})$/.test(image) && !/:latest(@|$)/.test(image),
  },
  {
    name: 'asks for processor and memory',
    holds: ({ resources }) => has(resources?.requests, 'cpu', 'memory'),
  },
  { name: 'is limited in both', holds: ({ resources }) => has(resources?.limits, 'cpu', 'memory') },
  {
    name: 'cannot write to its image',
    holds: ({ securityContext }) => securityContext?.readOnlyRootFilesystem === true,
  },
  {
    name: 'cannot get more rights',
    holds: ({ securityContext }) =>
      securityContext?.allowPrivilegeEscalation === false && securityContext.privileged !== true,
  },
  {
    name: 'has no capabilities',
    holds: ({ securityContext }) => {
      const { drop, add } = securityContext?.capabilities ?? {};
      return drop?.includes('ALL') === true && (add ?? []).length === 0;
    },
  },
  {
    name: 'takes no port of the node',
    holds: ({ ports }) => (ports ?? []).every(({ hostPort }) => !hostPort),
  },
  {
    name: 'has its secrets in files',
    holds: ({ env = [], envFrom = [] }) =>
      env.every(({ name, valueFrom }) => !SECRET_NAME.test(name) && !valueFrom?.secretKeyRef) &&
      envFrom.every(({ secretRef }) => !secretRef),
  },
  {
    name: 'is probed, if it runs for ever',
    holds: (container, { kind, pod }) => {
      const { startupProbe, livenessProbe, readinessProbe } = container;
      const isLasting = LASTING.includes(kind) && pod.containers.includes(container);
      return !isLasting || [startupProbe, livenessProbe, readinessProbe].every(Boolean);
    },
  },
];

function has(amounts: object | null | undefined, ...names: string[]): boolean {
  return names.every((name) => Object.hasOwn(amounts ?? {}, name));
}

export const ruleNames = [...POD_RULES, ...CONTAINER_RULES].map(({ name }) => name);

/** The names of the rules that a workload breaks. */
export function brokenRules(workload: Workload): string[] {
  const containers = containersOf(workload.pod);
  const ofPod = POD_RULES.filter(({ holds }) => !holds(workload, workload));
  const ofContainers = CONTAINER_RULES.filter(
    ({ holds }) => !containers.every((one) => holds(one, workload)),
  );
  return [...ofPod, ...ofContainers].map(({ name }) => name);
}
