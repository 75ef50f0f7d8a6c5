/** `REDIS_URL`, decoded. Plain and Sentinel have a database number; a cluster has only database 0. */
export type RedisTarget =
  | { kind: 'plain'; url: string; hosts: string }
  | {
      kind: 'sentinel' | 'cluster';
      nodes: RedisNode[];
      hosts: string;
      credentials: Credentials;
      name: string;
      db: number;
    };

type RedisNode = { host: string; port: number };
type Credentials = { username?: string; password?: string };

const MANY = /^redis\+(sentinel|cluster):\/\/(?:([^@/]*)@)?([^/@]+)(?:\/([\w.-]+))?(?:\/(\d+))?$/;
const DEFAULT_PORTS = { sentinel: 26_379, cluster: 6_379 };

/**
 * Reads `redis://…`, `rediss://…`, `redis+sentinel://[user:password@]host:port,…/NAME[/DB]` (the credentials are those
 * of the Redis servers) or `redis+cluster://[user:password@]host:port,…`.
 * @returns null for anything else
 */
export function parseRedisUrl(url: string): RedisTarget | null {
  if (/^rediss?:\/\//.test(url)) return parsePlain(url);
  const [, kind, login = '', list = '', name = '', db = '0'] = MANY.exec(url) ?? [];
  if (kind !== 'sentinel' && kind !== 'cluster') return null;
  const nodes = list.split(',').map((address) => parseNode(address, DEFAULT_PORTS[kind]));
  const credentials = parseLogin(login);
  if (!nodes.every((node) => node !== null) || credentials === null) return null;
  if ((kind === 'sentinel') !== (name !== '')) return null;
  return { kind, nodes, hosts: nodes.map(({ host }) => host).join(', '), credentials, name, db: Number(db) };
}

function parsePlain(url: string): RedisTarget | null {
  const parsed = URL.parse(url);
  if (parsed === null || parsed.hostname === '') return null;
  return (
    parseLogin(`${parsed.username}:${parsed.password}`) && { kind: 'plain', url, hosts: parsed.hostname }
  );
}

function parseNode(address: string, defaultPort: number): RedisNode | null {
  const parsed = URL.parse(`redis://${address}`);
  // Only host and port are allowed: a query would have no effect, and must not seem to have one.
  if (parsed === null || parsed.hostname === '' || parsed.href !== `redis://${parsed.host}`) return null;
  return { host: parsed.hostname.replace(/^\[|\]$/g, ''), port: Number(parsed.port || defaultPort) };
}

/** Null if the percent-encoding is broken. A password may hold colons, as in any URL. */
function parseLogin(login: string): Credentials | null {
  if (login === '') return {};
  const colon = login.indexOf(':');
  const [username, password] = [login.slice(0, Math.max(colon, 0)), login.slice(colon + 1)];
  try {
    return {
      ...(username && { username: decodeURIComponent(username) }),
      password: decodeURIComponent(password),
    };
  } catch {
    return null;
  }
}
