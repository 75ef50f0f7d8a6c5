import { globSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';
import { test } from 'tap';

/** A file as its path in src/, and what it imports: such paths too, or names of packages. */
type Graph = Map<string, string[]>;

type Rule = {
  name: string;
  /** `from` is a path in src/ ("sessions/session-store.ts"); `to` is one too, or a package ("fastify"). */
  forbids(from: string, to: string): boolean;
  /** Single imports that the rule must catch, and others that it must accept. */
  caught: Import[];
  passed: Import[];
};
type Import = [from: string, to: string];

/**
 * The rooms in their order: a file imports only from its own room and from those below. Files directly in src/ are
 * above all of them. Some rooms do not exist yet, but their place is decided.
 */
const rooms = [
  'operator',
  'admin',
  'imports',
  'ui',
  'metrics',
  'gateway',
  'oauth',
  'accounts',
  'factors',
  'revocations',
  'tokens',
  'sessions',
  'keys',
  'codes',
  'mail',
  'webhooks',
  'audit',
  'passwords',
  'outbox',
  'http',
  'adapters',
  'cache',
  'db',
  'config',
  'core',
  'browser',
  'verifier',
];
/** Files directly in src/. */
const entries = [
  'app.ts',
  'cli.ts',
  'compile-cache.ts',
  'serve.ts',
  'server.ts',
  'services.ts',
  'workers.ts',
];
/** Rooms that are not features: their files serve all features. */
const grounds = ['http', 'adapters', 'cache', 'db', 'config', 'core', 'browser', 'verifier'];
const layers = ['store', 'service', 'routes'];

/** No I/O, no clock of their own, no framework. */
const pureFiles = [
  'accounts/email-address.ts',
  'audit/audit-event.ts',
  'config/database-url.ts',
  'config/hash-strength.ts',
  'config/misspelt-name.ts',
  'config/redis-target.ts',
  'core/clock.ts',
  'core/errors.ts',
  'core/jwk.ts',
  'core/log.ts',
  'core/loopback.ts',
  'core/user-claims.ts',
  'gateway/forward-auth-request.ts',
  'http/accept-header.ts',
  'http/brand.ts',
  'keys/rotation-plan.ts',
  'oauth/client-authentication.ts',
  'oauth/client-secret.ts',
  'oauth/oauth-error.ts',
  'outbox/outbox-rules.ts',
  'passwords/foreign-hash.ts',
  'passwords/guessable-pattern.ts',
  'passwords/hash-bounds.ts',
  'passwords/password-policy.ts',
  'passwords/stored-hash.ts',
  'passwords/word-list.ts',
  'revocations/revocation-part.ts',
  'revocations/revocation-window.ts',
  'sessions/generate-token.ts',
  'sessions/session-rules.ts',
  'tokens/access-token.ts',
  'ui/page-html.ts',
  'ui/render-page.ts',
  'ui/ui-pages.ts',
  'ui/ui-problem.ts',
  'ui/ui-texts.ts',
  'verifier/setup-error.ts',
  'verifier/token-claims.ts',
  'verifier/token-type.ts',
  'verifier/verifier-error.ts',
  'webhooks/webhook-event.ts',
  'webhooks/webhook-signature.ts',
];
const pureBuiltins = ['node:crypto', 'node:url'];

/** In addition to routes: plugins, and files that read or answer requests for several routes. */
const fastifyFiles = [
  'accounts/sign-up-cookie.ts',
  'accounts/sign-into.ts',
  'accounts/visitor.ts',
  'admin/require-operator.ts',
  'app.ts',
  'serve.ts',
  'server.ts',
  'gateway/gateway.ts',
  'metrics/traces.ts',
  'oauth/oauth-problem.ts',
  'oauth/require-reader.ts',
  'operator/command-socket.ts',
  'operator/take-commands.ts',
  'sessions/authenticate.ts',
  'sessions/device-cookie.ts',
  'sessions/device.ts',
  'sessions/session-cookie.ts',
  'tokens/access-token-check.ts',
  'ui/account-actions.ts',
  'ui/ui-actions.ts',
  'ui/ui-answers.ts',
];

const isStore = (path: string) => path.endsWith('-store.ts');
const isRoutes = (path: string) => path.endsWith('-routes.ts');
const isPure = (path: string) => pureFiles.includes(path);
const isIn = (folder: string, path: string) => path.startsWith(`${folder}/`);
/** The packages, and our own module that loads Drizzle. */
const isDatabase = (name: string) =>
  /^(drizzle-orm|postgres|@electric-sql\/pglite)(\/|$)/.test(name) || name === 'db/drizzle.ts';
const isFastify = (name: string) => /^(fastify([/-]|$)|@fastify\/)/.test(name);
const isRedis = (name: string) => /^ioredis(\/|$)/.test(name);
/** Not a package. A path that leaves src/ starts with `../`. */
const isOurs = (name: string) => name.endsWith('.ts') || name.startsWith('../');

const rules: Rule[] = [
  {
    name: 'every arrow runs down: from a room to itself or to one below',
    forbids: (from, to) => isOurs(to) && floorOf(to) < floorOf(from),
    caught: [
      ['core/errors.ts', 'http/problem.ts'],
      ['http/command-socket.ts', 'services.ts'],
      ['db/schema.ts', 'keys/key-material.ts'],
      ['cache/redis-cache.ts', 'adapters/adapters.ts'],
      ['sessions/session-service.ts', 'tokens/access-token.ts'],
      ['outbox/outbox-service.ts', 'sessions/session-cache.ts'],
      ['config/config.ts', 'app.ts'],
    ],
    passed: [
      ['app.ts', 'operator/take-commands.ts'],
      ['operator/run-command.ts', 'keys/open-keys.ts'],
      ['sessions/session-service.ts', 'outbox/outbox-service.ts'],
      ['sessions/session-service.ts', 'sessions/session-store.ts'],
      ['tokens/token-service.ts', 'verifier/check-token.ts'],
    ],
  },
  {
    name: 'routes import services, services import stores, and never the other way or past one',
    forbids: (from, to) => {
      const [upper, lower] = [layerOf(from), layerOf(to)];
      if (upper < 0 || lower < 0) return false;
      return lower > upper || upper - lower > 1;
    },
    caught: [
      ['sessions/session-store.ts', 'sessions/session-service.ts'],
      ['sessions/session-store.ts', 'sessions/session-routes.ts'],
      ['sessions/session-service.ts', 'tokens/token-routes.ts'],
      ['sessions/session-routes.ts', 'sessions/session-store.ts'],
    ],
    passed: [
      ['sessions/session-routes.ts', 'sessions/session-service.ts'],
      ['sessions/session-service.ts', 'sessions/session-store.ts'],
      ['tokens/token-service.ts', 'sessions/session-service.ts'],
    ],
  },
  {
    name: 'only stores, db/ and adapters/ know the database',
    forbids: (from, to) => isDatabase(to) && !isStore(from) && !isIn('db', from) && !isIn('adapters', from),
    caught: [
      ['sessions/session-service.ts', 'drizzle-orm'],
      ['app.ts', 'drizzle-orm/postgres-js'],
      ['keys/key-rotator.ts', 'postgres'],
      ['cli.ts', '@electric-sql/pglite'],
      ['sessions/session-service.ts', 'db/drizzle.ts'],
    ],
    passed: [
      ['sessions/session-store.ts', 'drizzle-orm/pg-core'],
      ['sessions/session-store.ts', 'db/drizzle.ts'],
      ['db/schema.ts', 'drizzle-orm'],
      ['adapters/production.ts', 'postgres'],
    ],
  },
  {
    name: 'only app, server, routes, http/ and the files named know Fastify',
    forbids: (from, to) =>
      isFastify(to) && !isRoutes(from) && !isIn('http', from) && !fastifyFiles.includes(from),
    caught: [
      ['sessions/session-service.ts', 'fastify'],
      ['tokens/token-service.ts', '@fastify/jwt'],
      ['adapters/production.ts', 'fastify-plugin'],
    ],
    passed: [
      ['app.ts', 'fastify'],
      ['server.ts', 'fastify'],
      ['tokens/token-routes.ts', '@fastify/type-provider-typebox'],
      ['sessions/session-cookie.ts', '@fastify/cookie'],
      ['http/problem.ts', 'fastify'],
    ],
  },
  {
    name: 'pure files import pure files and helpers only',
    forbids: (from, to) => {
      if (!isPure(from)) return false;
      if (isOurs(to)) return !isPure(to);
      if (isBuiltin(to)) return !pureBuiltins.includes(to);
      return isFastify(to) || isDatabase(to) || isRedis(to);
    },
    caught: [
      ['sessions/session-rules.ts', 'sessions/session-store.ts'],
      ['core/errors.ts', 'config/config.ts'],
      ['core/errors.ts', '../package.json'],
      ['tokens/access-token.ts', 'node:fs'],
      ['keys/rotation-plan.ts', 'fs'],
      ['tokens/access-token.ts', '@fastify/jwt'],
      ['core/clock.ts', 'ioredis'],
    ],
    passed: [
      ['sessions/session-rules.ts', 'core/clock.ts'],
      ['sessions/generate-token.ts', 'node:crypto'],
      ['accounts/email-address.ts', 'node:url'],
      ['passwords/password-policy.ts', '@zxcvbn-ts/core'],
    ],
  },
  {
    name: "a feature never imports another feature's store",
    forbids: (from, to) => {
      const [user, owner] = [featureOf(from), featureOf(to)];
      return isStore(to) && user !== undefined && owner !== undefined && user !== owner;
    },
    caught: [
      ['tokens/token-service.ts', 'sessions/session-store.ts'],
      ['sessions/session-store.ts', 'accounts/account-store.ts'],
    ],
    passed: [
      ['sessions/session-service.ts', 'sessions/session-store.ts'],
      ['app.ts', 'sessions/session-store.ts'],
    ],
  },
  {
    name: 'browser/ imports nothing outside its folder',
    forbids: (from, to) => isIn('browser', from) && !isIn('browser', to),
    caught: [
      ['browser/session.ts', 'core/errors.ts'],
      ['browser/session.ts', 'node:crypto'],
      ['browser/session.ts', 'jose'],
    ],
    passed: [['browser/session.ts', 'browser/refresh.ts']],
  },
  {
    name: 'verifier/ imports nothing outside its folder but jose',
    forbids: (from, to) => isIn('verifier', from) && !isIn('verifier', to) && to !== 'jose',
    caught: [
      ['verifier/verify.ts', 'tokens/access-token.ts'],
      ['verifier/fastify.ts', 'fastify'],
    ],
    passed: [
      ['verifier/verify.ts', 'jose'],
      ['verifier/fastify.ts', 'verifier/verify.ts'],
    ],
  },
];

/** -1: not of any layer. */
function layerOf(path: string): number {
  return layers.findIndex((layer) => path.endsWith(`-${layer}.ts`));
}

function featureOf(path: string): string | undefined {
  const room = roomOf(path);
  return room === undefined || grounds.includes(room) ? undefined : room;
}

/** Undefined for files directly in src/, or outside of it. */
function roomOf(path: string): string | undefined {
  return rooms.find((room) => isIn(room, path));
}

/** Counted from the top: 0 is src/ itself. Files outside of src/ are below everything. */
function floorOf(path: string): number {
  if (path.startsWith('../')) return Number.POSITIVE_INFINITY;
  return rooms.findIndex((room) => isIn(room, path)) + 1;
}

test('src/ keeps its floor plan', (t) => {
  const sources = globSync('src/**/*.ts').map((path): [string, string] => [
    posix.relative('src', path),
    readFileSync(path, 'utf8'),
  ]);
  const graph = graphOf(sources);
  t.ok(graph.has('core/errors.ts'), 'the files were found');
  for (const rule of rules) t.same(violations(rule, graph), [], rule.name);
  t.same(findCycle(graph), undefined, 'no import cycles');
  t.same(strangers([...graph.keys()]), [], 'every file is in a room, or one of the entries');
  t.same(twins([...graph.keys()]), [], 'no two files of one name in different rooms');
  t.same(
    pureFiles.filter((path) => !graph.has(path)),
    [],
    'every pure file is there',
  );
  t.end();
});

test('catches files outside of all rooms, and twins', (t) => {
  t.same(strangers(['app.ts', 'core/errors.ts', 'clients/a.ts', 'helper.ts']), ['clients/a.ts', 'helper.ts']);
  t.same(twins(['core/a.ts', 'core/deep/b.ts', 'http/b.ts', 'browser/index.ts', 'verifier/index.ts']), [
    'b.ts',
  ]);
  t.end();
});

for (const rule of rules) {
  test(`catches what breaks the rule: ${rule.name}`, (t) => {
    for (const [from, to] of rule.caught) t.same(violations(rule, lone(from, to)), [`${from} -> ${to}`]);
    for (const [from, to] of rule.passed) t.same(violations(rule, lone(from, to)), []);
    t.end();
  });
}

test('sees every kind of import, those of types included', (t) => {
  const kinds = [
    `import { a } from './b.ts';`,
    `import './b.ts';`,
    `import type { A } from './b.ts';`,
    `import { type A } from './b.ts';`,
    `export { a } from './b.ts';`,
    `export * from './b.ts';`,
    `export type { A } from './b.ts';`,
    `const b = await import('./b.ts');`,
    'const b = await import(`./b.ts`);',
    `let a: import('./b.ts').A;`,
  ];
  for (const source of kinds) t.same(importsOf('sessions/a.ts', source), ['sessions/b.ts'], source);
  t.same(importsOf('sessions/a.ts', `import { x } from '../core/x.ts'; import f from 'fastify';`), [
    'core/x.ts',
    'fastify',
  ]);
  t.throws(
    () => importsOf('a.ts', 'await import(name)'),
    /a\.ts/,
    'an import that cannot be followed is refused',
  );
  t.throws(() => importsOf('a.ts', 'import {'), /a\.ts/, 'a file that does not parse is refused');
  t.end();
});

test('catches import cycles, those of types and of one file included', (t) => {
  const cycle = graphOf([
    ['a.ts', `import './b.ts';`],
    ['b.ts', `import type { C } from './c.ts';`],
    ['c.ts', `import './b.ts';`],
  ]);
  t.same(findCycle(cycle), ['b.ts', 'c.ts', 'b.ts']);
  t.same(findCycle(graphOf([['a.ts', `import './a.ts';`]])), ['a.ts', 'a.ts']);
  const diamond = graphOf([
    ['a.ts', `import './b.ts'; import './c.ts';`],
    ['b.ts', `import './d.ts';`],
    ['c.ts', `import './d.ts';`],
    ['d.ts', ''],
  ]);
  t.same(findCycle(diamond), undefined);
  t.end();
});

function strangers(paths: string[]): string[] {
  return paths.filter((path) => roomOf(path) === undefined && !entries.includes(path));
}

/** Names that two files have. `index.ts` is allowed: it is the entry of a published module. */
function twins(paths: string[]): string[] {
  const byName = Object.groupBy(paths, (path) => posix.basename(path));
  return Object.keys(byName).filter((name) => name !== 'index.ts' && (byName[name]?.length ?? 0) > 1);
}

/** The graph of one file with one import, through real source text. */
function lone(from: string, to: string): Graph {
  const specifier = isOurs(to) ? posix.relative(posix.dirname(from), to).replace(/^(?!\.)/, './') : to;
  return graphOf([[from, `import type { X } from '${specifier}';`]]);
}

function violations(rule: Rule, graph: Graph): string[] {
  return [...graph].flatMap(([from, targets]) =>
    targets.filter((to) => rule.forbids(from, to)).map((to) => `${from} -> ${to}`),
  );
}

function graphOf(sources: [path: string, source: string][]): Graph {
  return new Map(sources.map(([path, source]) => [path, importsOf(path, source)]));
}

function importsOf(path: string, source: string): string[] {
  const { module, program, errors } = parseSync(path, source);
  if (errors.length > 0) throw new Error(`${path} does not parse: ${errors[0]?.message}`);
  const specifiers = [
    ...module.staticImports.map((found) => found.moduleRequest.value),
    ...module.staticExports.flatMap(({ entries }) =>
      entries.flatMap((entry) => entry.moduleRequest?.value ?? []),
    ),
    ...module.dynamicImports.map(({ moduleRequest: { start, end } }) =>
      literal(path, source.slice(start, end)),
    ),
  ];
  new Visitor({ TSImportType: (node) => specifiers.push(node.source.value) }).visit(program);
  return [...new Set(specifiers)].map((specifier) => resolve(path, specifier));
}

function literal(path: string, expression: string): string {
  const text = expression.match(/^(['"`])([^'"`$]+)\1$/)?.[2];
  if (text === undefined) throw new Error(`${path} imports ${expression}, which cannot be followed`);
  return text;
}

function resolve(path: string, specifier: string): string {
  return specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier;
}

/** The first cycle that is found, as the path around it. */
function findCycle(graph: Graph): string[] | undefined {
  const done = new Set<string>();
  const walk = (path: string, trail: string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return undefined;
    const cycle = firstOf(graph.get(path) ?? [], (to) => walk(to, [...trail, path]));
    done.add(path);
    return cycle;
  };
  return firstOf([...graph.keys()], (path) => walk(path, []));
}

function firstOf<T, R>(items: T[], find: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}
