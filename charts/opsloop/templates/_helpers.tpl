{{- define "opsloop.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Names of cluster-scoped objects contain the namespace, so that two installs do not collide. */}}
{{- define "opsloop.clusterName" -}}
{{- printf "%s-%s" (include "opsloop.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "opsloop.selector" -}}
app.kubernetes.io/name: opsloop
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "opsloop.labels" -}}
{{ include "opsloop.selector" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: opsloop
{{- end -}}

{{/* No default repository: a name on a public registry could be anybody's. A digest says more than a tag, and replaces it. */}}
{{- define "opsloop.image" -}}
{{- $hint := "image.repository is not set: the image of opsloop that your cluster can pull, for example registry.example/team/opsloop" -}}
{{ required $hint .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end -}}

{{/* Name of the operator's ServiceAccount: the policies know opsloop by it. */}}
{{- define "opsloop.account" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "opsloop.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ required "serviceAccount.name is not set: serviceAccount.create is false, so say whose account opsloop uses" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{/* Who a pod of opsloop runs as: on OpenShift its SecurityContextConstraints choose user and group, and refuse others. */}}
{{- define "opsloop.podSecurity" -}}
runAsNonRoot: true
{{- if not .Values.openshift }}
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "opsloop.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* What the house says of its tickets, as JSON; nothing where it says nothing. */}}
{{- define "opsloop.tickets" -}}
{{- if or .Values.tickets.desks .Values.tickets.routes .Values.tickets.knownAs .Values.tickets.categories -}}{{ toJson .Values.tickets }}{{- end -}}
{{- end -}}

{{/* Other words, lags and prices of grouping, as JSON; nothing where there are none. */}}
{{- define "opsloop.correlation" -}}
{{- with .Values.correlation -}}{{ toJson . }}{{- end -}}
{{- end -}}

{{/* Every source as {"sources": {NAME: values}}: the one of prometheus.url is "default". */}}
{{- define "opsloop.sources" -}}
{{- $default := omit .Values.prometheus "sources" "queryBudget" "url" "resolution" "delay" -}}
{{- toJson (dict "sources" (merge (dict "default" $default) .Values.prometheus.sources)) -}}
{{- end -}}

{{/* The file of OPSLOOP_PROMETHEUS_FILE: the sources, with paths of mounted files in place of Secrets; nothing where the URL says all. */}}
{{- define "opsloop.prometheusFile" -}}
{{- $sources := dict -}}
{{- range $name, $source := (include "opsloop.sources" . | fromJson).sources -}}
{{- $one := pick $source "url" "resolution" "delay" -}}
{{- include "opsloop.access" (dict "into" $one "from" $source "at" (printf "/var/run/secrets/opsloop-prometheus/%s" $name)) -}}
{{- if $one }}{{ $_ := set $sources $name $one }}{{ end -}}
{{- end -}}
{{- if $sources }}{{ toJson (dict "sources" $sources) }}{{ end -}}
{{- end -}}

{{/* How an HTTP server is asked, with paths of mounted files in place of Secrets: dict "into" (what is completed) "from" (values) "at" (the folder) */}}
{{- define "opsloop.access" -}}
{{- $one := .into -}}{{- $source := .from -}}{{- $at := .at -}}
{{- with $source.headers }}{{ $_ := set $one "headers" . }}{{ end -}}
{{- if ($source.tokenSecret).name }}{{ $_ := set $one "bearerTokenFile" (printf "%s/token" $at) }}{{ end -}}
{{- if ($source.basicAuthSecret).name -}}
{{- $_ := set $one "basicAuth" (dict "usernameFile" (printf "%s/username" $at) "passwordFile" (printf "%s/password" $at)) -}}
{{- end -}}
{{- with $source.tls -}}
{{- $tls := pick . "serverName" "insecureSkipVerify" -}}
{{- if or (.caSecret).name (.caConfigMap).name }}{{ $_ := set $tls "caFile" (printf "%s/ca.crt" $at) }}{{ end -}}
{{- if (.certSecret).name -}}
{{- $_ := set $tls "certFile" (printf "%s/tls.crt" $at) }}{{ $_ := set $tls "keyFile" (printf "%s/tls.key" $at) -}}
{{- end -}}
{{- if $tls }}{{ $_ := set $one "tls" $tls }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* The Secrets and ConfigMaps of all sources as one projected volume, a folder for each source. */}}
{{- define "opsloop.prometheusAccess" -}}
{{- include "opsloop.accessFiles" (include "opsloop.sources" . | fromJson).sources }}
{{- end -}}

{{/* Secrets and ConfigMaps as items of a projected volume, a folder for each name: dict NAME → values */}}
{{- define "opsloop.accessFiles" -}}
{{- range $name, $source := . }}
{{- with $source.urlSecret }}{{ if .name }}
- secret: {name: {{ .name }}, items: [{key: {{ default "url" .key }}, path: {{ $name }}/url}]}
{{- end }}{{ end }}
{{- with $source.keySecret }}{{ if .name }}
- secret: {name: {{ .name }}, items: [{key: {{ default "key" .key }}, path: {{ $name }}/key}]}
{{- end }}{{ end }}
{{- with $source.tokenSecret }}{{ if .name }}
- secret: {name: {{ .name }}, items: [{key: {{ default "token" .key }}, path: {{ $name }}/token}]}
{{- end }}{{ end }}
{{- with $source.basicAuthSecret }}{{ if .name }}
- secret: {name: {{ .name }}, items: [{key: {{ default "username" .usernameKey }}, path: {{ $name }}/username}, {key: {{ default "password" .passwordKey }}, path: {{ $name }}/password}]}
{{- end }}{{ end }}
{{- with $source.tls }}
{{- with .caSecret }}{{ if .name }}
- secret: {name: {{ .name }}, items: [{key: {{ default "ca.crt" .key }}, path: {{ $name }}/ca.crt}]}
{{- end }}{{ end }}
{{- with .caConfigMap }}{{ if .name }}
- configMap: {name: {{ .name }}, items: [{key: {{ default "ca.crt" .key }}, path: {{ $name }}/ca.crt}]}
{{- end }}{{ end }}
{{- with .certSecret }}{{ if .name }}
- secret: {name: {{ .name }}, items: [{key: tls.crt, path: {{ $name }}/tls.crt}, {key: tls.key, path: {{ $name }}/tls.key}]}
{{- end }}{{ end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The file of OPSLOOP_NOTIFICATIONS_FILE; nothing where pager.url says all. */}}
{{- define "opsloop.notificationsFile" -}}
{{- $file := pick .Values.notifications "cluster" "links" "routes" "default" -}}
{{- $receivers := dict -}}
{{- range $name, $receiver := .Values.notifications.receivers -}}
{{- $at := printf "/var/run/secrets/opsloop-notifications/%s" $name -}}
{{- $one := pick $receiver "format" "url" "severities" "labels" "template" "timeout" -}}
{{- if ($receiver.urlSecret).name }}{{ $_ := set $one "urlFile" (printf "%s/url" $at) }}{{ end -}}
{{- if ($receiver.keySecret).name }}{{ $_ := set $one "keyFile" (printf "%s/key" $at) }}{{ end -}}
{{- include "opsloop.access" (dict "into" $one "from" $receiver "at" $at) -}}
{{- $_ := set $receivers $name $one -}}
{{- end -}}
{{- if or $receivers $file.cluster $file.links $file.routes $file.default }}{{ toJson (set $file "receivers" $receivers) }}{{ end -}}
{{- end -}}

{{- define "opsloop.subject" -}}
- kind: ServiceAccount
  name: {{ include "opsloop.account" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/*
Refuses to be rendered beside another install that looks after one of the same namespaces: both would act on the same objects, and
each one's policies refuse what the other writes. Asks the cluster for the others' policies and Roles; without one (helm template)
nothing is known. Who installs with rbac.cluster: false may have no rights on the cluster: only Roles of watchNamespaces are looked at.
*/}}
{{- define "opsloop.onlyInstall" -}}
{{- $own := include "opsloop.clusterName" . -}}
{{- $ours := .Values.watchNamespaces -}}
{{- if .Values.rbac.cluster -}}
{{- range $binding := (lookup "admissionregistration.k8s.io/v1" "ValidatingAdmissionPolicyBinding" "" "").items -}}
{{- $labels := default dict $binding.metadata.labels -}}
{{- if and (eq (dig "app.kubernetes.io/name" "" $labels) "opsloop") (hasSuffix "-records" $binding.metadata.name) (ne $binding.metadata.name (printf "%s-records" $own)) -}}
{{- $selector := dig "matchResources" "namespaceSelector" dict $binding.spec -}}
{{- $theirs := list -}}
{{- range dig "matchExpressions" list $selector -}}{{- $theirs = concat $theirs (default list .values) -}}{{- end -}}
{{- range $key, $value := dig "matchLabels" dict $selector -}}{{- $theirs = append $theirs $value -}}{{- end -}}
{{- $both := list -}}
{{- range $theirs -}}{{- if or (not $ours) (has . $ours) -}}{{- $both = append $both . -}}{{- end -}}{{- end -}}
{{- if not $theirs -}}{{- $both = default (list "all namespaces") $ours -}}{{- end -}}
{{- if $both -}}
{{- include "opsloop.notAlone" (list (trimSuffix "-records" $binding.metadata.name) (join ", " $both)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $namespace := default (.Values.rbac.cluster | ternary (list "") list) $ours -}}
{{- range $role := (lookup "rbac.authorization.k8s.io/v1" "Role" $namespace "").items -}}
{{- $labels := default dict $role.metadata.labels -}}
{{- $acts := false -}}
{{- range $role.rules -}}{{- if has "releases/status" (default list .resources) -}}{{- $acts = true -}}{{- end -}}{{- end -}}
{{- if and $acts (eq (dig "app.kubernetes.io/name" "" $labels) "opsloop") (ne $role.metadata.name $own) -}}
{{- include "opsloop.notAlone" (list $role.metadata.name $role.metadata.namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "opsloop.notAlone" -}}
{{- fail (printf "another install of opsloop, %s, looks after %s too: uninstall one of both, or give each other watchNamespaces" (index . 0) (index . 1)) -}}
{{- end -}}

{{/* Binds an admission policy, in the namespaces that the operator looks after: dict "name" NAME "root" $ ("action" Warn; else Deny) */}}
{{- define "opsloop.policyBinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels: {{- include "opsloop.labels" .root | nindent 4 }}
spec:
  policyName: {{ .name }}
  validationActions: [{{ default "Deny" .action }}]
  {{- with .root.Values.watchNamespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: In
          values: {{- toYaml . | nindent 12 }}
  {{- end }}
{{- end -}}

{{/* What cannot be set together, as sentences. */}}
{{- define "opsloop.checks" -}}
{{- if and (not .Values.rbac.cluster) (not .Values.watchNamespaces) -}}
{{- fail "rbac.cluster is false: name the namespaces in watchNamespaces, as a Role is all that opsloop may have" -}}
{{- end -}}
{{- end -}}

{{/* Annotations of what is made after an uninstall and goes again: the weight. */}}
{{- define "opsloop.afterwards" -}}
helm.sh/hook: post-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* Rules in each namespace that the operator looks after. */}}
{{- define "opsloop.rules" -}}
- apiGroups: [opsloop.dev]
  resources: [releases, incidents, runbooks, evalcases]
  verbs: [get, list, watch]
- apiGroups: [opsloop.dev]
  resources: [stops]  # the emergency stop, watched, and read before each act
  verbs: [list, watch]
- apiGroups: [opsloop.dev]
  resources: [incidents, evalcases]
  verbs: [create]
- apiGroups: [opsloop.dev]
  resources: [incidents]  # resolved ones, when their retention is over
  verbs: [delete]
- apiGroups: [opsloop.dev]
  resources: [releases/status, incidents/status, runbooks/status, evalcases/status]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]  # patch: the template and the number of pods of the user's Deployment; the rest: the canary
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [controllerrevisions]  # stored pod templates
  verbs: [get, list, create, delete]
- apiGroups: [apps]
  resources: [replicasets]  # their names tell the pods of revisions apart in an SLI; delete: those that no template of a guarded Deployment may scale up
  verbs: [list, delete]
- apiGroups: [""]
  resources: [pods]  # create, delete: quarantined pods that prove a regression case; delete: of a guarded Deployment, after their ReplicaSet; get: whether one that answers under load ran out of memory; patch: labels of live pods while a canary runs
  verbs: [get, list, create, patch, delete]
- apiGroups: [""]
  resources: [pods/status]  # the readiness gate of canary and warm pods, with the labels by which those in traffic are found
  verbs: [patch]
- apiGroups: [""]
  resources: [services]{{ if .Values.httpRoutes }}  # create, patch, delete: the canary's own, behind an HTTPRoute{{ end }}
  verbs: [list{{ if .Values.httpRoutes }}, create, patch, delete{{ end }}]
{{- if .Values.httpRoutes }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]  # patch: weights of backendRefs in a rollout, rules for testers and copies
  verbs: [get, list, watch, patch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]  # which class has it: can it copy requests?
  verbs: [get]
{{- end }}
- apiGroups: [authorization.k8s.io]
  resources: [localsubjectaccessreviews]  # may the intake's caller, or a Runbook's account, do this in its namespace?
  verbs: [create]
- apiGroups: [""]
  resources: [serviceaccounts]  # does the account of a Runbook exist? (metadata only)
  verbs: [get]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]  # how many pods must be available
  verbs: [list]
- apiGroups: [""]
  resources: [persistentvolumeclaims]  # may a canary mount what the live pods mount?
  verbs: [get]
- apiGroups: [""]
  resources: [configmaps]  # intake, ledgers, postmortems; watch: what other replicas store; get: who last wrote those that pods use (metadata only)
  verbs: [get, list, watch, create, update, patch, delete]
{{- if .Values.runbooks.jobs }}
- apiGroups: [batch]
  resources: [jobs]  # of Runbook steps of type job
  verbs: [get, create, delete]
- apiGroups: [""]
  resources: [pods/log]  # the end of a Job's log, for the Incident's timeline
  verbs: [get]
{{- end }}
{{- if .Values.readSecretMetadata }}
- apiGroups: [""]
  resources: [secrets]  # who last wrote those that pods use; RBAC has no right to metadata alone, opsloop asks for no more
  verbs: [get]
{{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
