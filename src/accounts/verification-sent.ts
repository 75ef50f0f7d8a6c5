import Type from 'typebox';

/** The answer where only a mail leads on. It is the same for every address. */
export const VerificationSent = Type.Object({ status: Type.Literal('verification_sent') });
