/** Scopes of this server itself begin with it, those that a later release may add too. */
const ADMIN_PREFIX = 'admin:';

/** Whether the scope is one of this server itself: it is given on the machine alone. */
export function isAdminScope(scope: string): boolean {
  return scope.startsWith(ADMIN_PREFIX);
}
