/**
 * Whether a host is this very machine, to which browsers give secure cookies even over plain http.
 * @param hostname as `URL` has it: without a port, IPv6 in brackets
 */
export function isLoopbackHost(hostname: string): boolean {
  return /^(.+\.)?localhost$|^127(\.\d+){3}$|^\[::1\]$/.test(hostname);
}
