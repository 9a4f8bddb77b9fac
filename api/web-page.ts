/** What the dashboard's files are served with, whoever holds them: hashed files never change, pages run only our own code. */

/** Paths of the API: never a page, whatever the client accepts. */
export const notPages = /^\/(v1|internal|secret-scanning|health|ready|metrics|docs|openapi\.json)(\/|$)/

export const assetHeaders: Record<string, string> = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
}

/** Vite puts what carries a hash of its content into assets/. */
export function cacheOf(path: string): string {
  return path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache'
}

/** Stands in the built index.html wherever the nonce of an answer belongs. */
export const nonceMark = 'porthole-page-nonce'

/** One answer with the page: a nonce of its own, and a policy under which nothing runs but what carries it. */
export function servedPage(built: string, host: string): { html: string; headers: Record<string, string> } {
  const nonce = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))))
  // What the page's own script imports may run, too; a script that anything else brings in may not, wherever it lies.
  const scripts = built.includes(nonceMark) ? `'nonce-${nonce}' 'strict-dynamic'` : "'self'"
  return { html: built.replaceAll(nonceMark, nonce), headers: { ...pagePolicy(host, scripts), 'cache-control': 'no-store' } }
}

function pagePolicy(host: string, scripts: string): Record<string, string> {
  return {
    'content-security-policy': [
      "default-src 'none'",
      `script-src ${scripts}`,
      "style-src 'self'",
      "font-src 'self'",
      "img-src 'self' blob: data:",
      "manifest-src 'self'",
      `connect-src 'self' ws://${host} wss://${host}`,
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'self'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].join('; '),
    'x-frame-options': 'DENY',
    'cross-origin-opener-policy': 'same-origin',
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  }
}

/** Who asks for a page says so; the address itself is one for everybody who does not say otherwise: curl, uptime checks. */
export function wantsPage(request: Request, url: URL): boolean {
  const accept = request.headers.get('accept') ?? '*/*'
  return accept.includes('text/html') || (url.pathname === '/' && accept.includes('*/*'))
}
