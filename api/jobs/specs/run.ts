/** `run`: a command in an image or a sandbox. Its fields and what becomes of them on the wire. */
import { z } from '@hono/zod-openapi'
import type { RunSpec } from '#protocol/job-spec.ts'
import type { ResourceAmounts } from '#protocol/session-spec.ts'
import { Env } from '../../sessions/schema.ts'
import { Egress } from '../../templates/egress.ts'

const words = z.array(z.string().max(32_768)).max(1000)
const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'A variable name is letters, digits and `_`.')

export const RunFields = {
  image: z
    .string()
    .min(1)
    .max(512)
    .regex(/^[A-Za-z0-9][\w./:@-]*$/, 'This is no image reference.')
    .nullish()
    .openapi({ description: 'Kubernetes: the container image. A local cluster ignores it and uses its own programs.' }),
  command: z
    .union([z.string().min(1).max(131_072), words.min(1)])
    .nullish()
    .openapi({ description: 'Program and arguments, or one line for `/bin/sh -c`. Absent: what the image says.' }),
  args: words.nullish(),
  working_dir: z.string().max(4096).startsWith('/').nullish(),
  env: Env.nullish(),
  secret_env: z
    .record(variable, z.string().max(63))
    .refine(map => Object.keys(map).length <= 50, 'At most 50 secrets.')
    .nullish()
    .openapi({ description: 'Variable -> name of a secret (`/v1/secrets`) whose value it gets.' }),
  egress: Egress.nullish(),
}
export function somethingToRun(input: { image?: unknown; command?: unknown }, refused: z.RefinementCtx): void {
  if (!input.image && !input.command)
    refused.addIssue({ code: 'custom', path: ['command'], message: 'Nothing to run: give a command, or an image that has one.' })
}
export type RunInput = { type: 'run' } & { [K in keyof typeof RunFields]?: z.infer<(typeof RunFields)[K]> }

export function runSpec(input: RunInput, limits: ResourceAmounts): RunSpec {
  const { command } = input
  return {
    type: 'run',
    ...(input.image ? { image: input.image } : {}),
    ...(command ? { command: typeof command === 'string' ? ['/bin/sh', '-c', command] : command } : {}),
    ...(input.args ? { args: input.args } : {}),
    ...(input.working_dir ? { working_dir: input.working_dir } : {}),
    env: input.env ?? {},
    secret_env: input.secret_env ?? {},
    limits,
    requests: {},
    egress: { mode: input.egress?.mode ?? 'public', allow: input.egress?.allow ?? [] },
  }
}
