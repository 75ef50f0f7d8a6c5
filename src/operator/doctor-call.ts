import type { GatewayReport } from '../gateway/gateway-report.ts';
import { CommandLineError } from './command-line-error.ts';
import { aligned } from './table.ts';

const DEADLINE_MS = 10_000;

/**
 * Asks the server, through its gateway, how this very request arrived.
 * @param url where users reach the server
 * @throws CommandLineError with how far the request got
 */
export async function fetchGatewayReport(url: string, accessToken: string): Promise<GatewayReport> {
  if (!isPlainUrl(url)) throw new CommandLineError(NO_URL);
  const at = `${url.replace(/\/+$/, '')}/admin/doctor`;
  const headers = { authorization: `Bearer ${accessToken}`, accept: 'application/json' };
  const options = { headers, redirect: 'manual', signal: AbortSignal.timeout(DEADLINE_MS) } as const;
  const unreached = (cause: Error): never => {
    throw new CommandLineError(
      `${at} cannot be reached: ${reasonOf(cause)}. Look at the URL (--url, otherwise PUBLIC_URL), and whether the server and its gateway run.`,
    );
  };
  const response = await fetch(at, options).catch(unreached);
  const body = await response.text().catch(unreached);
  const report = response.status === 200 ? parse(body) : null;
  if (report === null) throw new CommandLineError(explain(at, response, body));
  return report;
}

// Without what was given: it may hold a password.
const NO_URL =
  '--url is no http or https URL without user and password. Give one such as https://auth.example.com, or leave it out for PUBLIC_URL.';

function isPlainUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && `${url.username}${url.password}` === '';
}

function reasonOf({ message, cause }: Error): string {
  if (!(cause instanceof Error)) return message;
  return 'code' in cause ? String(cause.code) : cause.message;
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
  const { headers, chain, cookie, problems } = report;
  const outcome = [
    ['client address', report.client_address],
    ['scheme and host', `${report.scheme}://${report.host}`],
    ['path', `${report.path} (PATH_PREFIX ${report.path_prefix || 'is empty'})`],
    ['PUBLIC_URL', report.public_url],
    ['cookie', `${cookie.name} ${cookie.sticks ? 'sticks' : 'does not stick'}`],
  ];
  return [
    part(
      'Headers as they arrived',
      Object.entries(headers).map(([name, value]) => [name, value ?? '(none)']),
    ),
    part(
      'Chain, from the connection outwards',
      chain.map(({ address, trusted }) => [address, trusted ? 'trusted' : 'not trusted']),
    ),
    part('What the server makes of it', outcome),
    problems.length === 0
      ? 'All is well.\n'
      : part(
          'To mend',
          problems.map((one) => [one]),
        ),
  ].join('');
}

function part(title: string, rows: string[][]): string {
  return `${title}\n${aligned(rows.map(([first, ...rest]) => [`  ${first}`, ...rest]))}`;
}
