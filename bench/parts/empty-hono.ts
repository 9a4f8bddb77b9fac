/** The floor of a request: a Hono app that answers one small object. */
import { serve } from '@hono/node-server'
import { Hono } from 'hono'

const app = new Hono().get('/', c => c.json({ ok: true }))
const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, info => process.send!({ port: info.port }))
process.on('SIGTERM', () => server.close(() => process.exit(0)))
process.on('disconnect', () => process.exit(0))
