import type { RedisTarget } from '../config/redis-target.ts';
import { addressesOf, type Explanations, explanationOf } from './explanations.ts';

/** What Redis answers, or why a connection is not made; and what an operator can do about it. */
const EXPLANATIONS: Explanations = [
  [
    /ECONNREFUSED/,
    'no server accepts connections there. Start Redis, or correct the host and port in REDIS_URL',
  ],
  [/ENOTFOUND/, 'no host has this name. Correct it in REDIS_URL'],
  [
    /EAI_/,
    'the name of the host cannot be looked up. Look at the DNS of this machine, or correct the host in REDIS_URL',
  ],
  [
    /ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL/,
    'no network leads there from this machine. Correct the host in REDIS_URL, or look at the routes of the network',
  ],
  [/WRONGPASS/, 'the user or the password is wrong. Correct them in REDIS_URL'],
  [/NOAUTH/, 'it wants a password. Put one into REDIS_URL (redis://:PASSWORD@HOST)'],
  [/NOPERM/, 'its ACL does not let this user do what Doorward needs. Grant it the commands and the keys'],
  [/LOADING/, 'it is still reading its data'],
  [
    /READONLY/,
    'it is a replica, which takes no changes. Name the master in REDIS_URL, or make this one the master',
  ],
  [
    /MASTERDOWN/,
    'it is a replica that has lost its master. Look at the master, or name another one in REDIS_URL',
  ],
  [/CLUSTERDOWN/, 'the cluster does not serve all keys. Look at its nodes'],
  [/DB index is out of range/, 'it has no database of this number. Correct the number in REDIS_URL'],
  [
    /cluster support disabled/,
    'it is not a cluster. Write redis:// in REDIS_URL instead of redis+cluster://',
  ],
  [
    /CERT_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_/,
    'its certificate is not trusted. Let Node trust its authority (NODE_EXTRA_CA_CERTS), or name the host in REDIS_URL as the certificate has it',
  ],
  [
    /ERR_SSL_|EPROTO/,
    'no encrypted connection can be made. If Redis takes none at this port, write redis:// in REDIS_URL instead of rediss://',
  ],
  [
    /timed out|timeout|ETIMEDOUT/i,
    'it gives no answer in time. Check the host and port in REDIS_URL, whether that port is encrypted (rediss://) or not (redis://), and a firewall on the way',
  ],
  [
    // What the client says of Sentinels and clusters, also when it never had a connection.
    /Connection is closed/,
    'no connection can be made. Check the hosts and ports in REDIS_URL, and that Redis runs there',
  ],
  [
    /before secure TLS connection/,
    'no encrypted connection can be made. If Redis takes none at this port, write redis:// in REDIS_URL instead of rediss://',
  ],
  [
    /ECONNRESET|EPIPE/,
    'it closed the connection. Look at its log. If it takes encrypted connections only, write rediss:// in REDIS_URL',
  ],
];

/**
 * One sentence for an operator: where Redis is, what is wrong, and what to do. Never contains the password.
 * @param error from the client; it is logged too, so an error that is not known here needs no more words
 */
export function explainRedis(error: Error, target: RedisTarget): string {
  const { message, code } = ('lastNodeError' in error ? error.lastNodeError : error) as NodeJS.ErrnoException;
  return `${placeOf(target)}: ${explanationOf(EXPLANATIONS, `${code} ${message}`) ?? message}`;
}

/** The same for a channel that the ACL of the user does not name. The server goes on without it. */
export function explainChannel(target: RedisTarget, channel: string): string {
  return `${placeOf(target)}: its ACL does not let this user use the channel ${channel}. Replicas go on without it, and see each other's sign-outs a quarter of a second later. Grant it with: ACL SETUSER NAME &${channel}`;
}

function placeOf(target: RedisTarget): string {
  if (target.kind === 'plain') {
    const { hostname, port, username } = new URL(target.url);
    return `Redis at ${hostname}:${port || 6379}${userOf(decodeURIComponent(username))}`;
  }
  const { kind, nodes, credentials, name } = target;
  const group = kind === 'sentinel' ? `Redis ${JSON.stringify(name)} of the Sentinels` : 'Redis Cluster';
  return `${group} at ${addressesOf(nodes)}${userOf(credentials.username)}`;
}

function userOf(name: string | undefined): string {
  return name ? ` (user ${JSON.stringify(name)})` : '';
}
