/** Sessions kept warm: how full each pool is, and how often somebody found one ready. */
import '../../styles/pools.css'
import { useEffect, useState } from 'react'
import type { Cluster, Me, Pool } from '../../api/contract.ts'
import { usePages } from '../../api/use-pages.ts'
import { allows, useApp } from '../../app-context.tsx'
import { count } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import { duration } from '../../format/time.ts'
import { useStore } from '../../live/observable.ts'
import { Button } from '../../parts/button.tsx'
import { ConfirmDialog } from '../../parts/dialog.tsx'
import { ListTable } from '../../parts/list-table.tsx'
import { Menu } from '../../parts/menu.tsx'
import { Ago } from '../../parts/moments.tsx'
import { EmptyState } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { useLookAgain } from '../../parts/use-look-again.ts'
import { PageHead } from '../../shell/shell.tsx'
import { useClusters } from '../sessions/catalogue.ts'
import { PoolDialog } from './pool-dialog.tsx'
import { hitRate, overrideWords, poolState, refillWords, targetOf } from './pool-words.ts'

type Asking = { what: 'new' } | { what: 'change' | 'delete'; pool: Pool }

/** Events tell of pools that are made and changed, not of one that fills. */
const lookMs = 5_000

export function PoolsPage({ me }: { me: Me }) {
  const { api, clock, live, toasts } = useApp()
  const mayAdmin = allows(me, 'clusters:admin')
  const clusters = useClusters(true)
  const pools = usePages('pools', (cursor, signal) => api.pools(cursor, signal))
  const [asking, setAsking] = useState<Asking | null>(null)
  const turn = useLookAgain(lookMs)
  const told = useStore(live.events, list => list.findLast(event => /^(pool|session)\./.test(event.type))?.id ?? '')
  const { reload, items } = pools
  // biome-ignore lint/correctness/useExhaustiveDependencies: a turn or an event says that it is time to look again
  useEffect(() => {
    if (turn > 0 || told) reload()
  }, [turn, told])

  async function remove(pool: Pool) {
    try {
      await api.deletePool(pool.id)
      pools.change(list => list.filter(one => one.id !== pool.id))
      toasts.say('The pool is gone; what it kept warm ends. Sessions taken from it live on.')
    } catch (error) {
      toasts.failed('The pool stays', error)
    }
  }

  const ready = items.reduce((sum, pool) => sum + pool.ready, 0)
  const create = mayAdmin && (
    <Button kind="primary" icon="plus" onClick={() => setAsking({ what: 'new' })}>
      New pool
    </Button>
  )
  return (
    <>
      <PageHead
        title="Pools"
        summary={
          items.length === 0 ? 'Sessions kept warm.' : `${count(ready, 'session')} ready in ${count(items.length, 'pool')}`
        }
      >
        {create}
      </PageHead>
      <ListTable
        pages={pools}
        columns={['Template', 'Cluster', 'Ready', 'Found ready', 'Refill', 'Last asked']}
        look="pools"
        empty={
          <EmptyState title="No pool yet" action={create}>
            A pool keeps sessions of a template running before anybody asks. Who starts one that fits has it in milliseconds.
          </EmptyState>
        }
      >
        {items.map(pool => (
          <Row
            key={pool.id}
            pool={pool}
            now={clock.now()}
            cluster={clusters.value.find(one => one.id === pool.cluster)}
            mayAdmin={mayAdmin}
            onAsk={what => setAsking({ what, pool })}
          />
        ))}
      </ListTable>
      {(asking?.what === 'new' || asking?.what === 'change') && (
        <PoolDialog
          pool={asking.what === 'change' ? asking.pool : null}
          clusters={clusters.value}
          onClose={() => setAsking(null)}
          onSaved={() => {
            setAsking(null)
            reload()
          }}
        />
      )}
      {asking?.what === 'delete' && (
        <ConfirmDialog
          title={`Delete the pool of ${safeLine(asking.pool.template)}?`}
          verb="Delete"
          onClose={() => setAsking(null)}
          onConfirm={() => remove(asking.pool)}
        >
          <p>
            {asking.pool.ready + asking.pool.starting > 0
              ? `${count(asking.pool.ready + asking.pool.starting, 'warm session')} nobody has taken yet will end.`
              : 'It keeps nothing warm now.'}{' '}
            Sessions taken from it live on.
          </p>
        </ConfirmDialog>
      )}
    </>
  )
}

interface RowProps {
  pool: Pool
  now: number
  cluster: Cluster | undefined
  mayAdmin: boolean
  onAsk: (what: 'change' | 'delete') => void
}

function Row({ pool, now, cluster, mayAdmin, onAsk }: RowProps) {
  const template = safeLine(pool.template)
  const state = poolState(pool, now)
  const target = targetOf(pool, now)
  const { rate, of } = hitRate(pool)
  const words = overrideWords(pool)
  const idle = target < pool.size
  return (
    <tr>
      <td>
        <strong className="table-name">{template}</strong>
        <span className="faint">
          {words.length > 0 ? words.map(safeLine).join(' · ') : 'as the template'} · <span className="mono">{pool.id}</span>
        </span>
        {pool.status_reason && <span className="pool-reason">{safeLine(pool.status_reason)}</span>}
      </td>
      <td data-label="Cluster">{cluster?.name ?? pool.cluster}</td>
      <td data-label="Ready">
        <div>
          <span className="pool-ready">
            <strong>{pool.ready}</strong>
            {pool.ready > target ? '' : ` of ${target}`}
            <StatusBadge word={state.word} tone={state.tone} moving={state.moving} />
          </span>
          <span className="faint">
            {idle
              ? `${pool.size} when asked for`
              : `${pool.idle_size} after ${duration(pool.idle_after_seconds * 1000)} of quiet`}
            {pool.starting > 0 && ` · ${pool.starting} starting`}
          </span>
        </div>
      </td>
      <td data-label="Found ready">
        <div>
          {rate}
          <span className="faint">{of}</span>
        </div>
      </td>
      <td data-label="Refill">{refillWords(pool.refill_seconds)}</td>
      <td data-label="Last asked">
        <Ago at={pool.last_asked_at} />
      </td>
      <td className="table-actions">
        {mayAdmin && (
          <Menu
            label={`Actions for the pool of ${template}`}
            items={[
              { label: 'Change its sizes', icon: 'quality', onPick: () => onAsk('change') },
              { label: 'Delete', icon: 'end', danger: true, onPick: () => onAsk('delete') },
            ]}
          />
        )}
      </td>
    </tr>
  )
}
