/** Name -> the exact command -> turns green by itself when the agent arrives. */
import { type FormEvent, useEffect, useState } from 'react'
import { ApiError } from '../../api/api-error.ts'
import type { Cluster } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { countdown, until } from '../../format/time.ts'
import { fetched } from '../../live/entities.ts'
import { useStore } from '../../live/observable.ts'
import { Button } from '../../parts/button.tsx'
import { CodeBlock } from '../../parts/copy.tsx'
import { Dialog } from '../../parts/dialog.tsx'
import { Segmented, TextField } from '../../parts/form.tsx'
import { Icon } from '../../parts/icons.tsx'
import { Notice, Skeleton } from '../../parts/states.tsx'
import { nameFault } from './cluster-words.ts'

export function AddClusterDialog({ again, onClose }: { again?: Cluster; onClose: () => void }) {
  const { api, live } = useApp()
  const [name, setName] = useState('')
  const [fault, setFault] = useState<string | undefined>()
  const [busy, setBusy] = useState(false)
  const [made, setMade] = useState<Cluster | null>(null)

  // biome-ignore lint/correctness/useExhaustiveDependencies: once per opening: each call makes a new secret
  useEffect(() => {
    if (!again) return
    let shown = true
    api
      .enrollCluster(again.id)
      .then(cluster => shown && setMade({ ...again, ...cluster }))
      .catch(error => shown && setFault(error instanceof Error ? error.message : String(error)))
    return () => {
      shown = false
    }
  }, [])

  async function submit(event: FormEvent) {
    event.preventDefault()
    const wrong = nameFault(name)
    if (wrong) return setFault(wrong)
    setBusy(true)
    try {
      const asOf = live.clusters.get().tick
      const cluster = await api.createCluster({ name: name.trim() })
      live.clusters.update(state => fetched(state, [withoutSecret(cluster)], asOf))
      setMade(cluster)
    } catch (error) {
      setBusy(false)
      setFault(error instanceof ApiError ? (error.fields.get('name') ?? error.message) : String(error))
    }
  }

  return (
    <Dialog title={again ? `Install the agent of ${again.name}` : 'Add a cluster'} onClose={onClose} wide light={!made}>
      {made ? (
        <Install cluster={made} onClose={onClose} />
      ) : again ? (
        <div className="dialog-body">{fault ? <Notice tone="bad">{fault}</Notice> : <Skeleton height="90px" />}</div>
      ) : (
        <form onSubmit={submit} noValidate>
          <div className="dialog-body form">
            <TextField
              label="Name"
              value={name}
              onText={text => {
                setName(text)
                setFault(undefined)
              }}
              error={fault}
              placeholder="eu-west-1"
              autoCapitalize="off"
              spellCheck={false}
              hint="As people will see it when they choose where to run."
            />
          </div>
          <footer className="dialog-foot">
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" kind="primary" busy={busy}>
              Next
            </Button>
          </footer>
        </form>
      )}
    </Dialog>
  )
}

type Place = 'kubernetes' | 'local'

function Install({ cluster, onClose }: { cluster: Cluster; onClose: () => void }) {
  const { live, clock } = useApp()
  const enrollment = cluster.enrollment
  const [place, setPlace] = useState<Place>('kubernetes')
  const now = useStore(live.clusters, state => state.entries[cluster.id]?.value ?? cluster)
  // An agent that was already there when a new command was asked for is not the one that we wait for.
  const [wasOnline] = useState(now.status === 'online')
  const arrived = now.status === 'online' && !wasOnline
  const left = useStore(clock.ticks, at =>
    enrollment ? Math.max(0, Math.floor((until(enrollment.expires_at, at) ?? 0) / 1000)) : 0,
  )
  return (
    <>
      <div className="dialog-body form">
        <Segmented<Place>
          label="Where"
          chosen={place}
          onChoose={setPlace}
          choices={[
            { key: 'kubernetes', label: 'Kubernetes' },
            { key: 'local', label: 'A machine' },
          ]}
        />
        <p>
          {place === 'kubernetes' ? 'Run this once, where you would run kubectl for the cluster.' : 'Run this on the machine.'}{' '}
          The agent dials out to this server; no port is opened.
        </p>
        {enrollment ? (
          <CodeBlock code={place === 'local' ? enrollment.commands.local : enrollment.command} label="Install command" />
        ) : (
          <Notice tone="bad">The server gave no command.</Notice>
        )}
        <p className="field-note">
          {left > 0
            ? `The join token in it works once, for ${countdown(left * 1000)} more. It is shown only here.`
            : 'The join token in it has expired. Ask for a new command.'}
        </p>
        <div className="arrival" role="status" data-arrived={arrived || undefined}>
          {arrived ? (
            <>
              <span className="arrival-mark">
                <Icon name="check" />
              </span>
              <span>
                <strong>{now.name} is online.</strong> Agent {now.agent_version},{' '}
                {now.capabilities?.runtime === 'local' ? 'on a machine' : 'on Kubernetes'}.
              </span>
            </>
          ) : (
            <>
              <span className="arrival-ring" aria-hidden="true" />
              <span>Waiting for the agent to arrive…</span>
            </>
          )}
        </div>
      </div>
      <footer className="dialog-foot">
        <Button kind={arrived ? 'primary' : 'plain'} onClick={onClose}>
          {arrived ? 'Done' : 'Close, it goes on'}
        </Button>
      </footer>
    </>
  )
}

/** The join token stays in the dialog and out of the live model. */
function withoutSecret(cluster: Cluster): Cluster {
  return { ...cluster, enrollment: null }
}
