import { loadConfig } from '../config/config.ts';
import { type Explanations, explanationOf } from './explanations.ts';

/** Why the server cannot listen, and what an operator can do about it. `PORT` stands for the name of either port. */
const EXPLANATIONS: Explanations = [
  [/^EADDRINUSE$/, 'another process listens there. Stop that one, or set PORT to another port'],
  [
    /^(EADDRNOTAVAIL|EINVAL|EAFNOSUPPORT)$/,
    'this machine has no such address. Set HOST to one of its own, to 127.0.0.1, or to 0.0.0.0 for all of them',
  ],
  [
    /^(EACCES|EPERM)$/,
    'the user of this process may not open this port. Set PORT to 1024 or more, or give the process CAP_NET_BIND_SERVICE',
  ],
  [/^(ENOTFOUND|EAI_\w+)$/, 'no address is known for this name. Set HOST to an address of this machine'],
];

/** `bind`: what a worker is told when its primary cannot listen. */
const LISTENING = ['listen', 'bind', 'getaddrinfo'];

/**
 * One sentence for an operator.
 * @param env the settings of the server
 * @returns null for an error that is not about listening
 */
export function explainListen(error: unknown, env: NodeJS.ProcessEnv): string | null {
  const { syscall, code, port } = Object(error);
  if (!LISTENING.includes(syscall)) return null;
  const text = explanationOf(EXPLANATIONS, code);
  if (text === undefined) return null;
  const { HOST, PORT, METRICS_PORT } = loadConfig(env);
  // The name of a host is looked up before there is a port, and the two ports are never the same.
  const name = port !== undefined && port === METRICS_PORT ? 'METRICS_PORT' : 'PORT';
  const { [name]: given } = { PORT, METRICS_PORT };
  return `Cannot listen at HOST=${HOST}, ${name}=${given}: ${text.replace('PORT', name)} (${code}).`;
}
