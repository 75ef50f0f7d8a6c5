import type { Platform } from '../adapters/platform.ts';
import { type Actor, byActor } from '../audit/audit-event.ts';
import type { AuditService } from '../audit/audit-service.ts';
import { effectiveSettings } from '../config/effective-settings.ts';
import { guardStore } from '../db/database-guard.ts';
import { DOCTOR_CLIENT_ID } from '../gateway/doctor-command.ts';
import type { openKeys } from '../keys/open-keys.ts';
import { openClientCommands } from '../oauth/open-oauth.ts';
import { openOutboxCommands } from '../outbox/open-outbox.ts';
import type { NoteAct } from '../outbox/outbox-commands.ts';
import { createStatsService } from './stats-service.ts';
import { createStatsStore } from './stats-store.ts';

type OperationsFeatures = {
  audit: AuditService;
  keys: ReturnType<typeof openKeys>;
  /** Makes the server that runs the act use a change of the keys at once. */
  afterKeyChange(): Promise<void>;
};

/** About a twentieth of a second. */
const MOST_COUNTED = 20_000;

export type Operations = ReturnType<typeof openOperations>;

/** What operators see and do of the server itself, over HTTP and by commands. */
export function openOperations(platform: Platform, { audit, keys, afterKeyChange }: OperationsFeatures) {
  const { config, database, guard, clock } = platform;
  const outbox = openOutboxCommands(platform);
  const noteBy =
    (actor: Actor): NoteAct =>
    (transaction, act) =>
      audit.record(transaction, { ...act, userId: null, ...byActor(actor) });
  return {
    clients: openClientCommands(platform, audit, [DOCTOR_CLIENT_ID]),
    keys: keys.commands(afterKeyChange),
    outbox: {
      list: outbox.list,
      listDead: outbox.listDead,
      retry: (wish: { id?: string }, actor: Actor) => outbox.retry(wish, noteBy(actor)),
      drop: (wish: { id: string }, actor: Actor) => outbox.drop(wish, noteBy(actor)),
    },
    settings: () => effectiveSettings(config),
    stats: createStatsService({
      store: guardStore('stats', createStatsStore(database, MOST_COUNTED), guard),
      now: clock.now,
      local: clock.local,
    }),
  };
}
