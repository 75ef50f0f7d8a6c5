/** What each tab of the console needs. The server checks it: this only decides what is offered. */
export const TABS = [
  { path: '/', name: 'Overview', scope: 'admin:users:read' },
  { path: '/users', name: 'Users', scope: 'admin:users:read' },
  { path: '/audit', name: 'Audit', scope: 'admin:audit' },
  { path: '/clients', name: 'Clients', scope: 'admin:clients' },
  { path: '/keys', name: 'Keys', scope: 'admin:keys' },
  { path: '/outbox', name: 'Outbox', scope: 'admin:keys' },
  { path: '/settings', name: 'Settings', scope: 'admin:keys' },
];

/**
 * Whose token this is, and what it allows. Not verified: the token comes directly from the server, and is only read to decide
 * what to show.
 * @typedef {{ id: string, email: string, scopes: string[] }} Operator
 * @param {string} accessToken
 * @returns {Operator}
 */
export function operatorOf(accessToken) {
  const payload = (accessToken.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  const { sub, email, scope = '' } = JSON.parse(new TextDecoder().decode(bytes));
  const scopes = scope.split(' ').filter((/** @type {string} */ each) => each.startsWith('admin:'));
  return { id: sub, email, scopes };
}

/** @param {Operator} operator */
export function tabsOf({ scopes }) {
  return TABS.filter(({ scope }) => scopes.includes(scope));
}
