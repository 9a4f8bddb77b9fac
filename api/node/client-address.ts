/** Where a request came from, as far as it can be trusted: `X-Forwarded-For` counts only as far as trusted proxies wrote it. */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

export type AddressOf = (incoming: IncomingMessage) => string

/** Throws for a network that cannot be read. */
export function clientAddress(trusted: readonly string[]): AddressOf {
  const proxies = new BlockList()
  for (const network of trusted) {
    const [address = '', bits] = network.split('/')
    const family = isIP(address)
    if (family === 0) throw new Error(`${network} is no address or network`)
    const type = family === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) proxies.addAddress(address, type)
    else proxies.addSubnet(address, Number(bits), type)
  }
  const believed = (address: string) => trusted.length > 0 && proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  return incoming => {
    let address = plain(incoming.socket.remoteAddress ?? '')
    if (!believed(address)) return address
    const hops = String(incoming.headers['x-forwarded-for'] ?? '').split(',')
    for (const hop of hops.reverse()) {
      const said = plain(hop.trim())
      if (isIP(said) === 0) break
      address = said
      if (!believed(said)) break
    }
    return address
  }
}

/** IPv4 seen through an IPv6 socket. */
const plain = (address: string) => address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '')
