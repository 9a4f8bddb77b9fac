import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, vi } from 'vitest'
import { edgeApi } from '../testing/edge-api.ts'
import { meetingMs } from '../testing/platform-api.ts'
import { platformConformance } from '../testing/platform-conformance.ts'
import { echoing, ServingAgent } from '../testing/serving-agent.ts'

const root = join(import.meta.dirname, '../..')

platformConformance(
  'Workers',
  () => edgeApi({ MEETING_MS: String(meetingMs) }),
  running => {
    const call = (method: string, path: string, body?: unknown) =>
      fetch(running().url + path, {
        method,
        headers: { authorization: `Bearer ${running().admin}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })

    it('a stream that its agent does not end when told is cut', async () => {
      const api = running()
      const agent = await ServingAgent.of(await api.agent())
      agent.obeys = false
      agent.serve(echoing)
      const session = await api.session(agent.agent.cluster)
      const viewer = api.viewer(`/v1/sessions/${session}/vnc`)
      await viewer.open
      const leg = once([...agent.sockets.values()][0]!, 'close')
      await call('DELETE', `/v1/sessions/${session}`)
      expect((await viewer.closed).code).toBe(1006)
      await leg
      expect(agent.told).toMatchObject([{ code: 4410 }])
      await vi.waitFor(async () => {
        const [row] = await api.db.execute<{ close_code: number }>(
          `select close_code from grants where session_id = '${session}'`,
        )
        expect(row!.close_code).toBe(4410)
      })
      agent.link.ws.terminate()
    })

    it('wrangler.toml is one that deploys: every object bound, exported and migrated', { timeout: 90_000 }, async () => {
      const wrangler = join(root, 'node_modules/wrangler/bin/wrangler.js')
      const env = { ...process.env, WRANGLER_SEND_METRICS: 'false' }
      const args = [wrangler, 'deploy', '--env', 'production', '--dry-run']
      const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, env })
      for (const name of ['ClusterObject', 'StreamObject', 'KeeperObject']) expect(stdout).toContain(`(${name})`)
      expect(stdout).toMatch(/HYPERDRIVE/)
    })
  },
)
