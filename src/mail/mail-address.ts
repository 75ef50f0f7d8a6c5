/** RFC 5321 §4.5.3.1: a path of 256 octets, less its angle brackets, and 64 before the @. */
const MAX_ADDRESS_OCTETS = 254;
const MAX_LOCAL_OCTETS = 64;

/** Nothing that could end the address in a header or a command: no space, no control character, no special of RFC 5322. */
const BARE_ADDRESS = /^([^\s\p{C}<>()[\]:;,"\\@]+)@[a-z\d](?:[a-z\d.-]*[a-z\d])?$/iu;

/** Whether a mail can go to this address: one mailbox and nothing else, and not over-long. */
export function isMailAddress(text: string): boolean {
  const [, local = ''] = BARE_ADDRESS.exec(text) ?? [];
  return (
    local !== '' &&
    Buffer.byteLength(local) <= MAX_LOCAL_OCTETS &&
    Buffer.byteLength(text) <= MAX_ADDRESS_OCTETS
  );
}

/** `MAIL_FROM`, in its parts. */
export type Sender = { name: string; address: string };

/** @param mailFrom an address, or `Name <address>`, as the settings allow it */
export function parseSender(mailFrom: string): Sender {
  const [, name = '', address = mailFrom] = /^([^<]*?) *<(.*)>$/.exec(mailFrom) ?? [];
  return { name, address };
}
