/**
 * A build as a command: git fetches, buildah builds and pushes, without root and without a privilege. What the user said reaches the script as
 * variables, never as its text. What it found out is in `results`, a line each, `key=value`.
 */

import { gitRefFault, gitSchemes, gitUrlFault, insideFault } from '#protocol/git-source.ts'
import type { RunSpec } from '#protocol/job-spec.ts'
import { type BuildSpec, registriesSecret } from '#protocol/works-spec.ts'
import { type JobAttempt, JobRefused } from './job-runtime.ts'
import { receiveContext } from './receive-context.ts'

export interface Builder {
  image: string
  /** Schemes that sources may have here. */
  gitSchemes: readonly string[]
  /** Where the script writes what it found out; empty: `homeResults` in its home. */
  results: string
  /** Where what was sent comes in: by a port that the script opens, or as a file that appears. */
  context?: { port: number; key: string } | { file: string }
}

/** Of these the runtime knows. */
export const buildVariable = { contextBytes: 'BUILD_CONTEXT_BYTES', contextKey: 'BUILD_CONTEXT_KEY' } as const
/** What was sent may not become more than this. */
const unpackedBytes = 8 * 2 ** 30

const longestFault = 300

/** When it is built by root of a user namespace, this is what the outside reads. */
export const homeResults = '.porthole-results'
export const defaultGitSchemes: readonly string[] = gitSchemes

/** The attempt as one of type `run`. Refuses what an honest API would not send. */
export function buildAsRun(attempt: JobAttempt, spec: BuildSpec, builder: Builder): { attempt: JobAttempt; spec: RunSpec } {
  const fault = spec.action === 'login' ? null : faultOf(spec, builder)
  if (fault) throw new JobRefused(fault)
  const { source } = spec
  const logins = readLogins(attempt.secrets[registriesSecret])
  const env: Record<string, string> = {
    BUILD_ACTION: spec.action,
    BUILD_URL: source.url,
    BUILD_REF: source.ref ?? 'HEAD',
    BUILD_FOLDER: source.subdirectory ?? '.',
    BUILD_DOCKERFILE: spec.dockerfile,
    BUILD_TARGET: spec.target ?? '',
    BUILD_ARGS: Object.entries(spec.build_args)
      .map(([name, value]) => `${name}=${value.replaceAll('\n', ' ')}`)
      .join('\n'),
    BUILD_IMAGE: spec.image ?? 'localhost/build',
    BUILD_TAGS: spec.tags.join('\n'),
    BUILD_PUSH: spec.push ? '1' : '',
    BUILD_NO_CACHE: spec.no_cache ? '1' : '',
    BUILD_REGISTRY: spec.registry ?? '',
    BUILD_INSECURE: spec.registry !== null && logins.insecure.includes(spec.registry) ? '1' : '',
    BUILD_RESULTS: builder.results,
    [buildVariable.contextBytes]: source.upload ? String(source.upload.bytes) : '',
    BUILD_CONTEXT_PORT: builder.context && 'port' in builder.context ? String(builder.context.port) : '',
    BUILD_CONTEXT_FILE: builder.context && 'file' in builder.context ? builder.context.file : '',
    GIT_ALLOW_PROTOCOL: builder.gitSchemes.join(':'),
  }
  const secrets = {
    login: JSON.stringify({ auths: logins.auths }),
    git: source.secret === null ? '' : (attempt.secrets[source.secret] ?? ''),
    context: builder.context && 'key' in builder.context ? builder.context.key : '',
  }
  return {
    attempt: { ...attempt, secrets },
    spec: {
      type: 'run',
      image: builder.image,
      command: ['/bin/sh', '-c', script],
      env,
      secret_env: { BUILD_LOGINS: 'login', BUILD_GIT_PASSWORD: 'git', [buildVariable.contextKey]: 'context' },
      limits: spec.limits,
      requests: {},
      egress: { mode: 'public', allow: [] },
    },
  }
}

function faultOf({ source, dockerfile }: BuildSpec, builder: Builder): string | null {
  const told = (what: string, fault: string | null) => (fault ? `the ${what} ${fault}` : null)
  if (source.upload && !builder.context) return 'nothing can be sent to builds here'
  return (
    told('address of the source', source.upload ? null : gitUrlFault(source.url, builder.gitSchemes)) ??
    told('ref', source.ref === null ? null : gitRefFault(source.ref)) ??
    told('subdirectory', source.subdirectory === null ? null : insideFault(source.subdirectory)) ??
    told('Dockerfile', insideFault(dockerfile))
  )
}

function readLogins(text: string | undefined): { auths: Record<string, unknown>; insecure: string[] } {
  try {
    const { auths = {}, insecure = [] } = JSON.parse(text ?? '{}')
    return { auths, insecure }
  } catch {
    return { auths: {}, insecure: [] }
  }
}

/** The lines of `results` as a job's result. */
export function readResults(text: string): Record<string, unknown> {
  const all = text.split('\n').flatMap(line => {
    const [, key, value] = /^([a-z_]+)=(.*)$/.exec(line) ?? []
    return key === undefined ? [] : [{ key, value: value! }]
  })
  const many = (key: string) => all.filter(each => each.key === key).map(each => each.value)
  const one = (key: string) => many(key)[0]
  const args = many('arg').map(line => {
    const [name = '', ...rest] = line.split('=')
    const given = rest.join('=').replace(/^(["'])(.*)\1$/, '$2')
    return { name: name.trim(), default: rest.length > 0 ? given : null }
  })
  return {
    ...(one('commit') && { commit: one('commit') }),
    ...(one('default_branch') && { default_branch: one('default_branch') }),
    ...(many('branch').length > 0 && { branches: many('branch') }),
    ...(one('dockerfile') && { dockerfile: { path: one('dockerfile'), args, stages: many('stage') } }),
    ...(many('image').length > 0 && { images: many('image') }),
    ...(one('context') && { context: one('context') }),
    ...(one('digest') && { digest: one('digest') }),
    ...(one('login') && { login: one('login') }),
    ...(one('fault') && { fault: one('fault') }),
  }
}

/** Why a build ended: its own words, where it left some, tell more than an exit code. */
export function buildReason<Reason extends string | null>(
  result: Record<string, unknown> | null,
  cause: string | null,
  reason: Reason,
): string | Reason {
  const { fault } = result ?? {}
  if (cause !== 'exit' || typeof fault !== 'string') return reason
  const words = fault.replace(/[^\P{C}]/gu, ' ').trim()
  return words === '' ? reason : `${words[0]!.toUpperCase()}${words.slice(1, longestFault)}`
}

const script = `
set -eu
umask 077
export HOME
[ -n "$BUILD_RESULTS" ] || BUILD_RESULTS=$HOME/${homeResults}
say() { printf '== %s\\n' "$*"; }
tell() { printf '%s\\n' "$1" >>"$BUILD_RESULTS"; }
fail() { say "$1"; tell "fault=$1"; exit 1; }
# What git says when it fails is in the log, and is why the build failed.
ask_git() {
  git "$@" 2>"$HOME/.said" && return
  code=$?
  cat "$HOME/.said" >&2
  said=$(sed -n 's/^fatal: //p' "$HOME/.said" | head -1)
  tell "fault=git: \${said:-$(tail -1 "$HOME/.said")}"
  exit $code
}
auth=$HOME/.auth.json
printf '%s' "$BUILD_LOGINS" >"$auth"
printf '%s' "$BUILD_GIT_PASSWORD" >"$HOME/.git-password"
printf '#!/bin/sh\\ncase $1 in Username*) echo git ;; *) cat "$HOME/.git-password" ;; esac\\n' >"$HOME/.askpass"
chmod 700 "$HOME/.askpass"
unset BUILD_LOGINS BUILD_GIT_PASSWORD
# What is fetched goes into images, for whoever runs there.
umask 022
export GIT_ASKPASS="$HOME/.askpass" GIT_TERMINAL_PROMPT=0 GIT_CONFIG_NOSYSTEM=1 GIT_SSH_COMMAND='ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new'
export REGISTRY_AUTH_FILE="$auth" BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs XDG_RUNTIME_DIR="$HOME/.run"
mkdir -p "$XDG_RUNTIME_DIR" "$HOME/.config/containers"
[ -e /etc/containers/policy.json ] || printf '{"default":[{"type":"insecureAcceptAnything"}]}' >"$HOME/.config/containers/policy.json"
printf '[storage]\\ndriver = "vfs"\\ngraphroot = "%s"\\nrunroot = "%s"\\n[storage.options.vfs]\\nignore_chown_errors = "true"\\n' "$HOME/.local/share/containers/storage" "$HOME/.run/storage" >"$HOME/.config/containers/storage.conf"
export CONTAINERS_STORAGE_CONF="$HOME/.config/containers/storage.conf" CONTAINERS_REGISTRIES_CONF="$HOME/.config/containers/registries.conf"
printf 'unqualified-search-registries = ["docker.io"]\\n' >"$HOME/.config/containers/registries.conf"
secure=''
if [ -n "$BUILD_INSECURE" ]; then
  secure=--tls-verify=false
  printf '[[registry]]\\nlocation = "%s"\\ninsecure = true\\n' "$BUILD_REGISTRY" >>"$HOME/.config/containers/registries.conf"
fi

if [ "$BUILD_ACTION" = login ]; then
  say "logging in to $BUILD_REGISTRY"
  if buildah login --get-login --authfile "$auth" "$BUILD_REGISTRY" >/dev/null 2>&1; then
    pair=$(sed -n 's/.*"'"$BUILD_REGISTRY"'":{"auth":"\\([^"]*\\)".*/\\1/p' "$auth" | base64 -d)
    printf '%s' "\${pair#*:}" | buildah login $secure --authfile "$HOME/.tried.json" --username "\${pair%%:*}" --password-stdin "$BUILD_REGISTRY"
  else
    fail 'no login is kept for it'
  fi
  tell login=accepted
  exit 0
fi

source=$HOME/source
if [ -n "$BUILD_CONTEXT_BYTES" ]; then
  say "waiting for what is to be built, $BUILD_CONTEXT_BYTES bytes"
  if [ -n "$BUILD_CONTEXT_PORT" ]; then
    BUILD_CONTEXT_FILE=$HOME/.context.tar.gz
    perl -MIO::Socket::IP -e '${receiveContext}' "$BUILD_CONTEXT_PORT" "$BUILD_CONTEXT_BYTES" "$BUILD_CONTEXT_FILE"
  else until [ -e "$BUILD_CONTEXT_FILE" ]; do sleep 0.2; done; fi
  commit=$(sha256sum <"$BUILD_CONTEXT_FILE" | cut -d ' ' -f 1)
  tell "context=$commit"
  say "unpacking $commit"
  if [ "$(gzip -dc <"$BUILD_CONTEXT_FILE" | head -c ${unpackedBytes + 1} | wc -c)" -gt ${unpackedBytes} ]; then
    fail 'it becomes more than ${unpackedBytes / 2 ** 30} GiB'
  fi
  mkdir "$source"
  cd "$source"
  tar -xz --no-same-owner <"$BUILD_CONTEXT_FILE" || { fail 'this is no tar.gz that can be unpacked'; }
else
say "looking at $BUILD_URL"
ask_git ls-remote --symref -- "$BUILD_URL" HEAD 'refs/heads/*' >"$HOME/.refs"
sed -n 's|^ref: refs/heads/\\(.*\\)\\tHEAD$|default_branch=\\1|p' "$HOME/.refs" >>"$BUILD_RESULTS"
sed -n 's|^[0-9a-f]*\\trefs/heads/\\(.*\\)$|branch=\\1|p' "$HOME/.refs" | head -40 >>"$BUILD_RESULTS"

say "fetching $BUILD_REF"
git init -q "$source"
cd "$source"
ask_git fetch -q --depth 1 -- "$BUILD_URL" "$BUILD_REF"
git -c advice.detachedHead=false checkout -q FETCH_HEAD
commit=$(git rev-parse HEAD)
tell "commit=$commit"
say "commit $commit: $(git log -1 --format=%s | cut -c1-200)"
fi
unset BUILD_CONTEXT_KEY
inside() { case $(realpath -e -- "$1") in "$source" | "$source"/*) ;; *) fail "$2 leads out of what is built" ;; esac; }
[ -d "$BUILD_FOLDER" ] || { fail "there is no folder $BUILD_FOLDER"; }
inside "$BUILD_FOLDER" 'the subdirectory'
cd "$BUILD_FOLDER"
[ -f "$BUILD_DOCKERFILE" ] || { fail "there is no file $BUILD_DOCKERFILE"; }
inside "$BUILD_DOCKERFILE" 'the Dockerfile'
tell "dockerfile=$BUILD_DOCKERFILE"
sed -n 's/^[[:space:]]*[Aa][Rr][Gg][[:space:]][[:space:]]*\\([A-Za-z_][A-Za-z0-9_]*.\\{0,100\\}\\).*$/arg=\\1/p' "$BUILD_DOCKERFILE" | head -30 >>"$BUILD_RESULTS"
sed -n 's/^[[:space:]]*[Ff][Rr][Oo][Mm][[:space:]].*[[:space:]][Aa][Ss][[:space:]][[:space:]]*\\([A-Za-z0-9_.-]*\\).*$/stage=\\1/p' "$BUILD_DOCKERFILE" | head -20 >>"$BUILD_RESULTS"

[ -n "$BUILD_TAGS" ] || BUILD_TAGS=$(date -u +%Y%m%d-%H%M%S)-$(printf %.7s "$commit")
printf '%s\\n' "$BUILD_TAGS" | sed "s|^|image=$BUILD_IMAGE:|" >>"$BUILD_RESULTS"
if [ "$BUILD_ACTION" = inspect ]; then say 'nothing is built: a dry run'; exit 0; fi

first=$(printf '%s\\n' "$BUILD_TAGS" | head -1)
set -- build --file "$BUILD_DOCKERFILE" --tag "$BUILD_IMAGE:$first" --layers --format oci --cap-drop CAP_SYS_CHROOT
[ -z "$BUILD_TARGET" ] || set -- "$@" --target "$BUILD_TARGET"
if [ -n "$BUILD_NO_CACHE" ]; then set -- "$@" --no-cache
elif [ -n "$BUILD_PUSH" ]; then set -- "$@" --cache-from "$BUILD_IMAGE" --cache-to "$BUILD_IMAGE"; fi
while IFS= read -r line; do [ -z "$line" ] || set -- "$@" --build-arg "$line"; done <<END
$BUILD_ARGS
END
say "building $BUILD_IMAGE:$first"
buildah "$@" $secure .
if [ -n "$BUILD_PUSH" ]; then
  printf '%s\\n' "$BUILD_TAGS" | while IFS= read -r tag; do
    say "pushing $BUILD_IMAGE:$tag"
    buildah push $secure --digestfile "$HOME/.digest" "$BUILD_IMAGE:$first" "docker://$BUILD_IMAGE:$tag"
  done
  tell "digest=$(cat "$HOME/.digest")"
fi
say done
`
