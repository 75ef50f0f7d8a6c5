import type { GatewayReport } from '../gateway/gateway-report.ts';
import { CommandLineError } from './command-line-error.ts';

const DEADLINE_MS = 10_000;

/**
 * Asks the server, through its gateway, how this very request arrived.
 * @param url where users reach the server
 * @throws CommandLineError with how far the request got
 */
export async function fetchGatewayReport(url: string, accessToken: string): Promise<GatewayReport> {
  const at = `${url.replace(/\/+$/, '')}/admin/doctor`;
  const headers = { authorization: `Bearer ${accessToken}`, accept: 'application/json' };
  const options = { headers, redirect: 'manual', signal: AbortSignal.timeout(DEADLINE_MS) } as const;
  const unreached = (cause: Error): never => {
    throw new CommandLineError(`${at} cannot be reached: ${reasonOf(cause)}.`);
  };
  const response = await fetch(at, options).catch(unreached);
  const body = await response.text().catch(unreached);
  const report = response.status === 200 ? parse(body) : null;
  if (report === null) throw new CommandLineError(explain(at, response, body));
  return report;
}

function reasonOf({ message, cause }: Error): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return code || message;
}

function parse(body: string): GatewayReport | null {
  try {
    const report = JSON.parse(body);
    return report?.chain && report.headers && report.cookie && report.problems ? report : null;
  } catch {
    // Not JSON, for example an error page of a proxy.
    return null;
  }
}

function explain(at: string, response: Response, body: string): string {
  const location = response.headers.get('location');
  if (location !== null) return `${at} answers ${response.status} and sends on to ${location}.`;
  if (body.includes('urn:doorward:problem:invalid_token'))
    return `${at} is a server of Doorward, with other keys or another PUBLIC_URL than these settings, or its gateway drops the Authorization header.`;
  return `${at} answers ${response.status}, and not as this server would: look at the paths that the gateway passes on, and at PATH_PREFIX.`;
}

/** The report as text. */
export function gatewayReportText(report: GatewayReport): string {
  const told = Object.entries(report.headers).map(
    ([name, value]) => `  ${name.padEnd(18)} ${value ?? '(none)'}`,
  );
  const chain = report.chain.map(
    ({ address, trusted }) => `  ${address.padEnd(40)} ${trusted ? 'trusted' : 'not trusted'}`,
  );
  const lines = [
    'Headers as they arrived',
    ...told,
    'Chain, from the connection outwards',
    ...chain,
    'What the server makes of it',
    `  client address     ${report.client_address}`,
    `  scheme and host    ${report.scheme}://${report.host}`,
    `  path               ${report.path} (PATH_PREFIX ${report.path_prefix || 'is empty'})`,
    `  PUBLIC_URL         ${report.public_url}`,
    `  cookie             ${report.cookie.name} ${report.cookie.sticks ? 'sticks' : 'does not stick'}`,
    ...(report.problems.length === 0
      ? ['All is well.']
      : ['To mend', ...report.problems.map((one) => `  ${one}`)]),
  ];
  return `${lines.join('\n')}\n`;
}
