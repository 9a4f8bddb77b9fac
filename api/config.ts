/** Settings of the API that mean the same on both platforms. Parsed once by the entry; nothing below reads the environment. */
import { z } from 'zod'

const publicUrl = z.url({ protocol: /^https?$/ }).transform(url => url.replace(/\/+$/, ''))

export const ApiConfig = z.object({
  /** What users see; absent: taken from each request. */
  publicUrl: publicUrl.optional(),
  /** Other origins whose pages may use cookies and WebSockets (exact match). */
  allowedOrigins: z.array(z.string()).default([]),
  /** Largest JSON body, bytes. */
  maxJsonBody: z.int().default(1024 * 1024),
  /** Largest uploaded file, bytes. */
  maxUpload: z.number().default(10 * 1024 ** 3),
  /** Largest tar.gz to build from, bytes; it is kept in the database until it was built. */
  maxContext: z.number().default(256 * 1024 ** 2),
  /** Streams the API holds an upgrade for, at most, milliseconds. */
  meetingMs: z.int().default(10_000),
  /** Changes a minute of a project that has no `requests_per_minute` of its own. */
  requestsPerMinute: z.int().min(1).default(600),
  /** Tries to log in, a minute and client address. */
  loginsPerMinute: z.int().min(1).default(30),
  /** What secrets are sealed with (sealing.ts): the first seals, all open. */
  secretsKeys: z.array(z.string().min(32)).default([]),
  /** Where GitHub publishes the keys that its reports of leaked tokens are signed with. */
  leakReportKeys: z.url({ protocol: /^https?$/ }).default('https://api.github.com/meta/public_keys/secret_scanning'),
  /** Where the agent's and sessions' images are, `PREFIX:TAG`; absent: the install command leaves the chart's default. */
  agentImages: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.:/_-]*:[A-Za-z0-9_][A-Za-z0-9_.-]*$/, 'must look like registry.example/porthole:1.0')
    .optional(),
  /** How often a reader of server-sent events looks for new ones, milliseconds. */
  eventPollMs: z.int().min(50).default(250),
  version: z.string(),
})
export type ApiConfig = z.infer<typeof ApiConfig>
