/** Replicas of the API as processes that can be killed, and a load balancer in front that knows nothing but TCP. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { resolve } from 'node:path'

const program = resolve(import.meta.dirname, '../../api/node/main.ts')

export class Replica {
  /** 0 until its first start; the same from then on. */
  port = 0
  /** Everything it ever said. */
  said = ''
  /** Takes requests. */
  up = false
  private child: ChildProcess | null = null
  private readonly env: Record<string, string>
  constructor(env: Record<string, string>) {
    this.env = env
  }

  async start(): Promise<void> {
    const child = fork(program, {
      env: {
        PATH: process.env.PATH,
        ...this.env,
        PORT: String(this.port),
        REPLICA_URL: `http://127.0.0.1:${this.port}`,
      } as NodeJS.ProcessEnv,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: [],
    })
    this.child = child
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', chunk => (this.said += chunk))
    const gone = once(child, 'exit').then(([code]) => {
      throw new Error(`the replica ended with ${code}: ${this.said.slice(-2_000)}`)
    })
    gone.catch(() => {})
    for (;;) {
      const [message] = (await Promise.race([once(child, 'message'), gone])) as [{ type: string; url?: string; message?: string }]
      if (message.type === 'fatal') throw new Error(message.message)
      if (message.type !== 'ready') continue
      this.port = Number(new URL(message.url!).port)
      this.up = true
      return
    }
  }

  /** As a machine that loses power: no goodbye. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const { child } = this
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    this.up = false
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
}

/** Each connection goes to a replica that accepts it, chosen at random. */
export class Balancer {
  readonly url: string
  private readonly server: Server
  private readonly sockets = new Set<Socket>()

  private constructor(server: Server) {
    this.server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  static async start(replicas: readonly Replica[]): Promise<Balancer> {
    const server = createServer({ pauseOnConnect: true })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const balancer = new Balancer(server)
    server.on('connection', near => {
      balancer.sockets.add(near)
      near.on('close', () => balancer.sockets.delete(near))
      near.on('error', () => {})
      const order = [...replicas].sort(() => Math.random() - 0.5)
      const next = () => {
        const replica = order.pop()
        if (!replica) return near.destroy()
        const far = connect(replica.port, '127.0.0.1')
        far.once('error', next)
        far.once('connect', () => {
          far.off('error', next)
          far.on('error', () => near.destroy())
          far.on('close', () => near.destroy())
          near.on('close', () => far.destroy())
          near.pipe(far).pipe(near)
        })
      }
      next()
    })
    return balancer
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise<void>(done => this.server.close(() => done()))
  }
}
