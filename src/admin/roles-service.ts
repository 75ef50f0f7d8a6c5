import { readUserName, requireUser } from '../accounts/user-name.ts';
import { type Actor, byActor } from '../audit/audit-event.ts';
import type { AuditService } from '../audit/audit-service.ts';
import { isAdminScope } from '../core/admin-scopes.ts';
import { AppError, validationFailed } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { SessionService } from '../sessions/session-service.ts';
import type { RoleHolder, RoleHoldersStore } from './role-holders-store.ts';
import {
  ADMIN_ROLE,
  added,
  checkRole,
  checkRolesOfUser,
  hasAdminScope,
  inOrder,
  isSameList,
  MOST_ROLES,
  type Role,
  type RoleWish,
  unknownRoles,
} from './role-rules.ts';
import type { RoleSpreadLane } from './role-spread.ts';
import type { RolesStore } from './roles-store.ts';

type RolesServiceParts = {
  store: RolesStore;
  holders: RoleHoldersStore;
  spread: RoleSpreadLane;
  sessions: Pick<SessionService, 'claimsChanged'>;
  audit: AuditService;
  transact: Transact;
};

/** A user, their canonical address, and the names of their roles, as commands answer. */
export type GrantedRoles = { id: string; email: string; roles: string[] };

export type RolesService = ReturnType<typeof createRolesService>;

/**
 * Roles, and who has which. What opens `/admin` is given on the machine alone, and never taken from the last who has it:
 * whoever comes over HTTP may take away, but no token, however it was got, can make an admin.
 */
export function createRolesService(parts: RolesServiceParts) {
  const { store, holders, spread, sessions, audit, transact } = parts;

  return {
    /** All roles, by name. @throws AppError `unavailable` */
    list: store.list,
    put: (wish: RoleWish, actor: Actor): Promise<Role> =>
      transact((transaction) => putIn(transaction, wish, actor)),
    remove: (name: string, actor: Actor): Promise<void> =>
      transact((transaction) => removeIn(transaction, name, actor)),
    setRoles,
    requireOtherAdmin,
    requireMachineForAdmin,
    requireReach,

    /** Gives a user one role more. @param user an address or an id @throws AppError as `setRoles` */
    grant: (user: string, role: string, actor: Actor): Promise<GrantedRoles> =>
      changeOf(user, (roles) => [...roles, role], actor),

    /** Takes one role from a user, if they have it. @param user an address or an id @throws AppError as `setRoles` */
    revoke: (user: string, role: string, actor: Actor): Promise<GrantedRoles> =>
      changeOf(user, (roles) => roles.filter((name) => name !== role), actor),
  };

  /**
   * Makes a role, or replaces its scopes. The tokens of those who have it follow: the next ones say the new scopes at once,
   * and earlier ones are void as fast as the lane gets to their users.
   * @throws AppError `validation_failed`, `only_on_the_machine`, `last_admin`, `unavailable`
   */
  async function putIn(transaction: Transaction, wish: RoleWish, actor: Actor): Promise<Role> {
    checkRole(wish);
    await store.lock(transaction);
    const before = await store.find(transaction, wish.name);
    if (before === null) await requireRoom(transaction, wish.name);
    const { scopes: had, description: described } = before ?? NO_ROLE;
    const { description = described } = wish;
    const after: Role = { name: wish.name, scopes: inOrder(wish.scopes), description };
    requireMachineForScopes(actor, added(had, after.scopes), wish.name);
    if (wish.name === ADMIN_ROLE) requireAllOf(had, after.scopes);
    const scopesChange = !isSameList(had, after.scopes);
    if (before !== null && !scopesChange && described === description) return after;
    await store.save(transaction, after);
    await record(transaction, 'role.changed', { before, after }, actor);
    if (scopesChange) await spread.send(transaction, { role: wish.name, removedBy: null, after: null });
    return after;
  }

  /** @throws AppError `validation_failed` */
  async function requireRoom(transaction: Transaction, name: string): Promise<void> {
    // Otherwise those from whom it has not been taken yet would have it again.
    if (await spread.isPending(transaction, 'role', name)) throw refusedName(BEING_TAKEN);
    if ((await store.count(transaction)) >= MOST_ROLES)
      throw refusedName(`there are ${MOST_ROLES} roles already`);
  }

  /**
   * Removes a role. At once it gives nobody any scope in a new token, and the lane takes it from those who have it.
   * @throws AppError `not_found`, `last_admin`, `unavailable`
   */
  async function removeIn(transaction: Transaction, name: string, actor: Actor): Promise<void> {
    await store.lock(transaction);
    const before = await store.find(transaction, name);
    if (before === null) throw new AppError('not_found', { detail: `There is no role ${name}.` });
    if (name === ADMIN_ROLE)
      throw new AppError('last_admin', {
        detail: 'The role admin cannot be removed: nobody could administer.',
      });
    await store.remove(transaction, name);
    await record(transaction, 'role.removed', { before, after: null }, actor);
    const { kind, id } = actor;
    await spread.send(transaction, { role: name, removedBy: { kind, id }, after: null });
  }

  async function record(
    transaction: Transaction,
    kind: 'role.changed' | 'role.removed',
    details: { before: Role | null; after: Role | null },
    actor: Actor,
  ): Promise<void> {
    await audit.record(transaction, { kind, userId: null, ...byActor(actor), details });
  }

  /**
   * Replaces the roles of a user, notes it, and makes the user's earlier tokens void. Nothing happens if they are the same.
   * Roles that the user has already may stay, even those that are no longer there.
   * @param roles names, in any order
   * @returns the roles as they are stored
   * @throws AppError `not_found` for an unknown user; `validation_failed` for an unknown role or too many;
   *   `only_on_the_machine` for a new role with a scope of `/admin`, over HTTP; `last_admin`
   */
  async function setRoles(
    transaction: Transaction,
    userId: string,
    roles: string[],
    actor: Actor,
  ): Promise<string[]> {
    const name = { id: userId };
    const user = requireUser(await holders.lock(transaction, name), name);
    return setRolesOf(transaction, user, roles, actor);
  }

  async function setRolesOf(
    transaction: Transaction,
    { id: userId, roles: before }: RoleHolder,
    roles: string[],
    actor: Actor,
  ): Promise<string[]> {
    const after = inOrder(roles);
    if (isSameList(before, after)) return after;
    checkRolesOfUser(after);
    // First, as it locks what a change of a role locks first.
    if (!after.includes(ADMIN_ROLE)) await requireOtherAdmin(transaction, userId);
    await requireGrantable(transaction, added(before, after), actor);
    await holders.save(transaction, userId, after);
    await sessions.claimsChanged(transaction, userId);
    await audit.record(transaction, {
      kind: 'account.roles_changed',
      ...{ userId, ...byActor(actor) },
      details: { before, after },
    });
    return after;
  }

  async function requireGrantable(transaction: Transaction, names: string[], actor: Actor): Promise<void> {
    if (names.length === 0) return;
    const roles = await store.hold(transaction, names);
    unknownRoles(names.filter((name) => !roles.some((role) => role.name === name)));
    const power = roles.find(({ scopes }) => hasAdminScope(scopes));
    if (power !== undefined && actor.kind !== 'operator')
      throw new AppError('only_on_the_machine', {
        detail: `The role ${power.name} opens /admin: grant it with \`doorward users grant ADDRESS ${power.name}\`.`,
      });
  }

  /**
   * To be called before a user is banned, deleted, or loses the role `admin`: they must not be the last active user with it.
   * The user must be locked. Of two transactions that ask at the same time, one waits until the other one has ended. Own
   * deletion does not ask.
   * @throws AppError `last_admin`
   */
  async function requireOtherAdmin(transaction: Transaction, userId: string): Promise<void> {
    if (!(await holders.isActiveAdmin(transaction, userId))) return;
    await store.lock(transaction);
    if (!(await holders.hasOtherAdmin(transaction, userId)))
      throw new AppError('last_admin', {
        detail:
          'This is the last active user with the role admin: first `doorward users grant ADDRESS admin` to another.',
      });
  }

  /**
   * To be called before the address of a user changes: whoever reads its mails can set the password, and so has all that the
   * user may do. A stolen token must not get an admin's account that way, not even a token that may do everything.
   * @param user locked
   * @throws AppError `only_on_the_machine` for a user who may do something under `/admin`, over HTTP
   */
  async function requireMachineForAdmin(
    transaction: Transaction,
    { id, roles }: RoleHolder,
    { kind }: Actor,
  ): Promise<void> {
    if (kind === 'operator' || (await adminScopesOf(transaction, roles)).length === 0) return;
    throw new AppError('only_on_the_machine', {
      detail: `This account opens /admin, so only its owner changes its address over HTTP: \`doorward users change ${id} --email ADDRESS\`.`,
    });
  }

  /**
   * To be called before a ban is lifted or replaced: it gives back what the user may do.
   * @param user locked
   * @throws AppError `insufficient_scope` for a user who may do more under `/admin` than the actor
   */
  async function requireReach(
    transaction: Transaction,
    { roles }: RoleHolder,
    { kind, scopes = [] }: Actor,
  ): Promise<void> {
    if (kind === 'operator') return;
    const missing = added(scopes, await adminScopesOf(transaction, roles));
    if (missing.length > 0)
      throw new AppError('insufficient_scope', {
        detail: `This user has a scope that you lack: ${missing[0]}.`,
      });
  }

  /** The scopes of the roles that are of this server itself. Until the transaction ends, they stay. */
  async function adminScopesOf(transaction: Transaction, names: string[]): Promise<string[]> {
    const roles = await store.hold(transaction, names);
    return inOrder(roles.flatMap(({ scopes }) => scopes)).filter(isAdminScope);
  }

  async function changeOf(
    user: string,
    change: (roles: string[]) => string[],
    actor: Actor,
  ): Promise<GrantedRoles> {
    const name = readUserName(user, '/email');
    return transact(async (transaction) => {
      const holder = requireUser(await holders.lock(transaction, name), name);
      const roles = await setRolesOf(transaction, holder, change(holder.roles), actor);
      return { ...holder, roles };
    });
  }
}

const NO_ROLE: Omit<Role, 'name'> = { scopes: [], description: '' };

const BEING_TAKEN =
  'was removed, and is still being taken from the users who had it, by a server that runs: try again in a minute, or see `doorward outbox list`';

function refusedName(message: string): AppError {
  return validationFailed([{ path: '/name', message }]);
}

/** @throws AppError `only_on_the_machine` */
function requireMachineForScopes(actor: Actor, scopes: string[], role: string): void {
  if (actor.kind === 'operator' || !hasAdminScope(scopes)) return;
  const detail = `Scopes that begin with admin: open /admin: give them with \`doorward roles set ${role} --scope …\`.`;
  throw new AppError('only_on_the_machine', { detail });
}

/** @throws AppError `last_admin` when the role `admin` would lose a scope */
function requireAllOf(before: string[], after: string[]): void {
  const lost = added(after, before).filter((scope) => hasAdminScope([scope]));
  if (lost.length > 0)
    throw new AppError('last_admin', {
      detail: `The role admin cannot lose a scope: keep ${lost.join(', ')}.`,
    });
}
