/** Where a session or job may connect to, as it is asked for. What lies in a closed network only the cluster knows, and says. */
import { z } from '@hono/zod-openapi'

const peer = /^\[?[0-9A-Fa-f.:]+(\/\d{1,3})?\]?(:\d{1,5})?$/

export const Egress = z
  .strictObject({
    mode: z.enum(['none', 'public', 'all']).openapi({
      description:
        '`none`: nowhere. `public`: the internet, no private network. `all`: private networks too, never the cloud’s metadata.',
    }),
    allow: z
      .array(
        z.string().max(100).regex(peer, 'Must be an address or network, with a port if one is meant: 10.1.0.0/16, 10.1.2.3:443.'),
      )
      .max(64)
      .optional()
      .openapi({ description: 'Open besides: addresses and networks (`203.0.113.7`, `10.1.0.0/16`), also with `:port`.' }),
  })
  .openapi({ description: 'Enforced in Kubernetes; a local cluster says in its notes that it has no such wall.' })
