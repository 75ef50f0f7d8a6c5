import { BackupError } from '../adapters/backup-file.ts';
import { DataFolderError } from '../adapters/data-folder.ts';
import { hindranceOf } from '../adapters/folder-hindrance.ts';
import { ConfigError, loadConfig } from '../config/config.ts';
import { AppError, type FieldError, PROBLEMS } from '../core/errors.ts';
import { DATABASE_DEADLINE_MS, DatabaseError } from '../db/database-guard.ts';
import { DatabaseSetupError, PoolSizeError } from '../db/postgres.ts';
import { KeyEncryptionKeyError } from '../keys/key-material.ts';
import { MailTemplateError } from '../mail/mail-template-error.ts';
import { CommandLineError } from './command-line-error.ts';
import { databasePlace, explainDatabase } from './explain-database.ts';
import { explainListen } from './explain-listen.ts';
import { RedisSettingsError } from './redis-watch.ts';

/** Their messages are written for operators. */
const SELF_EXPLAINING = [
  DataFolderError,
  KeyEncryptionKeyError,
  MailTemplateError,
  DatabaseSetupError,
  PoolSizeError,
  RedisSettingsError,
  CommandLineError,
  BackupError,
];

/**
 * The text for an operator when the server or a command cannot go on: clear lines for what an operator can fix, the
 * stack for everything else. Contains no secret.
 * @param env the settings, to name the place of a database that cannot be used
 */
export function explainError(error: unknown, env: NodeJS.ProcessEnv): string {
  if (error instanceof ConfigError) return `These settings cannot be used:\n${error.message}`;
  if (SELF_EXPLAINING.some((kind) => error instanceof kind)) return (error as Error).message;
  const trouble = explainTrouble(error);
  if (trouble !== null) return `${databasePlace(loadConfig(env))}: ${trouble}`;
  if (error instanceof AppError && error.errors) return error.errors.map(explainField).join('\n');
  if (error instanceof AppError) return error.detail ?? `${PROBLEMS[error.code].title}.`;
  const notListening = explainListen(error, env);
  if (notListening !== null) return notListening;
  if (error instanceof Error && 'code' in error && error.code === 'EACCES') {
    return `${error.message}: run this as the user that the server runs as.`;
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const hindrance = hindranceOf(code, process.getuid?.());
  if (hindrance !== null) return `${(error as Error).message}: ${hindrance}.`;
  return error instanceof Error ? String(error.stack) : String(error);
}

/** Null if the error is not one of the database. */
function explainTrouble(error: unknown): string | null {
  const trouble = databaseTroubleOf(error);
  return trouble && (explainDatabase(trouble) ?? `${(error as Error).message}. Look at its log.`);
}

/**
 * By what a failure of the database is known: a SQLSTATE, the code of an error of the connection, or `no answer…`.
 * @returns null if the error is not one of the database
 */
export function databaseTroubleOf(error: unknown): string | null {
  const isUnavailable = error instanceof AppError && error.code === 'unavailable';
  const inner = isUnavailable ? error.cause : error;
  if (inner instanceof DatabaseError) return inner.sqlState;
  return isUnavailable ? `no answer within ${DATABASE_DEADLINE_MS / 1000} s` : null;
}

function explainField({ path, message }: FieldError): string {
  return `${path.slice(1) || 'It'}: ${message}`;
}
