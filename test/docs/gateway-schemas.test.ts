/** No package of npm or Debian brings Traefik or Envoy, so these two are compared with their own schemas. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { test } from 'tap';
import { parse } from 'yaml';
import { complaintsOf as complaintsOfKubernetes } from '../k8s/schemas.ts';
import { snippet } from './pages.ts';

const IDENTITY = ['Authorization', 'X-Auth-Subject', 'X-Auth-Email', 'X-Auth-Session', 'X-Auth-Scope'];

const read = (name: string) => parse(snippet(`docs/protect-a-service/${name}.md`, 'yaml'));

/** What the API of Kubernetes would say of it, which takes the same middlewares: unknown names included. */
function complaintsOfTraefik(spec: object): Promise<string[]> {
  const middleware = {
    apiVersion: 'traefik.io/v1alpha1',
    kind: 'Middleware',
    metadata: { name: 'doorward' },
    spec,
  };
  return complaintsOfKubernetes(middleware);
}

test('Traefik knows each name of its snippet, and hands over neither the session nor a forged identity', async (t) => {
  const { doorward } = read('traefik').http.middlewares;
  t.same(await complaintsOfTraefik(doorward), []);
  const typo = { forwardAuth: { ...doorward.forwardAuth, authResponseHeader: [] } };
  t.match(
    String(await complaintsOfTraefik(typo)),
    /authResponseHeader/,
    'a misspelled name would be noticed',
  );
  const { address, authRequestHeaders, authResponseHeaders } = doorward.forwardAuth;
  t.equal(new URL(address).searchParams.get('cookie'), 'strip');
  t.same(
    authResponseHeaders.toSorted(),
    [...IDENTITY, 'Cookie'].toSorted(),
    'what replaces headers of the client',
  );
  t.equal(authRequestHeaders, undefined, 'Doorward sees all headers of the client');
});

type Json = { [name: string]: unknown };

/** What Envoy would refuse in a message, by its protobuf schema. */
function complaintsOfEnvoy(root: protobuf.Root, type: protobuf.Type, value: Json, at = ''): string[] {
  const known = type.fields;
  return Object.entries(value).flatMap(([name, member]) => {
    if (name === '@type') return [];
    const field = known[name];
    if (field === undefined) return [`${at}.${name} is unknown`];
    const { resolvedType } = field.resolve();
    return [member].flat().flatMap((each) => complaintsOf(root, resolvedType, each, `${at}.${name}`));
  });
}

function complaintsOf(
  root: protobuf.Root,
  type: protobuf.Type | protobuf.Enum | null,
  value: unknown,
  at: string,
): string[] {
  // A duration is a string in JSON.
  const isText = type === null || type.name === 'Duration';
  if (isText) return typeof value === 'object' ? [`${at} is no single value`] : [];
  if (type instanceof protobuf.Enum) return String(value) in type.values ? [] : [`${at} cannot be ${value}`];
  const message = value as Json;
  const named = type.name === 'Any' ? String(message['@type']).replace(/^type\.googleapis\.com\//, '') : type;
  return complaintsOfEnvoy(root, typeof named === 'string' ? root.lookupType(named) : named, message, at);
}

/** Envoy's own files, which gRPC ships. */
function loadEnvoy(): protobuf.Root {
  const root = new protobuf.Root();
  const folders = ['envoy-api', 'xds', 'protoc-gen-validate', 'googleapis'];
  const packages = [
    'node_modules/protobufjs',
    ...folders.map((name) => join('node_modules/@grpc/grpc-js-xds/deps', name)),
  ];
  root.resolvePath = (_from, path) =>
    packages.map((folder) => join(folder, path)).find((file) => existsSync(file)) ?? path;
  const filters = 'envoy/extensions/filters';
  const files = [
    `${filters}/network/http_connection_manager/v3/http_connection_manager.proto`,
    `${filters}/http/ext_authz/v3/ext_authz.proto`,
    'envoy/config/listener/v3/listener_components.proto',
  ];
  root.loadSync(files, { keepCase: true });
  return root;
}

test('Envoy knows each name of its snippet, and hands over neither the session nor a forged identity', (t) => {
  const root = loadEnvoy();
  const filter = root.lookupType('envoy.config.listener.v3.Filter');
  const manager = read('envoy');
  t.same(complaintsOfEnvoy(root, filter, manager), []);
  const [door] = manager.typed_config.http_filters;
  t.match(
    complaintsOfEnvoy(root, filter, { typed_config: { ...door.typed_config, failure_mode_alow: true } }),
    [/failure_mode_alow is unknown/],
    'a misspelled name would be noticed',
  );
  t.match(
    complaintsOfEnvoy(root, filter, {
      typed_config: { ...door.typed_config, status_on_error: { code: 'No' } },
    }),
    [/code cannot be No/],
  );

  t.equal(
    manager.typed_config.common_http_protocol_options.headers_with_underscores_action,
    'REJECT_REQUEST',
  );
  const { allowed_headers, failure_mode_allow, status_on_error, http_service } = door.typed_config;
  t.same([failure_mode_allow, status_on_error.code], [false, 'ServiceUnavailable']);
  const { allowed_upstream_headers, allowed_client_headers } = http_service.authorization_response;
  for (const name of [...IDENTITY, 'Cookie'])
    t.ok(isIn(allowed_upstream_headers, name), `${name} to the service`);
  for (const name of ['Set-Cookie', 'Retry-After', 'WWW-Authenticate', 'Content-Type', 'Cache-Control'])
    t.ok(isIn(allowed_client_headers, name), `${name} to the client`);
  for (const name of ['Authorization', 'Cookie', 'X-Auth-Subject'])
    t.equal(isIn(allowed_client_headers, name), false, `${name} not to the client`);
  const seen = [
    'Cookie',
    'Origin',
    'Sec-Fetch-Site',
    'Sec-WebSocket-Key',
    'X-Forwarded-For',
    'X.Auth.Subject',
  ];
  for (const name of [...seen, ...IDENTITY.slice(1)])
    t.ok(isIn(allowed_headers, name), `${name} to Doorward`);
  const added = http_service.authorization_request.headers_to_add as { key: string; value: string }[];
  t.match(added, [{ key: 'x-forward-auth-audience' }, {}, { key: 'x-forward-auth-cookie', value: 'strip' }]);
  t.end();
});

type Pattern = { exact?: string; prefix?: string; safe_regex?: { regex: string } };

/** Whether Envoy's list matches a header, whose name is in lower case there. */
function isIn({ patterns }: { patterns: Pattern[] }, name: string): boolean {
  const lower = name.toLowerCase();
  return patterns.some(
    ({ exact, prefix, safe_regex }) =>
      lower === exact ||
      (prefix !== undefined && lower.startsWith(prefix)) ||
      (safe_regex !== undefined && new RegExp(`^(?:${safe_regex.regex})$`).test(lower)),
  );
}
