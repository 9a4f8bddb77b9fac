/** Where sessions run: the health and room of each cluster, and the way to add one. */
import '../../styles/clusters.css'
import { useState } from 'react'
import type { Cluster, Me, Scheduling } from '../../api/contract.ts'
import { allows, useApp } from '../../app-context.tsx'
import { bytes, cores, count } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import { fetched, gone } from '../../live/entities.ts'
import { Button } from '../../parts/button.tsx'
import { ConfirmDialog } from '../../parts/dialog.tsx'
import { Menu, type MenuItem } from '../../parts/menu.tsx'
import { Meter } from '../../parts/meter.tsx'
import { Age, Ago } from '../../parts/moments.tsx'
import { EmptyState, FailedState } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { Link } from '../../router.tsx'
import { PageHead } from '../../shell/shell.tsx'
import { useClusters } from '../sessions/catalogue.ts'
import { AddClusterDialog } from './add-cluster-dialog.tsx'
import { clusterWord, pendingThenName } from './cluster-words.ts'

type Asking = { what: 'add' } | { what: 'enroll' | 'drain' | 'remove'; cluster: Cluster }

export function ClustersPage({ me }: { me: Me }) {
  const { api, live, toasts } = useApp()
  const clusters = useClusters(true)
  const [asking, setAsking] = useState<Asking | null>(null)
  const mayAdmin = allows(me, 'clusters:admin')
  const online = clusters.value.filter(one => one.status === 'online').length

  async function schedule(cluster: Cluster, scheduling: Scheduling) {
    const asOf = live.clusters.get().tick
    try {
      const answer = await api.scheduleCluster(cluster.id, scheduling)
      live.clusters.update(state => fetched(state, [answer?.id ? answer : { ...cluster, scheduling }], asOf))
      const said = { open: 'takes new sessions again', cordoned: 'takes no new sessions', draining: 'is draining' }
      toasts.say(`${cluster.name} ${said[scheduling]}.`)
    } catch (error) {
      toasts.failed(`${cluster.name} is unchanged`, error)
    }
  }

  async function remove(cluster: Cluster) {
    try {
      await api.deleteCluster(cluster.id)
      live.clusters.update(state => gone(state, cluster.id))
      toasts.say(`${cluster.name} was removed.`)
    } catch (error) {
      toasts.failed(`${cluster.name} was not removed`, error)
    }
  }

  const add = mayAdmin && (
    <Button kind="primary" icon="plus" onClick={() => setAsking({ what: 'add' })}>
      Add a cluster
    </Button>
  )
  return (
    <>
      <PageHead
        title="Clusters"
        summary={clusters.value.length > 0 ? `${online} of ${clusters.value.length} online` : 'Where sessions run.'}
      >
        {add}
      </PageHead>
      {clusters.phase === 'failed' && clusters.value.length === 0 ? (
        <FailedState error={clusters.error ?? new Error('Unknown fault')} onRetry={clusters.retry} />
      ) : clusters.phase === 'loading' && clusters.value.length === 0 ? (
        <ul className="clusters" aria-busy="true">
          {['a', 'b'].map(key => (
            <li key={key} className="cluster skeleton cluster-skeleton" />
          ))}
        </ul>
      ) : clusters.value.length === 0 ? (
        <EmptyState title="No cluster yet" action={add}>
          An agent in your cluster dials out to this server. Nothing of yours is opened to the internet.
        </EmptyState>
      ) : (
        <ul className="clusters">
          {[...clusters.value].sort(pendingThenName).map(cluster => (
            <ClusterCard
              key={cluster.id}
              cluster={cluster}
              mayAdmin={mayAdmin}
              onSchedule={scheduling =>
                scheduling === 'draining' ? setAsking({ what: 'drain', cluster }) : void schedule(cluster, scheduling)
              }
              onEnroll={() => setAsking({ what: 'enroll', cluster })}
              onRemove={() => setAsking({ what: 'remove', cluster })}
            />
          ))}
        </ul>
      )}
      {asking?.what === 'add' && <AddClusterDialog onClose={() => setAsking(null)} />}
      {asking?.what === 'enroll' && <AddClusterDialog again={asking.cluster} onClose={() => setAsking(null)} />}
      {asking?.what === 'drain' && (
        <ConfirmDialog
          title={`Drain ${asking.cluster.name}?`}
          verb="Drain"
          onClose={() => setAsking(null)}
          onConfirm={() => schedule(asking.cluster, 'draining')}
        >
          <p>
            It takes no new sessions, and {sessionsOf(asking.cluster)} there {asking.cluster.load?.sessions === 1 ? 'is' : 'are'}{' '}
            ended. To let them finish, cordon it instead.
          </p>
        </ConfirmDialog>
      )}
      {asking?.what === 'remove' && (
        <ConfirmDialog
          title={`Remove ${asking.cluster.name}?`}
          verb="Remove"
          onClose={() => setAsking(null)}
          onConfirm={() => remove(asking.cluster)}
        >
          <p>
            Its agent is locked out and this server forgets it. Uninstall the agent in the cluster to remove what it made there.
          </p>
        </ConfirmDialog>
      )}
    </>
  )
}

function sessionsOf(cluster: Cluster): string {
  return cluster.load ? count(cluster.load.sessions, 'session') : 'its sessions'
}

interface ClusterCardProps {
  cluster: Cluster
  mayAdmin: boolean
  onSchedule: (scheduling: Scheduling) => void
  onEnroll: () => void
  onRemove: () => void
}

function ClusterCard({ cluster, mayAdmin, onSchedule, onEnroll, onRemove }: ClusterCardProps) {
  const word = clusterWord(cluster)
  const { capabilities, load } = cluster
  const room = capabilities?.capacity
  const items: MenuItem[] = [
    ...(cluster.scheduling === 'open' || !cluster.scheduling
      ? [{ label: 'Cordon: no new sessions', icon: 'pause' as const, onPick: () => onSchedule('cordoned') }]
      : [{ label: 'Take new sessions again', icon: 'start' as const, onPick: () => onSchedule('open') }]),
    ...(cluster.scheduling === 'draining'
      ? []
      : [{ label: 'Drain: end its sessions', icon: 'out' as const, onPick: () => onSchedule('draining') }]),
    { label: 'New install command', icon: 'key', onPick: onEnroll },
    { label: 'Remove', icon: 'end', danger: true, onPick: onRemove },
  ]
  return (
    <li className="cluster" data-tone={word.tone}>
      <header className="cluster-head">
        <div>
          <h2>{cluster.name}</h2>
          <p className="faint">
            {capabilities
              ? capabilities.runtime === 'local'
                ? 'This machine'
                : `Kubernetes ${capabilities.versions.kubernetes ?? ''}`
              : 'Not connected yet'}
            {cluster.agent_version && ` · agent ${cluster.agent_version}`}
          </p>
        </div>
        <StatusBadge word={word.word} tone={word.tone} moving={word.moving} />
        {mayAdmin && <Menu label={`Actions for ${cluster.name}`} items={items} />}
      </header>
      {cluster.status === 'pending' && mayAdmin && (
        <p className="cluster-pending">
          Run its install command.{' '}
          <button type="button" className="link-button" onClick={onEnroll}>
            Show a new one
          </button>
        </p>
      )}
      {load && (
        <div className="meters">
          <Meter name="Sessions" used={load.sessions} limit={room?.sessions} show={value => String(value)} />
          <Meter name="CPU" used={load.cpu_millis_used} limit={room?.cpu_millis} show={cores} />
          <Meter name="Memory" used={load.memory_bytes_used} limit={room?.memory_bytes} show={bytes} />
        </div>
      )}
      {capabilities && (
        <ul className="chips" aria-label="Capabilities">
          {[...capabilities.kinds, ...capabilities.browsers, ...capabilities.features].map(name => (
            <li key={name} className="chip">
              {name}
            </li>
          ))}
        </ul>
      )}
      {capabilities?.notes.map(note => (
        <p key={note} className="cluster-note">
          {safeLine(note)}
        </p>
      ))}
      <footer className="cluster-foot">
        {cluster.status === 'online' && cluster.connected_at ? (
          <span>
            Connected for <Age at={cluster.connected_at} />
          </span>
        ) : (
          <span>
            {cluster.last_seen_at ? (
              <>
                Last seen <Ago at={cluster.last_seen_at} />
              </>
            ) : (
              'Never seen'
            )}
          </span>
        )}
        {load && <span>{count(load.streams, 'open stream')}</span>}
        <Link to={`/sessions?cluster=${encodeURIComponent(cluster.id)}`}>Its sessions</Link>
      </footer>
    </li>
  )
}
