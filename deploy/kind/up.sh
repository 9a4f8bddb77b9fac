#!/usr/bin/env bash
# From nothing to a session in a cluster on this machine: kind (or k3d), the images, the API, the agent, one browser.
#
#   deploy/kind/up.sh          needs docker, kubectl, node, curl and kind or k3d
#   deploy/kind/up.sh down     takes the cluster away
#
#   CLUSTER=porthole  TOOL=kind|k3d  TAG=dev  PORT=8080 (of the API on this machine)
set -euo pipefail

cluster=${CLUSTER:-porthole} tag=${TAG:-dev} port=${PORT:-8080} tool=${TOOL:-}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
context=

say() { printf '\n== %s\n' "$*" >&2; }
fail() { printf '%s\n' "$*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || fail "$1 is needed"; }

if [[ -z $tool ]]; then
  for tool in kind k3d none; do ! command -v "$tool" >/dev/null || break; done
fi
case $tool in
  kind) context=kind-$cluster ;;
  k3d) context=k3d-$cluster ;;
  *) fail 'kind or k3d is needed' ;;
esac
need docker
need kubectl
need node
need curl
kube() { kubectl --context "$context" "$@"; }

if [[ ${1:-} == down ]]; then
  case $tool in
    kind) kind delete cluster --name "$cluster" ;;
    k3d) k3d cluster delete "$cluster" ;;
  esac
  exit
fi

exists() {
  case $tool in
    kind) kind get clusters 2>/dev/null | grep -qx "$cluster" ;;
    k3d) k3d cluster get "$cluster" >/dev/null 2>&1 ;;
  esac
}
if ! exists; then
  say "a cluster ($tool)"
  case $tool in
    kind) kind create cluster --name "$cluster" --wait 180s ;;
    k3d) k3d cluster create "$cluster" --wait --timeout 180s ;;
  esac
fi

say 'images'
"$root/docker/build.sh" --tool docker --tag "$tag"
images=()
for name in api agent display browser desktop; do images+=("localhost/porthole/$name:$tag"); done
case $tool in
  kind) kind load docker-image --name "$cluster" "${images[@]}" ;;
  k3d) k3d image import --cluster "$cluster" "${images[@]}" ;;
esac

# npm start's door brings the packages and the Node that the renderer needs.
[[ -d $root/node_modules ]] || (cd "$root" && npm ci --no-audit --no-fund)
bin=$(find "$root"/node_modules/node-*/bin -name node -type f 2>/dev/null | head -n 1)
render() { "${bin:-node}" "$root/deploy/render.ts" "$@"; }

say 'the API and its database'
kube create namespace porthole --dry-run=client -o yaml | kube apply -f -
if ! kube -n porthole get secret porthole-postgres >/dev/null 2>&1; then
  kube -n porthole create secret generic porthole-postgres --from-literal=password="$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
fi
render porthole --namespace porthole --set postgres.existingSecret=porthole-postgres --set "image.tag=$tag" | kube apply -f -
kube -n porthole rollout status statefulset/porthole-postgres --timeout=300s
kube -n porthole rollout status statefulset/porthole-api --timeout=300s
token=$(kube -n porthole exec porthole-api-0 -- cat /data/porthole/admin-token)

kube -n porthole port-forward service/porthole-api "$port:80" >/dev/null &
forward=$!
trap 'kill "$forward" 2>/dev/null || true' EXIT
url=http://127.0.0.1:$port
curl --silent --fail --retry 30 --retry-connrefused --retry-delay 1 --output /dev/null "$url/ready"
call() {
  local method=$1 path=$2 body=${3:-}
  curl --silent --show-error --fail-with-body --request "$method" --header "Authorization: Bearer $token" \
    --header 'Content-Type: application/json' ${body:+--data "$body"} "$url$path"
}
field() { node -p "JSON.parse(require('fs').readFileSync(0, 'utf8')).$1"; }

if kube -n porthole-system get deployment porthole-agent >/dev/null 2>&1; then
  say 'the agent is here already'
else
  say 'the agent'
  join=$(call POST /v1/clusters "{\"name\":\"$cluster\"}" | field enrollment.token)
  render porthole-agent --set url=http://porthole-api.porthole.svc --set "joinToken=$join" --set "images.tag=$tag" | kube apply -f -
fi
kube -n porthole-system rollout status deployment/porthole-agent --timeout=180s

say 'a session'
session=$(call POST /v1/sessions '{"template":"chromium","start_url":"https://example.com"}' | field id)
for _ in $(seq 60); do
  status=$(call GET "/v1/sessions/$session" | field status)
  [[ $status != running && $status != failed ]] || break
  sleep 2
done
kube -n porthole-sessions get pods
[[ $status == running ]] || fail "$session is $status: $(call GET "/v1/sessions/$session" | field status_reason)"

cat <<EOF

$session runs. Dashboard: $url  Token: $token
Ctrl-C ends the forwarding; the cluster stays. deploy/kind/up.sh down takes it away.
EOF
wait "$forward"
