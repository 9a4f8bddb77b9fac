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

    it('an object that slept goes on where it was: same socket, same epoch', async () => {
      const api = running()
      const agent = await api.agent()
      const link = await agent.link({ acknowledges: true })
      const [before] = await api.db.execute<{ epoch: string }>(`select epoch from clusters where id = '${agent.cluster}'`)
      await call('POST', '/v1/sessions', { template: 'chromium', cluster: agent.cluster })
      const first = (await link.next('delta')).items[0]!
      await api.workerd.sleep('ClusterObject', agent.cluster)
      await call('DELETE', `/v1/sessions/${first.id}`)
      // All of it, should the sleep have come before what was sent could be noted.
      const told = await Promise.race([link.next('delta'), link.next('snapshot')])
      expect(told.items).toMatchObject([{ id: first.id, state: 'deleted' }])
      await api.workerd.sleep('ClusterObject', agent.cluster)
      const load = { sessions: 0, streams: 0, cpu_millis_used: null, memory_bytes_used: null }
      link.send({ type: 'report', epoch: Number(before!.epoch), seq: 1, complete: false, items: [], load })
      expect((await link.next('report_ack')).seq).toBe(1)
      link.ws.terminate()
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
      await vi.waitFor(
        async () => {
          const [row] = await api.db.execute<{ close_code: number }>(
            `select close_code from grants where session_id = '${session}'`,
          )
          expect(row!.close_code).toBe(4410)
        },
        { timeout: 30_000 },
      )
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
