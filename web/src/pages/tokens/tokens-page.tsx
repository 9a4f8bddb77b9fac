/** Who and what may use the API, with what, and when it last did. */
import { useState } from 'react'
import type { Me, Token } from '../../api/contract.ts'
import { usePages } from '../../api/use-pages.ts'
import { useApp } from '../../app-context.tsx'
import { count } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import type { Tone } from '../../format/session-words.ts'
import { duration, shortDate, until } from '../../format/time.ts'
import { Button } from '../../parts/button.tsx'
import { ConfirmDialog } from '../../parts/dialog.tsx'
import { Segmented, Switch } from '../../parts/form.tsx'
import { ListTable } from '../../parts/list-table.tsx'
import { Menu } from '../../parts/menu.tsx'
import { Ago } from '../../parts/moments.tsx'
import { EmptyState } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { useSearch } from '../../router.tsx'
import { PageHead } from '../../shell/shell.tsx'
import { NewTokenDialog } from './new-token-dialog.tsx'
import { RotateDialog } from './rotate-dialog.tsx'
import { scopeWords } from './scope-words.ts'
import { SecretDialog } from './secret-dialog.tsx'
import { boundsWords } from './token-bounds.ts'

type Asking = { what: 'new' } | { what: 'secret'; token: Token } | { what: 'rotate' | 'revoke'; token: Token }

type Shown = 'active' | 'ended' | 'all'

export function TokensPage({ me }: { me: Me }) {
  const { api, clock, toasts } = useApp()
  const search = useSearch()
  const shown = (search.get('show') || 'active') as Shown
  const [asking, setAsking] = useState<Asking | null>(null)
  const [leaked, setLeaked] = useState(false)
  const tokens = usePages(`tokens ${shown}`, (cursor, signal) =>
    api.tokens({ status: shown === 'all' ? '' : shown }, cursor, signal),
  )
  const { reload } = tokens

  async function revoke(token: Token) {
    try {
      await api.revokeToken(token.id, leaked)
      toasts.say(`“${token.name}” was revoked. Its open streams end within seconds.`)
      reload()
    } catch (error) {
      toasts.failed('Not revoked', error)
    }
  }

  const askRevoke = (token: Token) => {
    setLeaked(false)
    setAsking({ what: 'revoke', token })
  }
  const now = clock.now()
  const mine = me.token.id
  const create = (
    <Button kind="primary" icon="plus" onClick={() => setAsking({ what: 'new' })}>
      New token
    </Button>
  )
  return (
    <>
      <PageHead
        title="Tokens"
        summary={
          tokens.phase === 'ready'
            ? `${count(tokens.items.length, 'token')}${tokens.more ? ' and more' : ''}`
            : 'Keys to the API.'
        }
      >
        {create}
      </PageHead>
      <div className="filters">
        <Segmented<Shown>
          label="Which tokens"
          chosen={shown}
          onChoose={key => search.set({ show: key === 'active' ? '' : key })}
          choices={[
            { key: 'active', label: 'Valid' },
            { key: 'ended', label: 'Ended' },
            { key: 'all', label: 'All' },
          ]}
        />
      </div>
      <ListTable
        pages={tokens}
        columns={['Name', 'Scopes', 'Last used', 'Expires', 'State']}
        empty={
          <EmptyState title={shown === 'ended' ? 'No token has ended' : 'No tokens'} action={shown !== 'ended' && create}>
            {shown === 'ended'
              ? 'Expired and revoked tokens are listed here.'
              : 'Make one for each person or script, so that each can be revoked alone.'}
          </EmptyState>
        }
      >
        {tokens.items.map(token => {
          const state = tokenState(token, now)
          return (
            <tr key={token.id} data-over={state.over || undefined}>
              <td>
                <strong className="table-name">{safeLine(token.name)}</strong>
                <span className="faint">
                  <bdi>{safeLine(token.user)}</bdi>
                  {token.last4 && <span className="mono"> …{token.last4}</span>}
                  {token.project !== me.project.id && ` · ${token.project}`}
                  {token.id === mine && ' · the one you use now'}
                </span>
              </td>
              <td data-label="Scopes">
                <div>
                  <ul className="chips">
                    {token.scopes.map(scope => (
                      <li key={scope} className="chip mono" title={scopeWords[scope]?.words}>
                        {scope}
                      </li>
                    ))}
                  </ul>
                  {boundsWords(token) && <span className="faint">{boundsWords(token)}</span>}
                </div>
              </td>
              <td data-label="Last used">
                <Ago at={token.last_used_at} />
              </td>
              <td data-label="Expires">{token.expires_at ? shortDate(token.expires_at) : 'never'}</td>
              <td data-label="State">
                <StatusBadge word={state.word} tone={state.tone} />
              </td>
              <td className="table-actions">
                {!state.over && (
                  <Menu
                    label={`Actions for ${token.name}`}
                    items={[
                      ...(token.status === 'active'
                        ? [
                            {
                              label: 'Rotate',
                              icon: 'restart' as const,
                              onPick: () => setAsking({ what: 'rotate' as const, token }),
                            },
                          ]
                        : []),
                      { label: 'Revoke', icon: 'end', danger: true, onPick: () => askRevoke(token) },
                    ]}
                  />
                )}
              </td>
            </tr>
          )
        })}
      </ListTable>
      {asking?.what === 'new' && (
        <NewTokenDialog
          me={me}
          onClose={() => setAsking(null)}
          onMade={token => {
            setAsking({ what: 'secret', token })
            reload()
          }}
        />
      )}
      {asking?.what === 'secret' && <SecretDialog token={asking.token} onClose={() => setAsking(null)} />}
      {asking?.what === 'rotate' && (
        <RotateDialog
          token={asking.token}
          onClose={() => setAsking(null)}
          onMade={token => {
            setAsking({ what: 'secret', token })
            reload()
          }}
        />
      )}
      {asking?.what === 'revoke' && (
        <ConfirmDialog
          title={`Revoke “${asking.token.name}”?`}
          verb="Revoke"
          onClose={() => setAsking(null)}
          onConfirm={() => revoke(asking.token)}
        >
          <p>
            Whatever uses it stops working at once, open screens and scripts too.
            {asking.token.id === mine && ' You are signed in with it: you will be signed out.'}
          </p>
          <Switch
            label="It leaked"
            hint="Revokes also the tokens it was rotated from or into."
            on={leaked}
            onSwitch={setLeaked}
          />
        </ConfirmDialog>
      )}
    </>
  )
}

function tokenState(token: Token, now: number): { word: string; tone: Tone; over: boolean } {
  if (token.status === 'revoked') return { word: 'Revoked', tone: 'bad', over: true }
  const left = until(token.expires_at, now)
  if (token.status === 'expired' || (left !== null && left <= 0)) return { word: 'Expired', tone: 'quiet', over: true }
  if (token.status === 'rotated') {
    const grace = until(token.grace_until, now) ?? 0
    return { word: grace > 0 ? `Replaced, valid ${duration(grace)}` : 'Replaced', tone: 'warn', over: false }
  }
  if (left !== null && left < 7 * 86_400_000) return { word: 'Expires soon', tone: 'warn', over: false }
  return { word: 'Valid', tone: 'good', over: false }
}
