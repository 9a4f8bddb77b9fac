/** `build`: an image from a Dockerfile in a git repository, or in a tar.gz that was sent before (`api/uploads`). The API only looks at the words; git and the builder run in the cluster. */
import { z } from '@hono/zod-openapi'
import { gitRefFault, gitUrlFault, insideFault, knownGitSchemes } from '#protocol/git-source.ts'
import type { ResourceAmounts } from '#protocol/session-spec.ts'
import type { BuildSpec } from '#protocol/works-spec.ts'
import { invalid } from '../../problem.ts'

const checked = (max: number, fault: (text: string) => string | null) =>
  z
    .string()
    .max(max)
    .superRefine((text, context) => {
      const told = fault(text)
      if (told) context.addIssue({ code: 'custom', message: `The value ${told}.` })
    })

export const GitSource = z
  .strictObject({
    url: checked(1000, url => gitUrlFault(url, knownGitSchemes)).openapi({
      example: 'https://git.example.com/team/app.git',
      description: 'https or ssh; http and git where the cluster’s operator allows them.',
    }),
    ref: checked(251, gitRefFault).nullish().openapi({ description: 'Branch, tag or commit; absent: the default branch.' }),
    subdirectory: checked(500, insideFault).nullish(),
    secret: z
      .string()
      .min(1)
      .max(63)
      .nullish()
      .openapi({ description: 'Name of a secret that is the password (a token) for the git server.' }),
  })
  .openapi('GitSource')

const repository = z
  .string()
  .max(400)
  .regex(
    /^([a-z0-9.-]+(:\d{1,5})?\/)?[a-z0-9]+([._/-][a-z0-9]+)*$/,
    'Must be a repository such as registry.example.com/team/app, without a tag.',
  )
const argument = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'An argument name is letters, digits and `_`.')

export const BuildFields = {
  git: GitSource.nullish().openapi({ description: 'Where the source is; or else `upload`.' }),
  upload: z
    .string()
    .min(1)
    .max(64)
    .nullish()
    .openapi({ description: 'Name or id of what was sent by `PUT /v1/uploads/{name}`.' }),
  dockerfile: checked(500, insideFault).nullish().openapi({ description: 'Default `Dockerfile`.' }),
  target: z
    .string()
    .max(128)
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/)
    .nullish()
    .openapi({ description: 'Stage to build; absent: the last.' }),
  build_args: z
    .record(argument, z.string().max(8192))
    .refine(map => Object.keys(map).length <= 100, 'At most 100 arguments.')
    .nullish(),
  image: repository
    .nullish()
    .openapi({ description: 'Repository to push to; its registry must be one of `/v1/registries` unless it asks for no login.' }),
  tags: z
    .array(z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/, 'This is no tag.'))
    .max(20)
    .nullish()
    .openapi({ description: 'Absent: one made of date and commit, `20260131-142501-3f2a91c`.' }),
  push: z.boolean().nullish().openapi({ description: 'Default true when there is an `image`.' }),
  no_cache: z.boolean().nullish(),
  dry_run: z.boolean().nullish().openapi({ description: 'Looks at the repository and says what would be built.' }),
}
export function oneSource({ git, upload }: { git?: unknown; upload?: unknown }, context: z.core.$RefinementCtx): void {
  const [has, had] = [git != null, upload != null]
  if (!has && !had) context.addIssue({ code: 'custom', path: ['git'], message: 'Name a repository here, or an `upload`.' })
  if (has && had) context.addIssue({ code: 'custom', path: ['upload'], message: 'There can be `git` or `upload`, not both.' })
}

export type BuildInput = { type: 'build' } & { [K in keyof typeof BuildFields]: z.infer<(typeof BuildFields)[K]> }

export function buildSpec(input: Partial<BuildInput>, limits: ResourceAmounts): BuildSpec {
  const image = input.image ?? null
  if (image === null && input.push) throw invalid('/image', 'Say where to push it.')
  return {
    type: 'build',
    action: input.dry_run ? 'inspect' : 'build',
    source: {
      url: input.git?.url ?? '',
      ref: input.git?.ref ?? null,
      subdirectory: input.git?.subdirectory ?? null,
      secret: input.git?.secret ?? null,
      // What is sent is measured when the job is made.
      ...(input.upload ? { upload: { id: input.upload, bytes: 1 } } : {}),
    },
    dockerfile: input.dockerfile ?? 'Dockerfile',
    target: input.target ?? null,
    build_args: input.build_args ?? {},
    image,
    tags: input.tags ?? [],
    push: image !== null && (input.push ?? true),
    no_cache: input.no_cache ?? false,
    registry: image?.includes('/') ? image.split('/')[0]! : null,
    limits,
  }
}

/** A job that only tries a login. */
export function loginSpec(registry: string): BuildSpec {
  return {
    type: 'build',
    action: 'login',
    source: { url: '', ref: null, subdirectory: null, secret: null },
    dockerfile: '',
    target: null,
    build_args: {},
    image: null,
    tags: [],
    push: false,
    no_cache: false,
    registry,
    limits: {},
  }
}
