/**
 * Whether a host is this machine. Browsers send Secure cookies to it even over plain http.
 * @param hostname as `URL` returns it: without a port, IPv6 in brackets
 */
export function isLoopbackHost(hostname: string): boolean {
  return /^(.+\.)?localhost$|^127(\.\d+){3}$|^\[::1\]$/.test(hostname);
}
