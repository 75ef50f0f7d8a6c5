import { randomUUID } from 'node:crypto';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import { openRoles } from '../../src/admin/open-roles.ts';
import type { Actor } from '../../src/audit/audit-event.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import { asc, eq, sql } from '../../src/db/drizzle.ts';
import { auditEvents, revocations, users } from '../../src/db/schema.ts';
import { openOutbox } from '../../src/outbox/open-outbox.ts';
import { openSessions } from '../../src/sessions/open-sessions.ts';
import type { TestDatabase } from './adapters.ts';
import { createPlatform } from './platform.ts';

type Teardown = { teardown(undo: () => unknown): void };

/** An operator who calls over HTTP. */
export const CALLER: Actor = { kind: 'client', id: 'console' };

/** Roles on a test's database, and users to give them to. Nothing is delivered before `deliverDue`. */
export async function openRoleRoom(t: Teardown, { database }: TestDatabase) {
  const platform = createPlatform(database);
  const outbox = openOutbox(platform).service;
  const audit = openAudit(platform).service;
  const { service: sessions, close } = openSessions(platform, { outbox, audit });
  t.teardown(async () => {
    await outbox.close();
    await close();
  });
  const roles = openRoles(platform, { outbox, sessions, audit });
  const accounts = createAccountStore(database);
  const { transact } = platform;

  return {
    ...{ roles, sessions, outbox, database, transact },
    /** @returns the id; the address is `<name>@example.com` */
    addUser: async (name: string, changes: Partial<typeof users.$inferInsert> = {}): Promise<string> => {
      const id = randomUUID();
      const email = `${name}@example.com`;
      await transact((transaction) =>
        accounts.insert(transaction, { id, email, emailAsTyped: email, passwordHash: 'hash' }),
      );
      await database
        .update(users)
        .set({ email, ...changes })
        .where(eq(users.id, id));
      return id;
    },
    rolesOf: async (id: string) => {
      const [row] = await database
        .select({ roles: users.roles, version: users.claimsVersion })
        .from(users)
        .where(eq(users.id, id));
      return row;
    },
    events: () =>
      database
        .select({
          kind: auditEvents.kind,
          userId: auditEvents.userId,
          actorKind: auditEvents.actorKind,
          actorId: auditEvents.actorId,
          details: auditEvents.details,
        })
        .from(auditEvents)
        .orderBy(asc(auditEvents.id)),
    countNotes: () => database.$count(revocations, sql`kind = 'user'`),
  };
}
