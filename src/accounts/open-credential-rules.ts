import { readBlocklist } from '../config/blocklist-file.ts';
import type { Config } from '../config/config.ts';
import { isCommonPassword } from '../passwords/common-passwords.ts';
import type { LeakedPasswords } from '../passwords/leaked-passwords.ts';
import { createWordList } from '../passwords/word-list.ts';
import { createCredentialRules } from './credential-rules.ts';

/** The rules of this server, with the operator's own list of words. @throws when its file is gone by now */
export function openCredentialRules(config: Config, leaked: LeakedPasswords) {
  const policy = {
    minLength: config.PASSWORD_MIN_LENGTH,
    serviceNames: createWordList(['doorward', new URL(config.PUBLIC_URL).hostname]),
    blockedWords: createWordList(readBlocklist(config.PASSWORD_BLOCKLIST_FILE)),
    isCommon: isCommonPassword,
  };
  return createCredentialRules(policy, leaked);
}
