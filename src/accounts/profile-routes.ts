import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyContextConfig } from 'fastify';
import Type from 'typebox';
import { problemResponses, READ_PROBLEMS, WRITE_PROBLEMS } from '../http/problem.ts';
import { addJsonParser } from '../http/request-checks.ts';
import { Body } from '../http/schemas.ts';
import { type Authenticate, signedIn } from '../sessions/authenticate.ts';
import { deviceOf } from '../sessions/device.ts';
import type { JsonObject } from './profile-rules.ts';
import type { ProfileService } from './profile-service.ts';
import { UserResponse, userResponse } from './user-response.ts';

const MERGE_PATCH = 'application/merge-patch+json';

/** Not a union: its errors would mention both branches. */
const TextOrNull = (description: string) =>
  Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'text', description });

const ProfilePatch = Body({
  display_name: Type.Optional(TextOrNull('At most 100 characters; null takes it away')),
  locale: Type.Optional(TextOrNull('A language tag (RFC 5646) such as `de`; null takes it away')),
  metadata: Type.Optional(
    Type.Unsafe<JsonObject | null>({
      type: ['object', 'null'],
      additionalProperties: true,
      description: 'Merged into what is there, member by member; at most 4 KiB of JSON in all',
    }),
  ),
});

type ProfileRoutesOptions = {
  profiles: ProfileService;
  authenticate: Authenticate;
  /** Rate limit of calls that write. */
  limit: FastifyContextConfig;
};

/** The user's own profile. */
export const profileRoutes: FastifyPluginAsyncTypebox<ProfileRoutesOptions> = async (
  app,
  { profiles, authenticate, limit },
) => {
  // Only here: no other route takes a patch.
  addJsonParser(app, MERGE_PATCH);

  app.get(
    '/me',
    {
      preHandler: authenticate,
      schema: {
        tags: ['accounts'],
        summary: 'The signed-in user',
        security: [{ session: [] }],
        response: {
          200: UserResponse,
          ...problemResponses(...READ_PROBLEMS, 'not_signed_in'),
        },
      },
    },
    async (request) => userResponse(await profiles.get(signedIn(request).userId)),
  );

  app.patch(
    '/me',
    {
      config: limit,
      preHandler: authenticate,
      schema: {
        tags: ['accounts'],
        summary: 'Change the profile, by a JSON Merge Patch (RFC 7396)',
        security: [{ session: [] }],
        consumes: [MERGE_PATCH, 'application/json'],
        body: ProfilePatch,
        response: {
          200: UserResponse,
          ...problemResponses(...WRITE_PROBLEMS, 'validation_failed', 'not_signed_in'),
        },
      },
    },
    async (request) =>
      userResponse(await profiles.change(signedIn(request), request.body, deviceOf(request))),
  );
};
