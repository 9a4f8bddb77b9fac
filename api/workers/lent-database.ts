/**
 * Postgres for an object that mostly sleeps: opened for the first piece of work, shared by those that run beside it, closed after the last.
 * An open socket would keep the object awake, and Hyperdrive makes connecting cheap.
 */
import { type Db, type OpenDatabase, openDatabase } from '#db/client.ts'

const connections = 3

export class LentDatabase {
  private readonly url: string
  private open: OpenDatabase | null = null
  private borrowers = 0
  constructor(url: string) {
    this.url = url
  }

  readonly use = async <T>(work: (db: Db) => Promise<T>): Promise<T> => {
    this.open ??= openDatabase(this.url, { max: connections, applicationName: 'porthole-edge', prepare: false })
    const { db } = this.open
    this.borrowers++
    try {
      return await work(db)
    } finally {
      if (--this.borrowers === 0) {
        const idle = this.open
        this.open = null
        await idle?.close().catch(() => {})
      }
    }
  }
}
