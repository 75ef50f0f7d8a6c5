import { BlockList } from 'node:net';
import { type INetworkPolicy, NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import type { INetworkPolicyPeer } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicyPeer';
import type { INetworkPolicyPort } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicyPort';
import type { Manifest } from './rendering.ts';
import { containersOf, workloadsOf } from './workloads.ts';

type Labels = Record<string, string>;
type LabelSelector = NonNullable<INetworkPolicyPeer['podSelector']>;

/** A pod, or what is outside of the cluster. */
export type Place = Pod | { address: string };
type Pod = { namespace: string; labels: Labels; ports: Record<string, number> };

type Port = { number: number; protocol: 'TCP' | 'UDP' };

/** A rule of either direction. */
type Rule = { peers: INetworkPolicyPeer[] | undefined; ports: INetworkPolicyPort[] | undefined };

/** A pod of the workload with this name. @throws Error if there is none */
export function podOf(objects: Manifest[], name: string): Pod {
  const workload = workloadsOf(objects).find((each) => each.name === name);
  if (workload === undefined) throw new Error(`there is no workload ${name}`);
  const ports = containersOf(workload.pod).flatMap(({ ports = [] }) => ports);
  return {
    namespace: workload.namespace,
    labels: workload.labels,
    ports: Object.fromEntries(ports.map(({ name = '', containerPort }) => [name, containerPort])),
  };
}

/** Whether the policies among the objects let one place connect to another: both sides must allow it. */
export function mayConnect(
  objects: Manifest[],
  from: Place,
  to: Place,
  number: number,
  protocol: Port['protocol'] = 'TCP',
) {
  const policies = objects.filter((object) => NetworkPolicy.is(object));
  const port = { number, protocol };
  return isAllowed(policies, 'Egress', from, to, port) && isAllowed(policies, 'Ingress', to, from, port);
}

type Direction = 'Ingress' | 'Egress';

/** A pod that no policy selects may connect as it likes, and so may what is outside. */
function isAllowed(
  policies: INetworkPolicy[],
  direction: Direction,
  self: Place,
  peer: Place,
  port: Port,
): boolean {
  if ('address' in self) return true;
  const selecting = policies.filter(
    (policy) => typesOf(policy).includes(direction) && isSelected(policy, self),
  );
  const target = direction === 'Egress' ? peer : self;
  return (
    selecting.length === 0 ||
    selecting.some((policy) =>
      rulesOf(policy, direction).some(
        ({ peers, ports }) =>
          (!peers?.length || peers.some((each) => matches(each, peer, policy.metadata?.namespace))) &&
          (!ports?.length || ports.some((each) => includes(each, port, target))),
      ),
    )
  );
}

function typesOf({ spec }: INetworkPolicy): string[] {
  return spec?.policyTypes ?? (spec?.egress === undefined ? ['Ingress'] : ['Ingress', 'Egress']);
}

function isSelected({ metadata, spec }: INetworkPolicy, pod: Pod): boolean {
  return metadata?.namespace === pod.namespace && selects(spec?.podSelector, pod.labels);
}

function rulesOf({ spec }: INetworkPolicy, direction: Direction): Rule[] {
  return direction === 'Egress'
    ? (spec?.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }))
    : (spec?.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }));
}

function matches(
  { ipBlock, namespaceSelector, podSelector }: INetworkPolicyPeer,
  place: Place,
  own = '',
): boolean {
  if ('address' in place) return ipBlock !== undefined && isIn(place.address, ipBlock.cidr, ipBlock.except);
  if (ipBlock !== undefined) return false;
  // The cluster itself puts this label onto each namespace.
  const namespace = { 'kubernetes.io/metadata.name': place.namespace };
  const isThere = namespaceSelector ? selects(namespaceSelector, namespace) : place.namespace === own;
  return isThere && (!podSelector || selects(podSelector, place.labels));
}

const familyOf = (address: string) => (address.includes(':') ? 'ipv6' : 'ipv4');

function isIn(address: string, cidr: string, except: string[] = []): boolean {
  const contains = (block: string) => {
    const [net = '', bits] = block.split('/');
    const list = new BlockList();
    list.addSubnet(net, Number(bits), familyOf(net));
    return list.check(address, familyOf(address));
  };
  return contains(cidr) && !except.some(contains);
}

function includes(
  { port, endPort, protocol = 'TCP' }: INetworkPolicyPort,
  asked: Port,
  target: Place,
): boolean {
  if (protocol !== asked.protocol) return false;
  if (port === undefined) return true;
  const ports = 'ports' in target ? target.ports : {};
  const first = typeof port === 'number' ? port : ports[port];
  return first !== undefined && asked.number >= first && asked.number <= (endPort ?? first);
}

/** Whether a label selector has these labels; an empty one has all. */
export function selects(selector: LabelSelector | undefined, labels: Labels): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector ?? {};
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      const isListed = value !== undefined && values.includes(value);
      return operator === 'In' ? isListed : !isListed;
    })
  );
}
