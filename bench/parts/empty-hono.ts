/**
 * The floor of a request: a Hono app that answers one small object. With DATABASE_URL a POST takes a body as small as a create's and writes one row of
 * `bench_rows` first, as a raw commit does.
 */
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { connect } from '#db/driver/connect.ts'

const { DATABASE_URL } = process.env
const database = DATABASE_URL ? connect(DATABASE_URL, { max: 16, onnotice: () => {} }) : null
let row: Record<string, unknown> | undefined

const app = new Hono()
app.get('/', c => c.json({ ok: true }))
app.post('/', async c => {
  const { template } = await c.req.json()
  row ??= (await database!`select * from sessions limit 1`)[0]
  await database!`insert into bench_rows ${database!(row as never)}`
  return c.json({ template }, 201)
})
const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, info => process.send!({ port: info.port }))
process.on('SIGTERM', () => server.close(() => process.exit(0)))
process.on('disconnect', () => process.exit(0))
