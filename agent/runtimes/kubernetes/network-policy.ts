/**
 * The wall around one session. In: only the agent's pods (outside the cluster the agent comes through the API server and the kubelet, which
 * policies do not govern). Out: by the session's egress; the networks of clusters and the clouds' metadata stay closed in every mode
 * unless the operator's settings open them and the session asks.
 */
import { BlockList, isIP, isIPv6 } from 'node:net'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { label } from './labels.ts'
import type { KubernetesSettings } from './settings.ts'
import type { NetworkPeer, NetworkPolicySpec } from './wire.ts'

type EgressRule = NonNullable<NetworkPolicySpec['egress']>[number]
type Egress = SessionSpec['egress']

/** Link-local: where every cloud keeps its metadata. Closed in mode `all` too. */
const metadata = ['169.254.0.0/16', 'fe80::/10', 'fd00:ec2::254/128']
/** Where clusters and offices live, and what is nobody's on the internet. */
const privateRanges = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '172.16.0.0/12', '192.0.0.0/24', '192.168.0.0/16'],
  ...['198.18.0.0/15', '224.0.0.0/4', '240.0.0.0/4', '::/127', '64:ff9b::/96', '2002::/16', 'fc00::/7', 'ff00::/8'],
]

export class EgressRefused extends Error {
  override readonly name = 'EgressRefused'
}

export function sessionPolicySpec(
  session: string,
  generation: number,
  egress: Egress,
  settings: KubernetesSettings,
): NetworkPolicySpec {
  const { network } = settings
  return {
    podSelector: { matchLabels: { [label.session]: session, [label.generation]: String(generation) } },
    policyTypes: ['Ingress', 'Egress'],
    ingress: [{ from: fromAgent(settings) }],
    egress: egressRules(egress, network),
  }
}

/** Only the agent's own pods. */
export function fromAgent({ network, systemNamespace }: KubernetesSettings): NetworkPeer[] {
  return [
    {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': systemNamespace } },
      podSelector: { matchLabels: network.agentPodLabels },
    },
  ]
}

export function egressRules(egress: Egress, network: KubernetesSettings['network']): EgressRule[] {
  const asked = egress.allow.map(entry => allowedPeer(entry, network))
  const allow: EgressRule[] = asked.map(({ cidr, port }) => ({
    to: [{ ipBlock: { cidr } }],
    ...(port !== null && { ports: [{ protocol: 'TCP', port }] }),
  }))
  if (egress.mode === 'none') return allow
  const walls = egress.mode === 'all' ? metadata : [...metadata, ...privateRanges, ...network.denied]
  return [dns(network.dns), { to: [everywhereBut(walls, false), everywhereBut(walls, true)] }, ...allow]
}

function everywhereBut(walls: string[], v6: boolean): NetworkPeer {
  const except = walls.filter(cidr => cidr.includes(':') === v6)
  return { ipBlock: { cidr: v6 ? '::/0' : '0.0.0.0/0', except: [...new Set(except)] } }
}

function dns(peer: KubernetesSettings['network']['dns']): EgressRule {
  return {
    to: [{ namespaceSelector: { matchLabels: peer.namespace }, podSelector: { matchLabels: peer.pod } }],
    ports: [
      { protocol: 'UDP', port: 53 },
      { protocol: 'TCP', port: 53 },
    ],
  }
}

/** `address`, `address/prefix` or either with `:port`. Inside the walls only where the operator allows it. */
function allowedPeer(entry: string, network: KubernetesSettings['network']): { cidr: string; port: number | null } {
  const { cidr, port } = parsePeer(entry)
  const walls = [...metadata, ...privateRanges, ...network.denied]
  const open = network.allowed.some(range => contains(range, cidr))
  if (!open && walls.some(wall => overlap(wall, cidr))) {
    throw new EgressRefused(`this cluster does not let sessions reach ${entry}: it lies in a closed network`)
  }
  return { cidr, port }
}

function parsePeer(entry: string): { cidr: string; port: number | null } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^[\]]*?))(?::(\d{1,5}))?$/.exec(entry.trim()) ?? []
  const v6WithoutBrackets = isIPv6(entry.split('/')[0]!)
  const text = v6WithoutBrackets ? entry.trim() : (bracketed ?? plain ?? '')
  const [address = '', prefix] = text.split('/')
  const version = isIP(address)
  const bits = prefix === undefined ? (version === 4 ? 32 : 128) : Number(prefix)
  const fits = Number.isInteger(bits) && bits >= 0 && bits <= (version === 4 ? 32 : 128)
  const number = port === undefined || v6WithoutBrackets ? null : Number(port)
  if (version === 0 || !fits || (number !== null && (number < 1 || number > 65_535))) {
    throw new EgressRefused(
      `egress.allow: ${JSON.stringify(entry.slice(0, 100))} is not an address (10.1.2.3, 10.1.0.0/16, 10.1.2.3:443)`,
    )
  }
  return { cidr: `${address}/${bits}`, port: number }
}

export function contains(range: string, cidr: string): boolean {
  const [network = '', prefix = ''] = range.split('/')
  const [address = '', bits = ''] = cidr.split('/')
  const version = isIP(network)
  if (version === 0 || version !== isIP(address) || Number(bits) < Number(prefix)) return false
  const family = version === 4 ? 'ipv4' : 'ipv6'
  const list = new BlockList()
  list.addSubnet(network, Number(prefix), family)
  return list.check(address, family)
}

function overlap(a: string, b: string): boolean {
  return contains(a, b) || contains(b, a)
}
