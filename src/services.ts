import { openAccounts } from './accounts/open-accounts.ts';
import type { Adapters } from './adapters/adapters.ts';
import { openPlatform } from './adapters/platform.ts';
import { openAdmin } from './admin/open-admin.ts';
import { openOperations } from './admin/open-operations.ts';
import { createRequireOperator } from './admin/require-operator.ts';
import { openAudit } from './audit/open-audit.ts';
import { openCodes } from './codes/open-codes.ts';
import type { Config } from './config/config.ts';
import type { DatabaseClock } from './core/clock.ts';
import { type Log, warning } from './core/log.ts';
import { startSweeping } from './db/sweep.ts';
import { openGateway } from './gateway/open-gateway.ts';
import { openKeys } from './keys/open-keys.ts';
import { openMail } from './mail/open-mail.ts';
import { openOAuth } from './oauth/open-oauth.ts';
import { createOperatorCommands } from './operator/operator-commands.ts';
import { openOutbox } from './outbox/open-outbox.ts';
import { openRevocations } from './revocations/open-revocations.ts';
import { openSessions } from './sessions/open-sessions.ts';
import { openTokens } from './tokens/open-tokens.ts';
import { openWebhooks } from './webhooks/open-webhooks.ts';

/**
 * Opens and starts everything that the routes need, in the order of dependencies.
 * @throws KeyEncryptionKeyError when the stored signing keys do not open; AppError `unavailable`
 */
export async function startServices(config: Config, adapters: Adapters, clock: DatabaseClock, log: Log) {
  const platform = openPlatform(config, adapters, clock, log);
  const outbox = openOutbox(platform);
  // Before what has timers: a template that cannot be used ends the start here.
  const mail = openMail(platform, outbox.service);
  const audit = openAudit(platform);
  // Before the first act.
  const webhooks = openWebhooks(platform, { outbox: outbox.service, audit: audit.service });
  const keys = openKeys(platform, { audit: audit.service });
  await keys.schedule.start().catch(async (error: unknown) => {
    await keys.close();
    platform.close();
    throw error;
  });
  const codes = openCodes(platform);
  const sessions = openSessions(platform, { outbox: outbox.service, audit: audit.service });
  const revocations = openRevocations(platform, adapters.hints);
  const tokens = openTokens(platform, { sessions: sessions.service, keys });
  const accounts = openAccounts(platform, {
    outbox: outbox.service,
    sessions: sessions.service,
    history: sessions.history,
    audit: audit.service,
    mail: mail.service,
    codes: codes.service,
  });
  const oauth = openOAuth(platform, tokens);
  const admin = openAdmin(platform, {
    outbox: outbox.service,
    sessions: sessions.service,
    audit: audit.service,
    mail: mail.service,
    codes: codes.service,
    accounts,
  });
  const operations = openOperations(platform, {
    ...{ audit: audit.service, keys, afterKeyChange: keys.schedule.look },
  });
  const { isRevoked } = revocations.feed;
  const gateway = openGateway(platform, { sessions: sessions.service, tokens, isRevoked });

  // These two first: they let go of others that hang, for which the outbox would wait.
  const opened = [
    mail,
    webhooks,
    outbox,
    keys,
    audit,
    codes,
    sessions,
    revocations,
    tokens,
    accounts,
    oauth,
    gateway,
    admin,
  ];
  outbox.service.start();
  await accounts.start();
  await revocations.feed.start();
  const sweeping = startSweeping(
    opened.flatMap(({ sweeps }) => sweeps),
    platform.transact,
    warning(log, 'could not delete expired rows: trying again in a minute'),
  );
  return {
    keys: keys.service,
    state: {
      hashQueue: accounts.hashQueue,
      keys: keys.service.state,
      revocations: revocations.feed.state,
      outbox: outbox.service.depths,
      pool: adapters.pool,
      now: clock.now,
    },
    audit: audit.service,
    sessions: sessions.service,
    revocations: revocations.feed,
    tokens: tokens.service,
    statuses: tokens.statuses,
    accounts: accounts.service,
    signUps: accounts.signUps,
    verification: accounts.verification,
    profiles: accounts.profiles,
    deletions: accounts.deletions,
    exports: accounts.exports,
    passwords: accounts.passwords,
    emailChange: accounts.emailChange,
    credentialRules: accounts.rules,
    mailIsOn: mail.service.isOn,
    clients: oauth.service,
    introspection: oauth.introspection,
    forwardAuth: gateway.service,
    admin,
    operations,
    requireOperator: createRequireOperator({
      ...{ statuses: tokens.statuses, now: clock.now, maxAuthAgeMs: config.ADMIN_MAX_AUTH_AGE },
    }),
    commands: createOperatorCommands(platform, {
      adapters,
      audit: audit.service,
      sessions: sessions.service,
      keys,
      operations,
      // The schedule keeps the keys ready.
      prepareKeys: async () => {},
      admin: async () => admin,
    }),
    async close(): Promise<void> {
      await sweeping.close();
      for (const { close } of opened) await close();
      platform.close();
    },
  };
}
