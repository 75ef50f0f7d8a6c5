import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Manifest } from './rendering.ts';

type Teardown = { teardown(undo: () => unknown): void; testdir(): string };

type Resource = { name: string; singularName: string; kind: string; namespaced: boolean; verbs: string[] };

/** A server to which kubectl can send objects, and nothing else. */
export type ApiServer = {
  /** The environment with which kubectl finds it. */
  environment: Record<string, string>;
  /** `kind/name` of what was created so far, in order. */
  created: string[];
};

/** Starts a server that knows the kinds of these objects, has none of them, and takes each that is created. */
export async function startApiServer(t: Teardown, objects: Manifest[]): Promise<ApiServer> {
  const groups = Map.groupBy(objects, ({ apiVersion }) => apiVersion);
  const created: string[] = [];
  const server = createServer(async (request, response) => {
    const [path = ''] = String(request.url).split('?');
    const answer = request.method === 'POST' ? await create(request, created) : discover(groups, path);
    response.writeHead(answer === null ? 404 : 200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(
        answer ?? { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 },
      ),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { environment: environmentFor(t.testdir(), port), created };
}

/** The environment of a kubectl whose cluster is at this port of this machine. */
export function environmentFor(folder: string, port: number): Record<string, string> {
  const KUBECONFIG = join(folder, 'kubeconfig');
  const name = 'test';
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: `http://127.0.0.1:${port}` } }],
    users: [{ name, user: {} }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
  writeFileSync(KUBECONFIG, JSON.stringify(config));
  // It keeps what it has learned of a server at home.
  return { PATH: String(process.env.PATH), HOME: folder, KUBECONFIG };
}

async function create(request: IncomingMessage, created: string[]): Promise<Manifest> {
  const object = JSON.parse(Buffer.concat(await request.toArray()).toString()) as Manifest;
  created.push(`${object.kind}/${object.metadata.name}`);
  return object;
}

/** What the API tells of its kinds. */
function discover(groups: Map<string, Manifest[]>, path: string): object | null {
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] };
  if (path === '/apis')
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: [...groups.keys()].flatMap(groupOf) };
  const groupVersion = path.replace(/^\/apis?\//, '');
  const objects = groups.get(groupVersion);
  return objects ? { kind: 'APIResourceList', groupVersion, resources: resourcesOf(objects) } : null;
}

function groupOf(groupVersion: string): object[] {
  const [name, version] = groupVersion.split('/');
  const versions = [{ groupVersion, version }];
  return version === undefined ? [] : [{ name, versions, preferredVersion: versions[0] }];
}

function resourcesOf(objects: Manifest[]): Resource[] {
  const kinds = new Map(objects.map(({ kind, metadata }) => [kind, metadata.namespace !== undefined]));
  return [...kinds].map(([kind, namespaced]) => {
    const singularName = kind.toLowerCase();
    const name = `${singularName.replace(/y$/, 'ie').replace(/ss$/, 'sse')}s`;
    return { name, singularName, kind, namespaced, verbs: ['create', 'get', 'patch', 'delete', 'list'] };
  });
}
