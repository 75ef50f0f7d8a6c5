import { type Actor, type AuditKind, byActor } from '../audit/audit-event.ts';
import type { AuditService } from '../audit/audit-service.ts';
import { isAdminScope } from '../core/admin-scopes.ts';
import { AppError, type FieldError, validationFailed } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { RevocationLog } from '../db/revocation-log.ts';
import { readPublicKeys } from './client-keys.ts';
import { createClientSecret, hashClientSecret } from './client-secret.ts';
import { isClientId } from './client-service.ts';
import type { ClientChanges, ClientStore, StoredClient, StoredCredentials } from './client-store.ts';

/** One service client, as operators and their programs see it. Instants are RFC 3339 in UTC. */
export type ClientListing = {
  client_id: string;
  name: string;
  authentication: 'secret' | 'public_keys';
  scopes: string[];
  audiences: string[];
  created_at: string;
  disabled_at: string | null;
};

/** A client and its secret, which is shown only now. Null if the client signs assertions. */
export type NewCredentials = { client: ClientListing; client_secret: string | null };

type ListArguments = { limit?: number; after?: string | undefined };

type RecordedAct = { id: string; actor: Actor; before?: StoredClient; details?: object };

type AddArguments = {
  id: string;
  name?: string;
  scopes?: string[];
  audiences?: string[];
  /** A JWK or JWK Set, for `private_key_jwt`; without it a secret is made. */
  public_keys?: unknown;
};

/** `scopes` may be empty, to take all away. */
type UpdateArguments = { id: string } & ClientChanges;

type RotateArguments = {
  id: string;
  /** How long earlier secrets stay valid, at most. */
  overlap_ms: number;
  public_keys?: unknown;
};

type ClientCommandParts = {
  store: ClientStore;
  transact: Transact;
  revocations: RevocationLog;
  audit: AuditService;
  /** Audiences for which a client may get, see and redeem tokens. */
  audiences: string[];
  /** Ids that are the `client_id` of other kinds of tokens. */
  reservedIds: string[];
};

/** RFC 6749 §3.3. */
const SCOPE = /^[!#-[\]-~]{1,100}$/;
const MAX_NAME_LENGTH = 100;

/** What operators can do to the service clients. Plain JSON in, plain JSON out. Each change is in the audit. */
export function createClientCommands(parts: ClientCommandParts) {
  const { store, transact, revocations, audit, audiences: known, reservedIds } = parts;
  return {
    /** All clients by id, or a part of them. */
    list: async ({ limit, after }: ListArguments = {}): Promise<ClientListing[]> =>
      (await store.list(limit, after)).map(toListing),

    /** @throws AppError `not_found` */
    async get(id: string): Promise<ClientListing> {
      const client = await store.find(id);
      if (client === null) throw unknown(id);
      return toListing(client);
    },

    /** @throws AppError `validation_failed`; `only_on_the_machine` for a scope of operators */
    async add(
      { id, name = id, scopes = [], audiences = [], public_keys }: AddArguments,
      actor: Actor,
    ): Promise<NewCredentials> {
      refuse([...problemsOfId(id), ...problemsOf({ name, scopes, audiences })]);
      refusePower(scopes, actor, `clients add ${id} --scope …`);
      const { stored, secret } = newCredentials(public_keys);
      const client = { id, name, scopes: unique(scopes), audiences: unique(audiences), ...stored };
      // Read before the commit: what fails after it would keep the secret from being shown.
      const added = await transact(async (transaction) => {
        if (!(await store.insert(transaction, client))) return undefined;
        return record(transaction, 'client.added', { id, actor });
      });
      if (added === undefined)
        throw validationFailed([problem('/client_id', id, 'is the id of another client')]);
      return { client: added, client_secret: secret };
    },

    /**
     * Replaces what is given; the rest stays. Its tokens that say more than it has then are inactive. If a scope or an
     * audience is taken away, services that follow the revocation feed refuse all that it has got until then.
     * @throws AppError `not_found`, `validation_failed`; `only_on_the_machine` for a new scope of operators
     */
    async update({ id, name, scopes, audiences }: UpdateArguments, actor: Actor): Promise<ClientListing> {
      const changes = {
        ...(name !== undefined && { name }),
        ...(scopes && { scopes: unique(scopes) }),
        ...(audiences && { audiences: unique(audiences) }),
      };
      if (Object.keys(changes).length === 0)
        throw new AppError('validation_failed', { detail: NOTHING_TO_CHANGE });
      refuse(problemsOf(changes));
      return transact(async (transaction) => {
        const before = await getIn(transaction, id);
        const added = (scopes ?? []).filter((scope) => !before.scopes.includes(scope));
        refusePower(added, actor, `clients update ${id} --scope …`);
        await store.update(transaction, id, changes);
        if (takesAway(before, changes)) await noteChange(transaction, id);
        return record(transaction, 'client.changed', { id, actor, before });
      });
    },

    /**
     * New credentials for a client. Its earlier secrets stay valid for the overlap; public keys are replaced at once.
     * @throws AppError `not_found`, `validation_failed`; `only_on_the_machine` for a client with a scope of operators:
     *   whoever has only `admin:clients`, or a stolen token of the client, would have these scopes from then on
     */
    async rotateSecret(
      { id, overlap_ms, public_keys }: RotateArguments,
      actor: Actor,
    ): Promise<NewCredentials> {
      const { stored, secret } = newCredentials(public_keys);
      const client = await transact(async (transaction) => {
        const before = await getIn(transaction, id);
        // The new secret would not be accepted.
        if (before.disabledAt !== null) throw disabled(id);
        refusePower(before.scopes, actor, `clients rotate-secret ${id}`);
        await store.replaceCredentials(transaction, id, stored, overlap_ms);
        const details = { overlap_seconds: overlap_ms / 1000 };
        return record(transaction, 'client.secret_rotated', { id, actor, before, details });
      });
      return { client, client_secret: secret };
    },

    /** Disables a client, so that it cannot authenticate, and its tokens are inactive. @throws AppError `not_found` */
    async disable({ id }: { id: string }, actor: Actor): Promise<ClientListing> {
      return transact(async (transaction) => {
        const before = await getIn(transaction, id);
        if (!(await store.disable(transaction, id))) return toListing(before);
        await noteChange(transaction, id);
        return record(transaction, 'client.disabled', { id, actor, before });
      });
    },

    /**
     * Takes back `disable`: the credentials count again, and the tokens where the database is asked. Services that follow
     * the revocation feed go on refusing tokens from before the disabling, so the client asks for new ones.
     * @throws AppError `not_found`; `only_on_the_machine` for a client with a scope of operators: whoever knows its secret
     *   would have these scopes again
     */
    async enable({ id }: { id: string }, actor: Actor): Promise<ClientListing> {
      return transact(async (transaction) => {
        const before = await getIn(transaction, id);
        if (!(await store.enable(transaction, id))) return toListing(before);
        refusePower(before.scopes, actor, `clients enable ${id}`);
        return record(transaction, 'client.enabled', { id, actor, before });
      });
    },
  };

  /** Writes down what a client was and is now. It shows no secret. @returns what it is now */
  async function record(transaction: Transaction, kind: AuditKind, act: RecordedAct): Promise<ClientListing> {
    const after = toListing(await getIn(transaction, act.id));
    const before = act.before && { before: toListing(act.before) };
    const details = { client_id: act.id, ...before, after, ...act.details };
    await audit.record(transaction, { kind, userId: null, ...byActor(act.actor), details });
    return after;
  }

  /** @throws AppError `not_found` */
  async function getIn(transaction: Transaction, id: string): Promise<StoredClient> {
    const client = await store.findIn(transaction, id);
    if (client === undefined) throw unknown(id);
    return client;
  }

  /** Makes its tokens void for services that follow the revocation feed. */
  async function noteChange(transaction: Transaction, id: string): Promise<void> {
    // Users' tokens carry CLIENT_ID, and a client may have got that id before: they must not be void with its own.
    if (!reservedIds.includes(id)) await revocations.clientChanged(transaction, id);
  }

  function problemsOfId(id: string): FieldError[] {
    const problems: FieldError[] = [];
    if (!isClientId(id))
      problems.push(
        problem(
          '/client_id',
          id,
          'must be 1 to 64 of a-z, 0-9, ".", "_" and "-", a letter or digit first, and no UUID',
        ),
      );
    if (reservedIds.includes(id)) problems.push(problem('/client_id', id, 'is taken by this server'));
    return problems;
  }

  /** The rules for what is given. */
  function problemsOf({ name, scopes, audiences }: ClientChanges): FieldError[] {
    return [
      ...(name === undefined ? [] : problemsOfName(name)),
      ...(scopes ?? [])
        .filter((scope) => !SCOPE.test(scope))
        .map((scope) => problem('/scopes', scope, 'is not a scope')),
      ...(audiences ?? [])
        .filter((audience) => !known.includes(audience))
        .map((audience) => problem('/audiences', audience, `is none of ${known.join(', ')}`)),
      ...(audiences?.length === 0 ? [noAudience(known)] : []),
    ];
  }
}

const NOTHING_TO_CHANGE = 'There is nothing to change: give a name, audiences or scopes.';

const unique = (texts: string[]): string[] => [...new Set(texts)];

function takesAway(before: StoredClient, { scopes, audiences }: ClientChanges): boolean {
  const lacks = (had: string[], has = had) => had.some((one) => !has.includes(one));
  return lacks(before.scopes, scopes) || lacks(before.audiences, audiences);
}

function problemsOfName(name: string): FieldError[] {
  if (name !== '' && name.length <= MAX_NAME_LENGTH && /^[^\p{Cc}]*$/u.test(name)) return [];
  return [{ path: '/name', message: `must be 1 to ${MAX_NAME_LENGTH} characters on one line` }];
}

function newCredentials(publicKeys: unknown): { stored: StoredCredentials; secret: string | null } {
  if (publicKeys !== undefined)
    return { stored: { secretHash: null, publicKeys: readPublicKeys(publicKeys) }, secret: null };
  const secret = createClientSecret();
  return { stored: { secretHash: hashClientSecret(secret), publicKeys: null }, secret };
}

function problem(path: string, value: string, message: string): FieldError {
  return { path, message: `${JSON.stringify(value)} ${message}` };
}

/** A client without an audience can get no token and see none. */
function noAudience(known: string[]): FieldError {
  return { path: '/audiences', message: `must name at least one service: ${known.join(', ')}` };
}

function disabled(id: string): AppError {
  const message = `"${id}" is disabled, so a new secret would not be accepted: run \`doorward clients enable ${id}\` first`;
  return validationFailed([{ path: '/client_id', message }]);
}

/**
 * Operators make operators on the machine alone: a stolen token must not make another one that outlives it.
 * @param scopes that a client would get
 * @throws AppError `only_on_the_machine`
 */
function refusePower(scopes: string[], { kind }: Actor, command: string): void {
  if (kind === 'operator' || !scopes.some(isAdminScope)) return;
  const detail = `A client with a scope that begins with admin: gets that on the machine alone: \`doorward ${command}\``;
  throw new AppError('only_on_the_machine', { detail });
}

function refuse(errors: FieldError[]): void {
  if (errors.length > 0) throw validationFailed(errors);
}

function unknown(id: string): AppError {
  return new AppError('not_found', { detail: `There is no client ${id}.` });
}

function toListing(client: StoredClient): ClientListing {
  return {
    client_id: client.id,
    name: client.name,
    authentication: client.publicKeys === null ? 'secret' : 'public_keys',
    scopes: client.scopes,
    audiences: client.audiences,
    created_at: client.createdAt.toISOString(),
    disabled_at: client.disabledAt?.toISOString() ?? null,
  };
}
